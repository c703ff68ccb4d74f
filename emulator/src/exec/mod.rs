//! Runs lowered kernels: grid, block, warp.

pub mod half;
pub mod mma;
pub mod simd;

use crate::device::Description;
use crate::memory::Memory;
use crate::report::Report;

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
    pub max_threads_per_block: u32,
}

/// A module, parsed and lowered, its variables placed in device memory.
#[derive(Debug)]
pub struct Module {}

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
    pub fn load(ptx: &str, device: &Description, memory: &mut Memory) -> Result<Module, Report> {
        let _ = (ptx, device, memory);
        Ok(Module {})
    }

    /// The kernels, in the order that `Launch::kernel` indexes.
    pub fn kernels(&self) -> &[KernelInfo] {
        &[]
    }

    /// Address and bytes of a module variable.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        let _ = name;
        None
    }

    /// Runs one launch to its end. Limits of the device were checked by the API layer before.
    pub fn run(&self, launch: &Launch, memory: &Memory, options: Options) -> Result<(), Report> {
        let _ = (launch, memory, options);
        Ok(())
    }
}
