//! Runs any CUDA driver-API program on the emulator, and says what a PTX file holds.

mod inspect;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use cuda_emulator::Checks;
use cuda_emulator::device::DEVICES;

/// Runs CUDA programs without a GPU.
#[derive(Debug, Parser)]
#[command(name = "cuda-emulator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a program with the emulator as its CUDA driver.
    ///
    /// The exit status is the program's own; 86 where the program succeeded but a check found something or a kernel
    /// failed; 128 and the signal's number where a signal ended it; 127 where it could not be started.
    Run(Run),
    /// Says what a PTX file holds and whether the emulator executes all of it; fails if it does not.
    Ptx(Ptx),
    /// Lists the devices that can be emulated.
    Devices,
    /// Lists the PTX instructions that are executed, as a table in Markdown.
    Operations,
}

#[derive(Debug, Args)]
struct Run {
    /// The device that the program sees: a name of `cuda-emulator devices`.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// What to check while kernels run: all, none, or some of memory, initialised, races, barriers, leaks,
    /// separated by commas.
    #[arg(long, value_name = "CHECKS")]
    check: Option<String>,
    /// How matrix products are added up: fast, or as the hardware does.
    #[arg(long, value_name = "NUMERICS", value_parser = ["fast", "hardware"])]
    numerics: Option<String>,
    /// Host threads that execute blocks.
    #[arg(long, value_name = "COUNT")]
    threads: Option<std::num::NonZeroUsize>,
    /// Permutes every order that CUDA leaves open.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The driver's version: 12090 for CUDA 12.9.
    #[arg(long, value_name = "VERSION")]
    driver_version: Option<i32>,
    /// Says why a call of the driver fails.
    #[arg(long)]
    explain: bool,
    /// Writes a profile of every launch to this file.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Writes reports to this file too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
struct Ptx {
    /// The PTX file.
    file: PathBuf,
}

/// Names and figures of the devices, one a line.
fn devices() -> ExitCode {
    for device in DEVICES {
        let (major, minor) = device.compute_capability;
        let gigabytes = device.memory_bytes as f64 / f64::from(1 << 30);
        println!(
            "{:<14} {:<34} compute capability {major}.{minor}, {} multiprocessors, {gigabytes:.1} GiB",
            device.key, device.name, device.multiprocessors
        );
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Ptx(arguments) => inspect::inspect(&arguments.file),
        Command::Devices => devices(),
        Command::Operations => {
            print!("{}", cuda_emulator::lower::operations::table());
            ExitCode::SUCCESS
        }
    }
}

/// Refuses words that name no check, before a program starts under them.
fn known_checks(text: &str) -> Result<(), String> {
    text.parse::<Checks>().map(|_| ())
}
