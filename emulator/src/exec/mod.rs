//! Runs lowered kernels: grid, block, warp.
//!
//! [`grid`] hands blocks to the host's threads, [`block`] gives its warps their turns and completes barriers, [`warp`]
//! keeps the groups of diverged lanes, [`interpret`] executes one operation for all lanes of a group; the other
//! modules are the operations, one family each.

// A lane's number is what its loop is about, and such loops are what LLVM vectorises.
#![allow(clippy::needless_range_loop)]

mod async_copy;
mod atomics;
mod barrier;
mod block;
mod call;
mod control;
mod convert;
mod deadlock;
mod definedness;
mod directed;
mod float;
mod fragment;
mod grid;
pub mod half;
mod halves;
mod heap;
mod host;
mod idleness;
mod integer;
mod interpret;
mod lanes;
mod math;
mod matrix;
mod mbarrier;
mod memory;
pub mod mma;
mod observe;
mod packed;
mod printf;
mod profile;
mod races;
mod random;
mod registers;
mod shuffle;
pub mod simd;
mod special;
mod spin;
mod stack;
#[cfg(test)]
mod tests;
mod warp;

use crate::check::Checks;
use crate::device::Description;
use crate::isa::{BankEntry, LaunchSpecial, Program};
pub(crate) use crate::lower::layout::Placed;
use crate::lower::{self, Problem, layout::ModuleVariables};
use crate::memory::Memory;
use crate::occupancy::active_blocks;
use crate::profile::{LaunchProfile, Shape};
use crate::ptx;
use crate::report::{Class, Report};
pub use control::Control;
use definedness::{Definedness, Plans, Watch};
use grid::Grid;
pub use heap::DEFAULT_HEAP_BYTES;
use heap::Heap;
use printf::Output;
use profile::Profiler;
use races::Races;
use registers::reported_registers;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Where the shared memory of a block begins among generic addresses. The windows are no addresses of the host.
pub(crate) const SHARED_WINDOW: u64 = 1 << 60;
/// Where a thread's local memory begins among generic addresses.
pub(crate) const LOCAL_WINDOW: u64 = 2 << 60;
/// Where the parameter block begins among generic addresses.
pub(crate) const PARAMETER_WINDOW: u64 = 3 << 60;
/// Bytes of each window.
pub(crate) const WINDOW_BYTES: u64 = 1 << 32;

/// How matrix products of floating-point numbers are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numerics {
    /// One fused multiply-add after the other in fp32, in order of k.
    #[default]
    Fast,
    /// By blocks, aligned and truncated as the tensor cores of the device do; many times slower.
    Hardware,
}

/// How to run. Neither threads nor seed changes a result, except through the order of atomics.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Host threads that execute blocks.
    pub threads: usize,
    /// Makes the choices that CUDA leaves open: the order of blocks and warps, which side of a branch goes first, how long
    /// a turn is, whether an asynchronous copy is done early or late.
    pub seed: u64,
    pub numerics: Numerics,
    /// What is checked; with a check on that looks at every instruction, one host thread runs all blocks.
    pub checks: Checks,
    /// A launch that takes longer is ended, as by the watchdog of a display's driver.
    pub timeout: Option<std::time::Duration>,
    pub limits: Limits,
}

/// What the driver grants the threads of a launch: limits of its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Stack of a thread, in bytes, for calls of functions that recurse or whose pointer is taken; all others are inlined.
    pub stack_bytes: u32,
    /// Buffer for what the launch prints, in bytes.
    pub printf_bytes: usize,
}

impl Default for Limits {
    /// What the driver grants unless the program asks for more.
    fn default() -> Self {
        Limits { stack_bytes: 1 << 10, printf_bytes: 1 << 20 }
    }
}

impl Default for Options {
    /// One thread, everything in order, fast matrix products, no checks, no limit of time, the driver's limits.
    fn default() -> Self {
        let (numerics, checks, limits) = (Numerics::Fast, Checks::NONE, Limits::default());
        Options { threads: 1, seed: 0, numerics, checks, timeout: None, limits }
    }
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
    /// What the check of undefined values knows of each kernel, once it was asked for.
    plans: Vec<OnceLock<Plans>>,
    variables: ModuleVariables,
    device: Description,
    /// Device memory in which the blocks of a cooperative launch meet, where a kernel asks for it.
    workspace: Option<u64>,
    /// Held by the cooperative launch that has the workspace.
    meeting: Mutex<()>,
    /// For modules that call `malloc`.
    heap: Option<Heap>,
}

