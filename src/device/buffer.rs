//! Owned device memory.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::{CudaContext, result, sys};

use crate::error::{Error, Result};
use crate::plan::{DType, Storage, Tensor};

/// A block of device memory, freed when dropped.
pub struct Buffer {
    context: Arc<CudaContext>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Buffer {
    /// Allocates `bytes` of device memory with undefined contents.
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Arc<Buffer>> {
        let doing = || format!("allocating {:.1} MB of device memory", bytes as f64 / 1e6);
        context.bind_to_thread().map_err(Error::driver("binding the context"))?;
        // SAFETY: a context is current; the address is owned by the new buffer alone.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(Error::driver(doing()))?;
        Ok(Arc::new(Buffer { context: context.clone(), address, bytes }))
    }

    /// Address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The buffer's first bytes as a tensor.
    ///
    /// # Panics
    /// If it holds fewer bytes than the tensor.
    pub fn tensor(self: &Arc<Self>, dtype: DType, shape: &[usize]) -> Tensor {
        let tensor = Tensor::new(Storage::Buffer(self.clone()), dtype, shape);
        assert!(tensor.bytes() <= self.bytes, "{tensor:?} in {} bytes", self.bytes);
        tensor
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A failure here has failed a call before it, which reported it.
        let _ = self.context.bind_to_thread();
        // SAFETY: the address came from the allocator and nobody else frees it; the driver waits for pending work.
        let _ = unsafe { result::free_sync(self.address) };
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes)
    }
}
