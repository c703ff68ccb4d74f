//! Starts a program whose `libcuda.so` is the emulator.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::{env, fs, io};

use cuda_emulator::device::Description;

/// The program succeeded, but something was found.
const FOUND: u8 = 86;
/// The program could not be started.
const NOT_STARTED: u8 = 127;
/// The library that the package builds beside this program.
const LIBRARY: &str = "libcuda_emulator.so";
/// The names that programs link and open the driver by.
const DRIVER_NAMES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

pub fn run(arguments: &super::Run) -> ExitCode {
    match start(arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("cuda-emulator: {message}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn start(arguments: &super::Run) -> Result<ExitCode, String> {
    if let Some(name) = arguments.device.as_deref().filter(|name| Description::by_name(name).is_none()) {
        return Err(format!("there is no device {name}; `cuda-emulator devices` lists them"));
    }
    arguments.check.as_deref().map_or(Ok(()), super::known_checks)?;
    let library = library()?;
    let folder = Folder::new().map_err(|error| format!("no temporary folder: {error}"))?;
    for name in DRIVER_NAMES {
        symlink(&library, folder.0.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let report = folder.0.join("report");
    let mut command = Command::new(&arguments.program[0]);
    command.args(&arguments.program[1..]);
    command.env("LD_LIBRARY_PATH", before("LD_LIBRARY_PATH", folder.0.as_os_str()));
    command.env("CUDA_EMULATOR_REPORT", &report);
    settings(arguments).into_iter().for_each(|(name, value)| {
        command.env(name, value);
    });
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", arguments.program[0].display()))?;
    // SAFETY: the disposition is changed before any thread is made; an interrupt is the program's to answer.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let status = child.wait().map_err(|error| format!("waiting for the program: {error}"))?;
    let found = fs::read(&report).unwrap_or_default();
    if let Some(path) = &arguments.report {
        fs::write(path, &found).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(exit_code(status, !found.is_empty()))
}

fn exit_code(status: ExitStatus, found: bool) -> ExitCode {
    match (status.code(), status.signal()) {
        (Some(0), _) if found => ExitCode::from(FOUND),
        (Some(code), _) => ExitCode::from(code as u8),
        (None, signal) => ExitCode::from(128u8.wrapping_add(signal.unwrap_or(0) as u8)),
    }
}

/// The environment variables that carry the settings.
fn settings(arguments: &super::Run) -> Vec<(&'static str, OsString)> {
    let text = |value: &Option<String>| value.as_ref().map(OsString::from);
    let number = |value: Option<String>| value.map(OsString::from);
    let settings = [
        ("CUDA_EMULATOR_DEVICE", text(&arguments.device)),
        ("CUDA_EMULATOR_CHECK", text(&arguments.check)),
        ("CUDA_EMULATOR_NUMERICS", text(&arguments.numerics)),
        ("CUDA_EMULATOR_THREADS", number(arguments.threads.map(|value| value.to_string()))),
        ("CUDA_EMULATOR_SEED", number(arguments.seed.map(|value| value.to_string()))),
        ("CUDA_EMULATOR_DRIVER_VERSION", number(arguments.driver_version.map(|value| value.to_string()))),
        ("CUDA_EMULATOR_EXPLAIN", arguments.explain.then(|| OsString::from("1"))),
        ("CUDA_EMULATOR_PROFILE", arguments.profile.as_ref().map(|path| path.clone().into_os_string())),
    ];
    settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The variable `name` of this process with `first` in front.
fn before(name: &str, first: &OsStr) -> OsString {
    let mut list = first.to_owned();
    if let Some(rest) = env::var_os(name).filter(|rest| !rest.is_empty()) {
        list.push(":");
        list.push(rest);
    }
    list
}

/// The emulator's library: where `CUDA_EMULATOR_LIBRARY` says, or near this program.
fn library() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("CUDA_EMULATOR_LIBRARY") {
        let path = PathBuf::from(path);
        return fs::canonicalize(&path).map_err(|error| format!("CUDA_EMULATOR_LIBRARY: {}: {error}", path.display()));
    }
    let program = env::current_exe().and_then(fs::canonicalize).map_err(|error| error.to_string())?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    // Cargo leaves it beside the program or, where only the program was asked for, in `deps`; an installation has `lib`.
    let places = [folder.join(LIBRARY), folder.join("deps").join(LIBRARY), folder.join("../lib").join(LIBRARY)];
    let found = places.iter().find(|path| path.exists());
    found.cloned().ok_or_else(|| {
        format!(
            "{LIBRARY} is not beside {}; `cargo build --release -p cuda-emulator` builds both, and CUDA_EMULATOR_LIBRARY \
             names another place",
            program.display()
        )
    })
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let name = format!("cuda-emulator-{}-{}", std::process::id(), clock.as_nanos());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cuda-emulator: {}: {error}", self.0.display());
        }
    }
}
