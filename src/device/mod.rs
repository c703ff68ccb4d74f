//! The GPU: context, stream, compiler, memory. The one place that chooses a driver library and an image for it.

mod buffer;
mod compiler;
mod nvrtc;
mod program;

pub use buffer::Buffer;
pub use compiler::{Compiler, Image};
pub use nvrtc::Nvrtc;
pub use program::{Graph, Program};

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cudarc::driver::sys::CUdevice_attribute_enum as Attribute;
use cudarc::driver::{CudaContext, CudaModule, CudaStream};

use crate::error::{Error, Result};
use crate::plan::Unit;

/// What kernels are chosen for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The driver's name of the device.
    pub name: String,
    /// Major and minor compute capability: (8, 0) for an A100.
    pub compute_capability: (u32, u32),
    pub multiprocessors: u32,
    /// Shared memory a block can have after opting in, bytes.
    pub shared_bytes_per_block: u32,
    /// Device memory, bytes.
    pub memory_bytes: u64,
}

impl Capabilities {
    /// NVRTC's name of the architecture: `sm_80`.
    pub fn arch(&self) -> String {
        let (major, minor) = self.compute_capability;
        format!("sm_{major}{minor}")
    }
}
