//! A stage of the pipeline as data: which kernels run, on which tensors, in which order.
//!
//! Models are *recorded* into a [`Plan`] once for a shape; the plan is then bound to memory and replayed, or captured
//! as a CUDA graph. Because the whole stage is known before its first launch, the arena can be laid out, all kernels
//! compiled, and the work counted, without running anything.

mod layout;
mod region;
mod tensor;

pub use layout::Layout;
pub(crate) use region::{Region, Slot};
pub(crate) use tensor::Storage;
pub use tensor::{DType, Tensor};

use crate::device::Capabilities;

/// One compilation: a kernel file under a set of constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    /// Stem of the file under `kernels/`.
    pub file: &'static str,
    /// Macros given to NVRTC as `-DNAME=VALUE`.
    pub defines: Vec<(&'static str, i64)>,
}

/// One argument of a kernel, in the order of its parameters.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Pointer to a tensor the kernel only reads.
    Read(Tensor),
    /// Pointer to a tensor the kernel writes in full.
    Write(Tensor),
    /// Pointer to a tensor the kernel updates.
    Update(Tensor),
    /// A null pointer: an optional tensor that is not there.
    Null,
    U32(u32),
    I32(i32),
    F32(f32),
}

impl Arg {
    /// `Read`, or `Null` where there is no tensor.
    pub fn optional(tensor: Option<&Tensor>) -> Arg {
        tensor.map_or(Arg::Null, |tensor| Arg::Read(tensor.clone()))
    }

    /// The tensor behind a pointer argument.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Arg::Read(tensor) | Arg::Write(tensor) | Arg::Update(tensor) => Some(tensor),
            _ => None,
        }
    }
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub struct Launch {
    pub unit: Unit,
    /// Name of the `extern "C" __global__` function.
    pub entry: &'static str,
    pub grid: [u32; 3],
    /// Threads of a block, in one dimension.
    pub block: u32,
    /// Dynamic shared memory, bytes.
    pub shared_bytes: u32,
    pub args: Vec<Arg>,
    /// Multiply-accumulates that the mathematics asks for, without padding.
    pub macs: u64,
}

/// A tensor of the arena.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub bytes: usize,
    /// Memory outside the arena that takes its place.
    pub placed: Option<Tensor>,
}

/// A recorded sequence of launches over planned and existing tensors.
#[derive(Clone, Debug)]
pub struct Plan {
    capabilities: Capabilities,
    pub(crate) tensors: Vec<Planned>,
    launches: Vec<Launch>,
}

impl Plan {
    /// An empty plan for a device of these capabilities.
    pub fn new(capabilities: &Capabilities) -> Plan {
        Plan { capabilities: capabilities.clone(), tensors: Vec::new(), launches: Vec::new() }
    }

    /// What the kernels are chosen for.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// A new tensor in the arena, its contents undefined until a launch writes it.
    pub fn tensor(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        let tensor = Tensor::new(Storage::Planned(self.tensors.len()), dtype, shape);
        self.tensors.push(Planned { bytes: tensor.bytes(), placed: None });
        tensor
    }

    /// Makes a planned tensor lie in existing memory, so that it outlives the plan.
    ///
    /// # Panics
    /// If `tensor` is not a whole planned tensor or `destination` has other bytes.
    pub fn place(&mut self, tensor: &Tensor, destination: &Tensor) {
        let Storage::Planned(index) = tensor.storage else { panic!("{tensor:?} is not planned") };
        assert_eq!(self.tensors[index].bytes, destination.bytes(), "{tensor:?} into {destination:?}");
        self.tensors[index].placed = Some(destination.clone());
    }

    /// Appends a launch.
    pub fn launch(&mut self, launch: Launch) {
        self.launches.push(launch);
    }

    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// Multiply-accumulates of the whole plan.
    pub fn macs(&self) -> u64 {
        self.launches.iter().map(|launch| launch.macs).sum()
    }

    /// Sizes in bytes of the arena's tensors.
    pub fn tensor_bytes(&self) -> impl Iterator<Item = usize> {
        self.tensors.iter().filter(|tensor| tensor.placed.is_none()).map(|tensor| tensor.bytes)
    }

    /// For every planned tensor in the arena, the first and the last launch that touches it; `None` where none does.
    pub(crate) fn lifetimes(&self) -> Vec<Option<(usize, usize)>> {
        let mut lifetimes = vec![None; self.tensors.len()];
        for (index, launch) in self.launches.iter().enumerate() {
            for tensor in launch.args.iter().filter_map(Arg::tensor) {
                if let Storage::Planned(planned) = tensor.storage
                    && self.tensors[planned].placed.is_none()
                {
                    let (first, _) = lifetimes[planned].unwrap_or((index, index));
                    lifetimes[planned] = Some((first, index));
                }
            }
        }
        lifetimes
    }
}
