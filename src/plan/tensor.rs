//! Tensors: typed, shaped views of device memory that exists already, is described, or is planned.

use std::fmt;
use std::sync::Arc;

use super::Slot;
use crate::device::Buffer;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    F16,
    F32,
    U8,
    I32,
}

impl DType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::F16 => 2,
            DType::F32 | DType::I32 => 4,
        }
    }
}

/// Where a tensor's elements lie.
#[derive(Clone)]
pub(crate) enum Storage {
    /// In the plan's arena, once the plan is bound: an index into the plan's tensors.
    Planned(usize),
    /// In memory that outlives the plan.
    Buffer(Arc<Buffer>),
    /// In a region that outlives the plan, once it has memory: weights, tables, what passes from stage to stage.
    Described(Arc<Slot>),
}

/// A dense row-major tensor on the device. Cloning copies the handle, not the elements.
#[derive(Clone)]
pub struct Tensor {
    pub(crate) storage: Storage,
    /// Of the first element, from the start of the storage, in bytes.
    pub(crate) byte_offset: usize,
    dtype: DType,
    shape: Vec<usize>,
}

impl Tensor {
    pub(crate) fn new(storage: Storage, dtype: DType, shape: &[usize]) -> Tensor {
        Tensor { storage, byte_offset: 0, dtype, shape: shape.to_vec() }
    }

    /// The device address of an existing tensor's first element.
    ///
    /// # Panics
    /// If the tensor is planned, which lies nowhere until its plan is bound, or described and without memory yet.
    pub(crate) fn address(&self) -> u64 {
        let start = match &self.storage {
            Storage::Planned(_) => None,
            Storage::Buffer(buffer) => Some(buffer.address()),
            Storage::Described(slot) => slot.address(),
        };
        start.unwrap_or_else(|| panic!("{self:?} has no address yet")) + self.byte_offset as u64
    }

    /// Whether its elements lie in device memory whether or not a plan is bound.
    pub fn exists(&self) -> bool {
        match &self.storage {
            Storage::Planned(_) => false,
            Storage::Buffer(_) => true,
            Storage::Described(slot) => slot.address().is_some(),
        }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first; activations are (batch, height, width, channels).
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Dimension `axis`, outermost first.
    pub fn dim(&self, axis: usize) -> usize {
        self.shape[axis]
    }

    /// The innermost dimension.
    pub fn columns(&self) -> usize {
        *self.shape.last().expect("a tensor has at least one dimension")
    }

    /// The product of all dimensions but the innermost.
    pub fn rows(&self) -> usize {
        self.elements() / self.columns().max(1)
    }

    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bytes()
    }

    /// The same elements under another shape.
    ///
    /// # Panics
    /// If the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), self.elements(), "{:?} as {shape:?}", self.shape);
        Tensor { shape: shape.to_vec(), ..self.clone() }
    }

    /// Entries `start .. start + count` of the outermost dimension.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn slice(&self, start: usize, count: usize) -> Tensor {
        assert!(start + count <= self.shape[0], "{start}+{count} of {:?}", self.shape);
        let stride = self.bytes() / self.shape[0].max(1);
        let mut slice = self.clone();
        slice.byte_offset += start * stride;
        slice.shape[0] = count;
        slice
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.storage {
            Storage::Planned(index) => format!("planned {index}"),
            Storage::Buffer(_) => "buffer".into(),
            Storage::Described(_) => "described".into(),
        };
        write!(f, "{:?}{:?} ({place} + {})", self.dtype, self.shape, self.byte_offset)
    }
}
