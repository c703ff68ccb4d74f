//! Runs lowered kernels: grid, block, warp.
//!
//! [`grid`] hands blocks to the host's threads, [`block`] gives its warps their turns and completes barriers, [`warp`]
//! keeps the groups of diverged lanes, [`interpret`] executes one operation for all lanes of a group; the other
//! modules are the operations, one family each.

// A lane's number is what its loop is about, and such loops are what LLVM vectorises.
#![allow(clippy::needless_range_loop)]

mod async_copy;
mod atomics;
mod block;
mod convert;
mod float;
mod grid;
pub mod half;
mod halves;
mod host;
mod integer;
mod interpret;
mod lanes;
mod math;
mod matrix;
mod memory;
pub mod mma;
#[allow(dead_code)]
mod observe;
mod profile;
mod registers;
mod shuffle;
pub mod simd;
mod special;
#[cfg(test)]
mod tests;
mod warp;

use crate::device::Description;
use crate::isa::Program;
use crate::lower::{self, layout::ModuleVariables};
use crate::memory::Memory;
use crate::profile::{LaunchProfile, Shape};
use crate::ptx;
use crate::report::{Class, Report};

/// Where the shared memory of a block begins among generic addresses. The windows are no addresses of the host.
pub(crate) const SHARED_WINDOW: u64 = 1 << 60;
/// Where a thread's local memory begins among generic addresses.
pub(crate) const LOCAL_WINDOW: u64 = 2 << 60;
/// Where the parameter block begins among generic addresses.
pub(crate) const PARAMETER_WINDOW: u64 = 3 << 60;
/// Bytes of each window.
pub(crate) const WINDOW_BYTES: u64 = 1 << 32;

/// How to run, never what the result is: results depend on neither, except through the order of atomics.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Host threads that execute blocks.
    pub threads: usize,
    /// Permutes the order of blocks and warps.
    pub seed: u64,
}

/// One parameter of a kernel in its parameter block, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub offset: usize,
    pub bytes: usize,
}

/// What the driver API needs to know of a kernel.
#[derive(Clone, Debug)]
pub struct KernelInfo {
    pub name: String,
    pub parameters: Vec<Parameter>,
    pub parameter_bytes: usize,
    pub static_shared_bytes: u32,
    pub local_bytes_per_thread: u32,
    /// From NVRTC's own report, where it travels with the image.
    pub registers_per_thread: Option<u32>,
    /// What the lowered program needs, where there is no report: near what an assembler would allocate.
    pub estimated_registers_per_thread: u32,
    pub max_threads_per_block: u32,
}

/// A module, parsed and lowered, its variables placed in device memory.
#[derive(Debug)]
pub struct Module {
    /// The PTX, for reports.
    text: String,
    kernels: Vec<KernelInfo>,
    /// The program of each kernel, or why it has none.
    programs: Vec<Result<Program, Report>>,
    variables: ModuleVariables,
}

/// The shape of one launch; `parameters` is the packed parameter block of `KernelInfo::parameter_bytes`.
#[derive(Clone, Debug)]
pub struct Launch {
    pub kernel: usize,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared_bytes: u32,
    pub cooperative: bool,
    pub parameters: Vec<u8>,
}

impl Module {
    /// Parses and lowers PTX for a device and allocates its variables.
    ///
    /// A kernel that uses PTX which the emulator lacks does not fail the others: its report is that of its launch.
    ///
    /// # Errors
    /// Malformed PTX, or variables that do not fit.
    pub fn load(ptx: &str, device: &Description, memory: &mut Memory) -> Result<Module, Report> {
        let _ = device;
        let module = ptx::parse(ptx)?;
        let variables = ModuleVariables::place(&module, memory).map_err(|problem| Report {
            ptx_line: problem.line,
            ..Report::new(Class::UnsupportedPtx, problem.message)
        })?;
        let mut kernels = Vec::new();
        let mut programs = Vec::new();
        let registers = registers::reported(ptx);
        for function in module.functions.iter().filter(|f| f.entry && f.body.is_some()) {
            let program = lower::kernel(&module, function, &variables, ptx);
            let registers = registers.get(&function.name).copied();
            kernels
                .push(KernelInfo { registers_per_thread: registers, ..kernel_info(function, program.as_ref().ok()) });
            programs.push(program);
        }
        Ok(Module { text: ptx.to_owned(), kernels, programs, variables })
    }

