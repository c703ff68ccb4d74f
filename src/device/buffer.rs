//! Owned device memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cudarc::driver::{CudaContext, result, sys};

use crate::error::{Error, Result};
use crate::plan::{DType, Storage, Tensor};

/// Bytes of device memory that a device's buffers hold, and the most they held at one time.
#[derive(Debug, Default)]
pub(super) struct Usage {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Usage {
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A block of device memory, freed when dropped.
pub struct Buffer {
    context: Arc<CudaContext>,
    usage: Arc<Usage>,
    address: sys::CUdeviceptr,
    bytes: usize,
}

impl Buffer {
    /// Allocates `bytes` of device memory with undefined contents.
    pub(super) fn new(context: &Arc<CudaContext>, usage: &Arc<Usage>, bytes: usize) -> Result<Arc<Buffer>> {
        let doing = || format!("allocating {:.1} MB of device memory", bytes as f64 / 1e6);
        context.bind_to_thread().map_err(Error::driver("binding the context"))?;
        // SAFETY: a context is current; the address is owned by the new buffer alone.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(Error::driver(doing()))?;
        let now = usage.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        usage.peak.fetch_max(now, Ordering::Relaxed);
        Ok(Arc::new(Buffer { context: context.clone(), usage: usage.clone(), address, bytes }))
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
        self.usage.now.fetch_sub(self.bytes, Ordering::Relaxed);
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