/// Bytes of the workspace: its size and a word that the blocks count in (`cooperative_groups/details/driver_abi.h`).
const WORKSPACE_BYTES: u64 = 256;

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
    /// A kernel that uses PTX which the emulator lacks does not fail the others: its report is that of its launch. One
    /// that no assembler takes fails the module.
    ///
    /// # Errors
    /// Malformed PTX, or variables that do not fit.
    pub fn load(ptx: &str, device: &Description, memory: &mut Memory) -> Result<Module, Report> {
        Module::load_beside(ptx, device, memory, &Placed::new())
    }

    /// As [`Module::load`], where some variables lie `elsewhere` already.
    pub(crate) fn load_beside(
        ptx: &str,
        device: &Description,
        memory: &mut Memory,
        elsewhere: &Placed,
    ) -> Result<Module, Report> {
        let module = ptx::parse(ptx)?;
        let variables = place_variables(&module, memory, elsewhere)?;
        let mut kernels = Vec::new();
        let mut programs = Vec::new();
        let registers = reported_registers(ptx);
        for function in module.functions.iter().filter(|f| f.entry && f.body.is_some()) {
            let program = match lower::kernel(&module, function, &variables, ptx) {
                Err(report) if report.class == Class::InvalidPtx => return Err(report),
                program => program,
            };
            let registers = registers.get(&function.name).copied();
            kernels
                .push(KernelInfo { registers_per_thread: registers, ..kernel_info(function, program.as_ref().ok()) });
            programs.push(program);
        }
        let mut reserve = |bytes| {
            let message = "no device memory for the driver's own use";
            memory.allocate(bytes).ok_or_else(|| Report::new(Class::UnsupportedPtx, message))
        };
        let meets = programs.iter().flatten().any(reads_environment);
        let workspace = meets.then(|| reserve(WORKSPACE_BYTES)).transpose()?;
        let allocates = module.functions.iter().any(|function| function.name == "malloc" && function.body.is_none());
        let heap = allocates.then(|| reserve(DEFAULT_HEAP_BYTES)).transpose()?;
        let heap = heap.map(|start| Heap::new(start, DEFAULT_HEAP_BYTES));
        if let Some(start) = workspace {
            memory.mark_written(start, WORKSPACE_BYTES);
        }
        let device = device.clone();
        let plans = kernels.iter().map(|_| OnceLock::new()).collect();
        let meeting = Mutex::default();
        Ok(Module { text: ptx.to_owned(), kernels, programs, plans, variables, device, workspace, meeting, heap })
    }

    /// The kernels, in the order that `Launch::kernel` indexes.
    pub fn kernels(&self) -> &[KernelInfo] {
        &self.kernels
    }

    /// Why the kernel cannot be launched, if it cannot.
    pub fn unsupported(&self, kernel: usize) -> Option<&Report> {
        self.programs[kernel].as_ref().err()
    }

    /// Everything in a module's kernels that the emulator does not execute.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub fn problems(ptx: &str, memory: &mut Memory) -> Result<Vec<Report>, Report> {
        let module = ptx::parse(ptx)?;
        let variables = place_variables(&module, memory, &Placed::new())?;
        let kernels = module.functions.iter().filter(|f| f.entry && f.body.is_some());
        Ok(kernels.flat_map(|function| lower::problems(&module, function, &variables, ptx)).collect())
    }

    /// Address and bytes of a module variable.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        self.variables.placed.get(name).copied()
    }

    /// Address and bytes of the module's own variables that the host reaches, too.
    pub fn managed_variables(&self) -> impl Iterator<Item = (u64, u64)> {
        self.variables.managed.iter().map(|name| self.variables.placed[name])
    }

    /// Bytes of constant memory that the module's own variables take.
    pub fn constant_bytes(&self) -> u64 {
        self.variables.constant_bytes
    }

    /// Where the heap of `malloc` lies, if the module has one that may still be moved: before the first launch.
    pub fn movable_heap(&self) -> Option<u64> {
        self.heap.as_ref()?.movable()
    }

    /// Whether the module has a heap that a launch may have used.
    pub fn uses_heap(&self) -> bool {
        self.heap.as_ref().is_some_and(|heap| heap.movable().is_none())
    }

    /// Lets the heap of `malloc` be the `bytes` of device memory at `start`.
    pub fn move_heap(&self, start: u64, bytes: u64) {
        if let Some(heap) = &self.heap {
            heap.move_to(start, bytes);
        }
    }

    /// Runs one launch to its end. Limits of the device were checked by the API layer before.
    ///
    /// # Errors
    /// The first fault that a thread of the host meets; memory is then as far as the kernel came.
    pub fn run(&self, launch: &Launch, memory: &Memory, options: Options) -> Result<(), Report> {
        self.run_under(&Control::default(), launch, memory, options)
    }

    /// As [`Module::run`], under a control that other threads hold, too.
    ///
    /// # Errors
    /// As [`Module::run`].
    pub fn run_under(
        &self,
        control: &Control,
        launch: &Launch,
        memory: &Memory,
        options: Options,
    ) -> Result<(), Report> {
        let _meeting = self.meeting(launch);
        let grid = self.grid(launch, memory, options)?;
        self.execute(&grid.under(control), options, None)
    }

    /// Runs one launch as [`Module::run`] does and counts what it does on the module's device. With `sample` only so many
    /// waves of blocks run (and a few more, which warm the caches), spread over the grid: the counts are scaled to the
    /// whole grid, and the results in memory are not those of the launch. Cooperative launches always run whole, and
    /// kernels whose blocks wait for each other must not be sampled: what they wait for may not run.
    ///
    /// # Errors
    /// As [`Module::run`].
    pub fn profile(
        &self,
        launch: &Launch,
        memory: &Memory,
        options: Options,
        sample: Option<u32>,
    ) -> Result<LaunchProfile, Report> {
        self.profile_under(&Control::default(), launch, memory, options, sample)
    }

    /// As [`Module::profile`], under a control that other threads hold, too.
    ///
    /// # Errors
    /// As [`Module::run`].
    pub fn profile_under(
        &self,
        control: &Control,
        launch: &Launch,
        memory: &Memory,
        options: Options,
        sample: Option<u32>,
    ) -> Result<LaunchProfile, Report> {
        let _meeting = self.meeting(launch);
        let mut grid = self.grid(launch, memory, options)?.under(control);
        let (info, device) = (&self.kernels[launch.kernel], &self.device);
        let shape = Shape::of(device, info, launch);
        let wave = u64::from(shape.occupancy.blocks.max(1)) * u64::from(device.multiprocessors);
        let waves = profile::waves(shape.blocks(), wave, sample.filter(|_| !launch.cooperative));
        grid.selection = waves.iter().map(|wave| wave.blocks.clone()).collect();
        let profiler = Profiler::new(grid.program, device, &waves, shape.l1_bytes_per_block(device));
        self.execute(&grid, options, Some(&profiler))?;
        let ran = waves.iter().map(|wave| wave.blocks.end - wave.blocks.start).sum();
        Ok(LaunchProfile::new(&info.name, device, shape, ran, &profiler.counters()))
    }

    /// Keeps the workspace for a cooperative launch: those of one module that run at the same time take turns.
    fn meeting(&self, launch: &Launch) -> Option<MutexGuard<'_, ()>> {
        launch.cooperative.then(|| self.meeting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the blocks of a launch share.
    fn grid<'a>(&'a self, launch: &'a Launch, memory: &'a Memory, options: Options) -> Result<Grid<'a>, Report> {
        let program = self.programs[launch.kernel].as_ref().map_err(Report::clone)?;
        let info = &self.kernels[launch.kernel];
        let threads = launch.block.iter().product();
        let active = active_blocks(&self.device, info, threads, launch.dynamic_shared_bytes.into());
        let resident = u64::from(active) * u64::from(self.device.multiprocessors);
        let workspace = self.workspace.filter(|_| launch.cooperative).unwrap_or(0);
        if workspace != 0 {
            // SAFETY: the workspace is this module's allocation, and only one launch has it at a time.
            unsafe { std::ptr::write_bytes(workspace as *mut u8, 0, WORKSPACE_BYTES as usize) };
        }
        let name = (&info.name[..], &self.text[..]);
        let heap = self.heap.as_ref();
        heap.inspect(|heap| heap.launch());
        let mut grid =
            Grid::new(name, program, launch, memory, options.seed).on(&self.device, resident, workspace, heap);
        grid.timeout = options.timeout;
        grid.strict_barriers = options.checks.barriers;
        grid.stack_bytes = options.limits.stack_bytes;
        grid.output = Output::new(options.limits.printf_bytes);
        grid.model = match options.numerics {
            Numerics::Fast => None,
            Numerics::Hardware => Some(mma::Model::of(self.device.compute_capability)),
        };
        Ok(grid)
    }

    /// Runs the blocks of a grid under the observers that are asked for.
    fn execute(&self, grid: &Grid, options: Options, profiler: Option<&Profiler>) -> Result<(), Report> {
        let checks = options.checks;
        let _visit = grid.memory.visit();
        let outcome = match profiler {
            _ if checks.watch_instructions() => {
                let options = Options { threads: 1, ..options };
                let plans = &self.plans[grid.launch.kernel];
                let plans = checks.initialised.then(|| plans.get_or_init(|| Plans::of(grid.program)));
                let watch = plans.map(Watch::new);
                let shadow = checks.races.then(|| races::Launch::new(grid.program));
                let checkers = || (watch.as_ref().map(Definedness::new), shadow.as_ref().map(Races::new));
                grid::run(grid, options, &|| (profiler.map(Profiler::observer), checkers()))
            }
            Some(profiler) => grid::run(grid, options, &|| profiler.observer()),
            None => grid::run(grid, options, &|| ()),
        };
        grid.output.flush();
        outcome.map_err(|report| *report)
    }
}

/// Whether the program reads a register that the driver sets.
fn reads_environment(program: &Program) -> bool {
    program.bank.iter().any(|(_, entry)| matches!(entry, BankEntry::Launch(LaunchSpecial::Environment(_))))
}

fn place_variables(
    module: &ptx::ast::Module,
    memory: &mut Memory,
    elsewhere: &Placed,
) -> Result<ModuleVariables, Report> {
    ModuleVariables::place(module, memory, elsewhere).map_err(unplaced)
}

/// Allocates and initialises the variables of a module that the host reaches, too.
pub(crate) fn place_managed_variables(module: &ptx::ast::Module, memory: &mut Memory) -> Result<Placed, Report> {
    ModuleVariables::place_managed(module, memory).map_err(unplaced)
}

fn unplaced(problem: Problem) -> Report {
    Report { ptx_line: problem.line, ..Report::new(Class::UnsupportedPtx, problem.message) }
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
