//! What every launch did, as a profiler would count it: instructions, memory traffic, conflicts, occupancy, and the time
//! that the device would have taken.
//!
//! ```no_run
//! cuda_emulator::profile::start();
//! // ... launches through the driver API ...
//! let profiles = cuda_emulator::profile::take();
//! println!("{}", cuda_emulator::profile::table(&profiles));
//! ```
//!
//! A program that does not know of the crate is profiled by `CUDA_EMULATOR_PROFILE=out.json`, which is written when the
//! process ends. `CUDA_EMULATOR_SAMPLE=2` runs two waves of blocks of every large launch (see
//! [`Module::profile`](crate::exec::Module::profile)): the counts of a full-size problem come in seconds, but its results
//! are wrong.

pub mod cache;
pub mod cost;
pub mod counters;
mod json;
pub mod model;
mod table;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::device::{Description, SHARED_BYTES_RESERVED_PER_BLOCK, WARP_THREADS};
use crate::exec::{KernelInfo, Launch};
use crate::occupancy::occupancy;
pub use crate::occupancy::{Limit, Occupancy};
use counters::Counters;
use json::{Object, array};
use model::{ACCURACY, Parameters};
pub use table::table;

/// The shape of a launch on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Static and dynamic.
    pub shared_bytes: u32,
    pub registers_per_thread: u32,
    /// Whether the assembler did not say how many registers there are.
    pub registers_estimated: bool,
    pub occupancy: Occupancy,
}

impl Shape {
    pub(crate) fn of(device: &Description, info: &KernelInfo, launch: &Launch) -> Shape {
        let threads: u32 = launch.block.iter().product();
        let registers = info.registers_per_thread.unwrap_or(info.estimated_registers_per_thread);
        let known = KernelInfo { registers_per_thread: Some(registers), ..info.clone() };
        Shape {
            grid: launch.grid,
            block: launch.block,
            shared_bytes: info.static_shared_bytes + launch.dynamic_shared_bytes,
            registers_per_thread: registers,
            registers_estimated: info.registers_per_thread.is_none(),
            occupancy: occupancy(device, &known, threads, launch.dynamic_shared_bytes.into()),
        }
    }

    /// Blocks of the grid.
    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|&side| u64::from(side)).product()
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// The share of a multiprocessor's warps that are there.
    pub fn occupied_share(&self, device: &Description) -> f64 {
        let warps = self.occupancy.blocks * self.threads().div_ceil(WARP_THREADS);
        f64::from(warps * WARP_THREADS) / f64::from(device.threads_per_multiprocessor)
    }

    /// A block's share of what shared memory leaves of L1.
    pub(crate) fn l1_bytes_per_block(&self, device: &Description) -> u64 {
        let blocks = u64::from(self.occupancy.blocks.max(1));
        let shared = blocks * u64::from(self.shared_bytes + SHARED_BYTES_RESERVED_PER_BLOCK);
        u64::from(device.rates.l1_bytes).saturating_sub(shared) / blocks
    }
}

/// What one launch did.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchProfile {
    pub kernel: String,
    pub device: Description,
    pub shape: Shape,
    /// Blocks that ran: fewer than the grid has where it was sampled.
    pub blocks_run: u64,
    /// Of the whole grid, scaled up where it was sampled.
    pub counters: Counters,
}

impl LaunchProfile {
    pub(crate) fn new(kernel: &str, device: &Description, shape: Shape, blocks_run: u64, counters: &Counters) -> Self {
        let factor = shape.blocks() as f64 / blocks_run as f64;
        LaunchProfile {
            kernel: kernel.to_owned(),
            device: device.clone(),
            shape,
            blocks_run,
            counters: counters.scaled(factor),
        }
    }

    /// The profile of the same launch with a longer loop, from this one and one with a `shorter` loop: see
    /// [`Counters::extended`].
    #[must_use]
    pub fn extended(&self, shorter: &LaunchProfile, factor: f64) -> LaunchProfile {
        LaunchProfile { counters: self.counters.extended(&shorter.counters, factor), ..self.clone() }
    }

    /// Whether only some of the blocks ran.
    pub fn sampled(&self) -> bool {
        self.blocks_run < self.shape.blocks()
    }

    /// The profile as a JSON object.
    pub fn to_json(&self) -> String {
        let shape = &self.shape;
        let limit = match shape.occupancy.limit {
            Limit::Blocks => "blocks",
            Limit::Threads => "threads",
            Limit::Registers => "registers",
            Limit::SharedMemory => "shared memory",
        };
        let occupancy = Object::new()
            .member("blocks_per_multiprocessor", shape.occupancy.blocks)
            .number("share_of_warps", shape.occupied_share(&self.device))
            .text("limited_by", limit)
            .member("registers_per_thread", shape.registers_per_thread)
            .member("registers_estimated", shape.registers_estimated)
            .member("shared_bytes_per_block", shape.shared_bytes);
        let estimate = self.estimate(&Parameters::default());
        let terms = estimate.terms.iter().fold(Object::new(), |object, term| object.number(term.name, term.seconds));
        let accuracy = Object::new()
            .member("kernels", ACCURACY.kernels)
            .number("mean_log_error", ACCURACY.mean)
            .number("worst_log_error", ACCURACY.worst);
        let time = Object::new()
            .number("seconds", estimate.seconds)
            .text("bound", estimate.bound)
            .member("seconds_if_alone", terms.end())
            .member("against_published", accuracy.end());
        Object::new()
            .text("kernel", &self.kernel)
            .text("device", self.device.key)
            .numbers("grid", &shape.grid)
            .numbers("block", &shape.block)
            .member("blocks_run", self.blocks_run)
            .member("sampled", self.sampled())
            .member("occupancy", occupancy.end())
            .member("counters", self.counters.json())
            .member("predicted_time", time.end())
            .end()
    }
}

/// Profiles as a JSON array.
pub fn to_json(profiles: &[LaunchProfile]) -> String {
    array(profiles.iter().map(LaunchProfile::to_json)) + "\n"
}

#[derive(Default)]
struct Recording {
    on: bool,
    launches: Vec<LaunchProfile>,
}

static RECORDING: Mutex<Recording> = Mutex::new(Recording { on: false, launches: Vec::new() });

fn recording() -> MutexGuard<'static, Recording> {
    RECORDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Profiles every launch from now on.
pub fn start() {
    recording().on = true;
}

/// Profiles no further launch.
pub fn stop() {
    recording().on = false;
}

/// The profiles since the last call, in the order in which the launches ran.
pub fn take() -> Vec<LaunchProfile> {
    std::mem::take(&mut recording().launches)
}

/// Whether launches are to be profiled.
pub(crate) fn is_on() -> bool {
    recording().on
}

pub(crate) fn add(profile: LaunchProfile) {
    recording().launches.push(profile);
}

static OUTPUT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Profiles every launch and writes `path` when the process ends.
pub(crate) fn write_at_exit(path: PathBuf) {
    static REGISTERED: Once = Once::new();
    *OUTPUT.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
    REGISTERED.call_once(|| {
        start();
        // SAFETY: the function lives as long as the library and does not unwind.
        unsafe { libc::atexit(write_output) };
    });
}

extern "C" fn write_output() {
    let path = OUTPUT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(path) = path else { return };
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    let written = std::fs::write(&unfinished, to_json(&take())).and_then(|()| std::fs::rename(&unfinished, &path));
    if let Err(error) = written {
        eprintln!("cuda-emulator: the profile cannot be written to {}: {error}", path.display());
    }
}