    /// The kernels, in the order that `Launch::kernel` indexes.
    pub fn kernels(&self) -> &[KernelInfo] {
        &self.kernels
    }

    /// Why the kernel cannot be launched, if it cannot.
    pub fn unsupported(&self, kernel: usize) -> Option<&Report> {
        self.programs[kernel].as_ref().err()
    }

    /// Address and bytes of a module variable.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        self.variables.placed.get(name).copied()
    }

    /// Runs one launch to its end. Limits of the device were checked by the API layer before.
    ///
    /// # Errors
    /// The first fault that a thread of the host meets; memory is then as far as the kernel came.
    pub fn run(&self, launch: &Launch, memory: &Memory, options: Options) -> Result<(), Report> {
        let program = self.programs[launch.kernel].as_ref().map_err(Report::clone)?;
        let name = &self.kernels[launch.kernel].name;
        let grid = grid::Grid::new((name, &self.text), program, launch, memory, options.seed);
        grid::run(&grid, options, &|| ()).map_err(|report| *report)
    }

    /// Runs one launch as [`Module::run`] does and counts what it does on `device`. With `sample` only so many waves of
    /// blocks run (a few more, which warm the caches, besides), spread over the grid: the counts are scaled to the whole
    /// grid, and the results in memory are not those of the launch. Cooperative launches always run whole, and kernels
    /// whose blocks wait for each other must not be sampled: what they wait for may not run.
    ///
    /// # Errors
    /// As [`Module::run`].
    pub fn profile(
        &self,
        launch: &Launch,
        memory: &Memory,
        options: Options,
        device: &Description,
        sample: Option<u32>,
    ) -> Result<LaunchProfile, Report> {
        let program = self.programs[launch.kernel].as_ref().map_err(Report::clone)?;
        let info = &self.kernels[launch.kernel];
        let shape = Shape::of(device, info, launch);
        let wave = u64::from(shape.occupancy.blocks.max(1)) * u64::from(device.multiprocessors);
        let waves = profile::waves(shape.blocks(), wave, sample.filter(|_| !launch.cooperative));
        let mut grid = grid::Grid::new((&info.name, &self.text), program, launch, memory, options.seed);
        grid.selection = waves.iter().map(|wave| wave.blocks.clone()).collect();
        let profiler = profile::Profiler::new(program, device, &waves, shape.l1_bytes_per_block(device));
        grid::run(&grid, options, &|| profiler.observer()).map_err(|report| *report)?;
        let ran = waves.iter().map(|wave| wave.blocks.end - wave.blocks.start).sum();
        Ok(LaunchProfile::new(&info.name, device, shape, ran, &profiler.counters()))
    }
}

fn kernel_info(function: &ptx::ast::Function, program: Option<&Program>) -> KernelInfo {
    let (parameters, parameter_bytes) = lower::layout::parameters(function);
    let directive = |name: &str| function.directives.iter().find(|(n, _)| n == name).map(|(_, numbers)| numbers);
    let threads = ["maxntid", "reqntid"].iter().find_map(|name| directive(name));
    KernelInfo {
        name: function.name.clone(),
        parameters,
        parameter_bytes,
        static_shared_bytes: program.map_or(0, |p| p.shared_bytes),
        local_bytes_per_thread: program.map_or(0, |p| p.local_bytes),
        registers_per_thread: None,
        estimated_registers_per_thread: program
            .map_or(0, |p| (p.slots + 8).clamp(16, 255).next_multiple_of(8).min(255)),
        max_threads_per_block: threads.map_or(1024, |sizes| sizes.iter().product::<u64>().min(1024) as u32),
    }
}
