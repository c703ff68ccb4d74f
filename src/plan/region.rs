//! Tensors that are described before they have memory, and then get it together.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::layout::ALIGNMENT;
use super::{DType, Storage, Tensor};
use crate::device::{Buffer, Device};
use crate::error::Result;

/// Where a described tensor lies, once it does.
#[derive(Default)]
pub(crate) struct Slot(OnceLock<(Arc<Buffer>, usize)>);

impl Slot {
    /// The device address of its first byte; `None` before there is memory.
    pub fn address(&self) -> Option<u64> {
        self.0.get().map(|(buffer, offset)| buffer.address() + *offset as u64)
    }
}

/// Tensors that outlive plans: weights, and what passes from stage to stage. Plans are recorded over them before they
/// have memory, or without their ever getting any, so that what a run takes is known without it.
#[derive(Default)]
pub(crate) struct Region {
    /// With the bytes of each.
    slots: Vec<(Arc<Slot>, usize)>,
}

impl Region {
    /// A new tensor without memory.
    pub fn tensor(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        let slot = Arc::new(Slot::default());
        let tensor = Tensor::new(Storage::Described(slot.clone()), dtype, shape);
        self.slots.push((slot, tensor.bytes()));
        tensor
    }

    /// Bytes that its tensors take in one allocation.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|(_, bytes)| bytes.next_multiple_of(ALIGNMENT)).sum()
    }

    /// Gives every tensor its place in one allocation, contents undefined.
    ///
    /// # Panics
    /// If they have memory already.
    pub fn allocate(&self, device: &Device) -> Result<()> {
        let buffer = device.allocate(self.bytes())?;
        let mut offset = 0;
        for (slot, bytes) in &self.slots {
            slot.0.set((buffer.clone(), offset)).unwrap_or_else(|_| panic!("a region is given memory once"));
            offset += bytes.next_multiple_of(ALIGNMENT);
        }
        Ok(())
    }

    /// Gives every tensor an allocation of its own, so that what is read beyond it is seen to be.
    ///
    /// # Panics
    /// If they have memory already.
    pub fn allocate_separately(&self, device: &Device) -> Result<()> {
        for (slot, bytes) in &self.slots {
            let buffer = device.allocate(*bytes)?;
            slot.0.set((buffer, 0)).unwrap_or_else(|_| panic!("a region is given memory once"));
        }
        Ok(())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} tensors, {} bytes)", self.slots.len(), self.bytes())
    }
}
