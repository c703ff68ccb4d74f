//! The way of large data to the device: through pinned host buffers, one filled while others are copied.

use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, result};

use super::Device;
use crate::error::{Error, Result};
use crate::plan::Tensor;

/// A ring of pinned buffers, and a stream that copies them in turn. For one thread; several may have one each.
pub(crate) struct Staging<'a> {
    device: &'a Device,
    stream: Arc<CudaStream>,
    ring: Vec<Pinned>,
    /// The buffer that is filled next.
    next: usize,
}

/// Page-locked host memory, and the end of the copy that reads it.
struct Pinned {
    memory: *mut u8,
    bytes: usize,
    copied: CudaEvent,
}

impl<'a> Staging<'a> {
    /// `buffers` buffers of `bytes` each.
    pub fn new(device: &'a Device, buffers: usize, bytes: usize) -> Result<Staging<'a>> {
        device.bind_thread()?;
        let stream = device.context.new_stream().map_err(Error::driver("creating a stream"))?;
        let mut staging = Staging { device, stream, ring: Vec::with_capacity(buffers), next: 0 };
        for _ in 0..buffers {
            let copied = staging.stream.record_event(None).map_err(Error::driver("recording an event"))?;
            // SAFETY: a context is current, and nobody else frees the memory.
            let memory = unsafe { result::malloc_host(bytes, 0) }
                .map_err(Error::driver(format!("allocating {:.1} MB of pinned memory", bytes as f64 / 1e6)))?;
            // SAFETY: the allocation has these bytes, which have to be something before they can be a slice.
            unsafe { memory.cast::<u8>().write_bytes(0, bytes) };
            staging.ring.push(Pinned { memory: memory.cast(), bytes, copied });
        }
        Ok(staging)
    }

    /// The next buffer to fill, once the device has read what it held before.
    pub fn buffer(&mut self) -> Result<&mut [u8]> {
        let pinned = &self.ring[self.next];
        pinned.copied.synchronize().map_err(|source| self.device.failure("copying to the device".into(), source))?;
        // SAFETY: the memory is ours and initialised, the device has read it, and the borrow keeps it from being sent.
        Ok(unsafe { std::slice::from_raw_parts_mut(pinned.memory, pinned.bytes) })
    }

    /// Queues the copy of that buffer's first bytes over an existing tensor, whose bytes they are.
    ///
    /// # Panics
    /// If the tensor has more bytes than the buffer.
    pub fn send(&mut self, tensor: &Tensor) -> Result<()> {
        let pinned = &self.ring[self.next];
        assert!(tensor.bytes() <= pinned.bytes, "{tensor:?} from {} bytes", pinned.bytes);
        // SAFETY: the memory is ours and initialised; nothing writes to it until the event behind the copy is reached.
        let bytes = unsafe { std::slice::from_raw_parts(pinned.memory, tensor.bytes()) };
        // SAFETY: the tensor lies in its buffer, and `drop` frees the host memory only when the stream is done.
        unsafe { result::memcpy_htod_async(tensor.address(), bytes, self.stream.cu_stream()) }
            .map_err(|source| self.device.failure("copying to the device".into(), source))?;
        pinned.copied.record(&self.stream).map_err(Error::driver("recording an event"))?;
        self.next = (self.next + 1) % self.ring.len();
        Ok(())
    }

    /// Waits until everything sent has arrived.
    pub fn finish(self) -> Result<()> {
        self.stream.synchronize().map_err(|source| self.device.failure("copying to the device".into(), source))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // A failure here has failed a call before it, which reported it.
        let _ = self.stream.synchronize();
        for pinned in &self.ring {
            // SAFETY: the memory came from the driver, nobody else frees it, and no copy reads it any more.
            let _ = unsafe { result::free_host(pinned.memory.cast()) };
        }
    }
}
