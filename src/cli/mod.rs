//! The command line: arguments, progress and files around the library. Only here is anything fetched or printed.

mod args;
mod compile;
mod demo;
mod devices;
mod edit;
mod engine;
mod estimate;
mod fetch;
mod hub;
mod mask;
mod output;
mod plan;
mod progress;
mod remove;
mod settings;
mod tensors;
mod values;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use args::{Cli, Command};

pub use fetch::{NVRTC_12, NVRTC_13, Wheel, cache_folder, fetch, nvrtc, nvrtc_for};

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let outcome = match &cli.command {
        Command::Edit(args) => edit::run(args),
        Command::Remove(args) => remove::run(args),
        Command::Mask(args) => mask::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Compile(args) => compile::run(args),
        Command::Devices(_) => devices::run(),
        Command::Demo(args) => demo::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, but for those that the text before them quotes.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints help where it was asked for, and otherwise what is wrong with the arguments, in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A closed pipe is no concern of ours.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
        }
        _ => {
            eprintln!("{}", one_line(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// A message of clap without the usage and the advice below it.
fn one_line(message: &str) -> String {
    let paragraphs = message.split("\n\n").filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    paragraphs.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
