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
mod integer;
mod interpret;
mod lanes;
mod math;
mod matrix;
mod memory;
pub mod mma;
mod observe;
mod packed;
mod races;
mod random;
mod shuffle;
pub mod simd;
mod special;
#[cfg(test)]
mod tests;
mod warp;

use crate::api::occupancy::active_blocks;
use crate::check::Checks;
use crate::device::Description;
use crate::isa::{BankEntry, LaunchSpecial, Program};
use crate::lower::{self, layout::ModuleVariables};
use crate::memory::Memory;
use crate::ptx;
use crate::report::{Class, Report};
use definedness::{Definedness, Plans, Watch};
use heap::Heap;
use races::Races;
use std::sync::OnceLock;

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
    /// Permutes the order of blocks and warps.
    pub seed: u64,
    /// How matrix products are added up.
    pub numerics: Numerics,
    /// What is checked; with a check on that looks at every instruction, one host thread runs all blocks.
    pub checks: Checks,
}

impl Default for Options {
    /// One thread, blocks and warps in order, fast matrix products, no checks.
    fn default() -> Self {
        Options { threads: 1, seed: 0, numerics: Numerics::Fast, checks: Checks::NONE }
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
    /// A kernel that uses PTX which the emulator lacks does not fail the others: its report is that of its launch.
    ///
    /// # Errors
    /// Malformed PTX, or variables that do not fit.
    pub fn load(ptx: &str, device: &Description, memory: &mut Memory) -> Result<Module, Report> {
        let module = ptx::parse(ptx)?;
        let variables = place_variables(&module, memory)?;
        let mut kernels = Vec::new();
        let mut programs = Vec::new();
        for function in module.functions.iter().filter(|f| f.entry && f.body.is_some()) {
            let program = lower::kernel(&module, function, &variables, ptx);
            kernels.push(kernel_info(function, program.as_ref().ok()));
            programs.push(program);
        }
        let plans = kernels.iter().map(|_| OnceLock::new()).collect();
        let mut reserve = |bytes| {
            let message = "no device memory for the driver's own use";
            memory.allocate(bytes).ok_or_else(|| Report::new(Class::UnsupportedPtx, message))
        };
        let meets = programs.iter().flatten().any(reads_environment);
        let workspace = meets.then(|| reserve(WORKSPACE_BYTES)).transpose()?;
        let allocates = module.functions.iter().any(|function| function.name == "malloc" && function.body.is_none());
        let heap = allocates.then(|| reserve(heap::HEAP_BYTES)).transpose()?.map(Heap::new);
        if let Some(start) = workspace {
            memory.mark_written(start, WORKSPACE_BYTES);
        }
        let device = device.clone();
        Ok(Module { text: ptx.to_owned(), kernels, programs, plans, variables, device, workspace, heap })
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
        let variables = place_variables(&module, memory)?;
        let kernels = module.functions.iter().filter(|f| f.entry && f.body.is_some());
        Ok(kernels.flat_map(|function| lower::problems(&module, function, &variables, ptx)).collect())
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
        let threads = launch.block.iter().product();
        let info = &self.kernels[launch.kernel];
        let active = active_blocks(&self.device, info, threads, launch.dynamic_shared_bytes.into());
        let resident = u64::from(active) * u64::from(self.device.multiprocessors);
        let workspace = self.workspace.filter(|_| launch.cooperative).unwrap_or(0);
        if workspace != 0 {
            // SAFETY: the workspace is this module's allocation, and launches of a context run one after the other.
            unsafe { std::ptr::write_bytes(workspace as *mut u8, 0, WORKSPACE_BYTES as usize) };
        }
        let mut grid = grid::Grid::new((name, &self.text), program, launch, memory, options.seed).on(
            &self.device,
            resident,
            workspace,
            self.heap.as_ref(),
        );
        grid.model = match options.numerics {
            Numerics::Fast => None,
            Numerics::Hardware => Some(mma::Model::of(self.device.compute_capability)),
        };
        let checks = options.checks;
        if !checks.watch_instructions() {
            return grid::run(&grid, options, &|| ()).map_err(|report| *report);
        }
        let options = Options { threads: 1, ..options };
        let plans = checks.initialised.then(|| self.plans[launch.kernel].get_or_init(|| Plans::of(program)));
        let watch = plans.map(Watch::new);
        let shadow = checks.races.then(|| races::Launch::new(program));
        let observer = || (watch.as_ref().map(Definedness::new), shadow.as_ref().map(Races::new));
        grid::run(&grid, options, &observer).map_err(|report| *report)
    }
}

fn place_variables(module: &ptx::ast::Module, memory: &mut Memory) -> Result<ModuleVariables, Report> {
    ModuleVariables::place(module, memory)
        .map_err(|problem| Report { ptx_line: problem.line, ..Report::new(Class::UnsupportedPtx, problem.message) })
}

/// Whether the program reads a register that the driver sets.
fn reads_environment(program: &Program) -> bool {
    program.bank.iter().any(|(_, entry)| matches!(entry, BankEntry::Launch(LaunchSpecial::Environment(_))))
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
        max_threads_per_block: threads.map_or(1024, |sizes| sizes.iter().product::<u64>().min(1024) as u32),
    }
}
