//! Which device is emulated and how it runs: set by the program that links this crate, or by environment variables.

use std::env;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::check::Checks;
use crate::device::{DEVICES, Description};
use crate::exec::Numerics;
use crate::report::{Class, Report};

/// The settings of the emulator.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The device that programs see. `CUDA_EMULATOR_DEVICE`, an A100 by default.
    pub device: Description,
    /// Host threads that execute blocks. `CUDA_EMULATOR_THREADS`, by default as many as the machine runs at once.
    pub threads: usize,
    /// Permutes every order that CUDA leaves open: streams, blocks, warps. `CUDA_EMULATOR_SEED`; with 0, the default,
    /// work waits until it is asked for, or until the host polls for it, and runs in the order of submission.
    pub seed: u64,
    /// What `cuDriverGetVersion` answers: 12090 for CUDA 12.9, the default. `CUDA_EMULATOR_DRIVER_VERSION`. PTX of a
    /// later version is refused, as a driver of that age would.
    pub driver_version: i32,
    /// A launch that takes longer ends with an error, as by the watchdog of a display's driver. `CUDA_EMULATOR_TIMEOUT`,
    /// in seconds; by default there is no limit.
    pub timeout: Option<Duration>,
    /// How matrix products are added up. `CUDA_EMULATOR_NUMERICS`: `fast`, the default, or `hardware`.
    pub numerics: Numerics,
    /// What is checked while kernels run. `CUDA_EMULATOR_CHECK`: `all`, or the names of checks separated by commas.
    pub checks: Checks,
    /// Where the profile of every launch is written when the process ends. `CUDA_EMULATOR_PROFILE`, by default nowhere.
    pub profile: Option<PathBuf>,
    /// Runs only so many waves of blocks of each profiled launch, which makes its results wrong: see
    /// [`Module::profile`](crate::exec::Module::profile). `CUDA_EMULATOR_SAMPLE`, by default all.
    pub sample: Option<u32>,
    /// Whether every call that is refused is told on the standard error stream, with the reason. `CUDA_EMULATOR_EXPLAIN`
    /// set to `1`.
    pub explain: bool,
    /// Whether reports of faults stay off the standard error stream. Never by environment.
    pub quiet: bool,
}

impl Default for Config {
    /// The defaults, whatever the environment says.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Config {
            device: Description::default(),
            threads,
            seed: 0,
            driver_version: 12090,
            numerics: Numerics::Fast,
            checks: Checks::NONE,
            timeout: None,
            profile: None,
            sample: None,
            explain: false,
            quiet: false,
        }
    }
}

impl Config {
    /// The defaults, changed by the environment.
    ///
    /// # Errors
    /// A variable that is set to something it cannot be.
    pub fn from_environment() -> Result<Self, Report> {
        let default = Config::default();
        let device = match env::var("CUDA_EMULATOR_DEVICE") {
            Ok(name) => Description::by_name(&name).ok_or_else(|| unknown_device(&name))?,
            Err(_) => default.device,
        };
        Ok(Config {
            device,
            threads: number("CUDA_EMULATOR_THREADS")?.map_or(default.threads, NonZeroUsize::get),
            seed: number("CUDA_EMULATOR_SEED")?.unwrap_or(default.seed),
            driver_version: number("CUDA_EMULATOR_DRIVER_VERSION")?.unwrap_or(default.driver_version),
            timeout: number("CUDA_EMULATOR_TIMEOUT")?.map(Duration::from_secs),
            numerics: numerics()?.unwrap_or(default.numerics),
            checks: checks()?.unwrap_or(default.checks),
            profile: env::var_os("CUDA_EMULATOR_PROFILE").map(PathBuf::from),
            sample: number("CUDA_EMULATOR_SAMPLE")?.map(NonZeroU32::get),
            explain: number::<u8>("CUDA_EMULATOR_EXPLAIN")?.is_some_and(|value| value != 0),
            quiet: default.quiet,
        })
    }
}

fn unknown_device(name: &str) -> Report {
    let known: Vec<&str> = DEVICES.iter().map(|device| device.key).collect();
    let message = format!("CUDA_EMULATOR_DEVICE is {name}, which is none of {}", known.join(", "));
    Report::new(Class::BadApiCall, message)
}

fn numerics() -> Result<Option<Numerics>, Report> {
    match env::var("CUDA_EMULATOR_NUMERICS").as_deref() {
        Err(_) => Ok(None),
        Ok("fast") => Ok(Some(Numerics::Fast)),
        Ok("hardware") => Ok(Some(Numerics::Hardware)),
        Ok(other) => {
            let message = format!("CUDA_EMULATOR_NUMERICS is {other:?}, which is neither fast nor hardware");
            Err(Report::new(Class::BadApiCall, message))
        }
    }
}

fn checks() -> Result<Option<Checks>, Report> {
    let Ok(text) = env::var("CUDA_EMULATOR_CHECK") else { return Ok(None) };
    let parsed =
        text.parse().map_err(|message| Report::new(Class::BadApiCall, format!("CUDA_EMULATOR_CHECK: {message}")))?;
    Ok(Some(parsed))
}

fn number<T: FromStr>(variable: &str) -> Result<Option<T>, Report> {
    let Ok(text) = env::var(variable) else { return Ok(None) };
    let parsed = text.parse().map_err(|_| {
        let message = format!("{variable} is {text:?}, which is not a number of its kind");
        Report::new(Class::BadApiCall, message)
    })?;
    Ok(Some(parsed))
}

static CONFIG: Mutex<Option<Config>> = Mutex::new(None);
/// Contexts that live: while there are any, the device stays what it is.
static CONTEXTS: AtomicUsize = AtomicUsize::new(0);

fn lock() -> MutexGuard<'static, Option<Config>> {
    CONFIG.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Sets the configuration, against whatever the environment says. Only the device and the driver version are fixed
/// while a context lives.
///
/// # Errors
/// A change of device or driver version while a context lives; zero threads.
pub fn configure(config: Config) -> Result<(), Report> {
    let mut current = lock();
    let fixed = |config: &Config| (config.device.clone(), config.driver_version);
    let changed = current.as_ref().is_none_or(|current| fixed(current) != fixed(&config));
    if changed && CONTEXTS.load(Ordering::Relaxed) > 0 {
        return Err(Report::new(Class::BadApiCall, "the device cannot change while a context lives"));
    }
    if config.threads == 0 {
        return Err(Report::new(Class::BadApiCall, "zero threads execute nothing"));
    }
    *current = Some(config);
    Ok(())
}

/// The configuration in force; the first call reads the environment.
pub(crate) fn current() -> Result<Config, Report> {
    let mut current = lock();
    if let Some(config) = current.as_ref() {
        return Ok(config.clone());
    }
    let config = Config::from_environment()?;
    *current = Some(config.clone());
    Ok(config)
}

/// Counts a context that begins to live.
pub(crate) fn context_created() {
    CONTEXTS.fetch_add(1, Ordering::Relaxed);
}

/// Counts a context that ends.
pub(crate) fn context_destroyed() {
    CONTEXTS.fetch_sub(1, Ordering::Relaxed);
}
