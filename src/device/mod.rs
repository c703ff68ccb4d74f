//! The GPU: context, stream, compiler, memory. The one place that chooses a driver library and an image for it.

mod buffer;
mod compiler;
mod driver;
mod list;
mod locate;
mod nvrtc;
mod program;
mod staging;

pub use buffer::Buffer;
pub use compiler::{Compiler, Image, Resources};
pub use driver::DeviceChoice;
pub use list::{capabilities, gpus, resolve, target};
pub use locate::{NotFound, Target, find_nvrtc};
pub use nvrtc::{Compiled, Failure, Nvrtc};
pub use program::{Graph, Memory, Program};
pub(crate) use staging::Staging;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cudarc::driver::sys::CUevent_flags;
use cudarc::driver::{CudaContext, CudaEvent, CudaFunction, CudaModule, CudaStream, DriverError, result};
use cudarc::nvrtc::Ptx;

use crate::error::{Error, Result};
use crate::plan::{DType, Plan, Tensor, Unit};
use buffer::Usage;
use driver::Driver;

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

    /// Fails on a device that is older than the kernels' instructions.
    fn check(&self) -> Result<()> {
        let (major, minor) = self.compute_capability;
        if (major, minor) >= (8, 0) {
            return Ok(());
        }
        Err(Error::Device(format!(
            "{} has compute capability {major}.{minor}; diffedit needs 8.0 or above (Ampere, 2020)",
            self.name
        )))
    }
}

/// A point in the device's work.
pub struct Mark(CudaEvent);

/// An open device: a context and a stream of ours on it, and the kernels loaded so far.
pub struct Device {
    driver: Driver,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    capabilities: Capabilities,
    compiler: Compiler,
    modules: Mutex<HashMap<Unit, Arc<CudaModule>>>,
    usage: Arc<Usage>,
}

impl Device {
    /// Opens a device. `compiler` makes the kernels when they are first prepared.
    pub fn open(choice: &DeviceChoice, compiler: Compiler) -> Result<Arc<Device>> {
        let (driver, ordinal) = driver::open(choice)?;
        let context = CudaContext::new(ordinal).map_err(Error::driver(format!("opening cuda:{ordinal}")))?;
        // SAFETY: all our work is on one stream, so that no event is needed to order it; tracking would put events
        // into captured graphs.
        unsafe { context.disable_event_tracking() };
        let capabilities =
            list::describe(context.cu_device()).map_err(Error::driver("asking the device what it is"))?;
        capabilities.check()?;
        let stream = context.new_stream().map_err(Error::driver("creating a stream"))?;
        let modules = Mutex::new(HashMap::new());
        Ok(Arc::new(Device { driver, context, stream, capabilities, compiler, modules, usage: Arc::default() }))
    }

    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Compiles and loads every kernel of the plans that is not loaded yet. `progress` is told how many of how many
    /// are compiled, from any thread.
    pub fn prepare(&self, plans: &[&Plan], progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let mut units: Vec<Unit> =
            plans.iter().flat_map(|plan| plan.launches().iter().map(|launch| launch.unit.clone())).collect();
        units.sort();
        units.dedup();
        let mut modules = self.modules.lock().expect("no panics under it");
        units.retain(|unit| !modules.contains_key(unit));
        let total = units.len();
        let images = self.compiler.images(&units, &self.capabilities.arch(), &|done| progress(done, total))?;
        for (unit, image) in units.into_iter().zip(images) {
            let ptx = Ptx::from_binary(self.driver.image(&image));
            let module = self
                .context
                .load_module(ptx)
                .map_err(|source| self.failure(format!("loading kernel {}", unit.file), source))?;
            modules.insert(unit, module);
        }
        Ok(())
    }

    /// A function of a prepared unit.
    fn function(&self, unit: &Unit, entry: &str) -> Result<CudaFunction> {
        let modules = self.modules.lock().expect("no panics under it");
        let module = modules.get(unit).unwrap_or_else(|| panic!("kernel {} was not prepared", unit.file));
        module.load_function(entry).map_err(Error::driver(format!("kernel {} of {}.cu", entry, unit.file)))
    }

    /// Device memory with undefined contents.
    pub fn allocate(&self, bytes: usize) -> Result<Arc<Buffer>> {
        Buffer::new(&self.context, &self.usage, bytes)
    }

    /// Bytes that are allocated now: what weights, sessions and their arenas hold. The driver's own memory is not
    /// counted.
    pub fn allocated_bytes(&self) -> usize {
        self.usage.now()
    }

    /// The most bytes that were allocated at one time.
    pub fn peak_bytes(&self) -> usize {
        self.usage.peak()
    }

    /// Bytes of device memory that nobody has allocated, this process or another.
    pub fn free_bytes(&self) -> Result<usize> {
        self.bind_thread()?;
        let (free, _) = result::mem_get_info().map_err(Error::driver("asking how much memory is free"))?;
        Ok(free)
    }

    /// Queues setting every byte of an existing tensor.
    ///
    /// # Panics
    /// If the tensor is planned.
    pub fn fill(&self, tensor: &Tensor, byte: u8) -> Result<()> {
        if tensor.bytes() == 0 {
            return Ok(());
        }
        self.bind_thread()?;
        // SAFETY: the tensor lies in its buffer.
        unsafe { result::memset_d8_async(tensor.address(), byte, tensor.bytes(), self.stream.cu_stream()) }
            .map_err(|source| self.failure("filling device memory".into(), source))
    }

    /// A new tensor with these elements.
    pub fn upload<T: bytemuck::NoUninit>(&self, dtype: DType, shape: &[usize], elements: &[T]) -> Result<Tensor> {
        let bytes = std::mem::size_of_val(elements);
        let tensor = self.allocate(bytes)?.tensor(dtype, shape);
        self.write(&tensor, elements)?;
        Ok(tensor)
    }

    /// Queues a copy of host elements over a tensor; the elements may change after the call.
    ///
    /// # Panics
    /// If the tensor is planned, or has other bytes.
    pub fn write<T: bytemuck::NoUninit>(&self, tensor: &Tensor, elements: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        assert_eq!(bytes.len(), tensor.bytes(), "into {tensor:?}");
        if bytes.is_empty() {
            return Ok(());
        }
        self.bind_thread()?;
        // SAFETY: the tensor lies in its buffer; pageable host memory is staged before the call returns.
        unsafe { result::memcpy_htod_async(tensor.address(), bytes, self.stream.cu_stream()) }
            .map_err(|source| self.failure("copying to the device".into(), source))
    }

    /// Waits for all queued work, then copies a tensor's elements to the host.
    ///
    /// # Panics
    /// If the tensor is planned or `T` does not divide its bytes.
    pub fn read<T: bytemuck::Pod>(&self, tensor: &Tensor) -> Result<Vec<T>> {
        let mut elements = vec![T::zeroed(); tensor.bytes() / size_of::<T>()];
        assert_eq!(std::mem::size_of_val(elements.as_slice()), tensor.bytes(), "from {tensor:?}");
        self.bind_thread()?;
        // SAFETY: the tensor lies in its buffer, the vector has its bytes and outlives the copy.
        unsafe { result::memcpy_dtoh_async(&mut elements, tensor.address(), self.stream.cu_stream()) }
            .map_err(|source| self.failure("copying from the device".into(), source))?;
        self.synchronize()?;
        Ok(elements)
    }

    /// Waits for all queued work.
    pub fn synchronize(&self) -> Result<()> {
        self.stream.synchronize().map_err(|source| self.failure("running the kernels".into(), source))
    }

    /// Marks the end of the work queued so far, with its time.
    pub fn mark(&self) -> Result<Mark> {
        let flags = CUevent_flags::CU_EVENT_DEFAULT;
        let event = self.stream.record_event(Some(flags));
        event.map(Mark).map_err(|source| self.failure("recording an event".into(), source))
    }

    /// Moves a mark to the end of the work queued so far.
    pub fn mark_again(&self, mark: &Mark) -> Result<()> {
        mark.0.record(&self.stream).map_err(|source| self.failure("recording an event".into(), source))
    }

    /// Whether the device has reached a mark.
    pub fn reached(&self, mark: &Mark) -> Result<bool> {
        mark.0.try_is_complete().map_err(|source| self.failure("running the kernels".into(), source))
    }

    /// The device's time from one reached mark to another.
    pub fn elapsed(&self, from: &Mark, to: &Mark) -> Result<Duration> {
        let milliseconds = from.0.elapsed_ms(&to.0).map_err(Error::driver("reading an event's time"))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    /// A driver error with what the driver says beyond its number.
    fn failure(&self, doing: String, source: DriverError) -> Error {
        Error::Driver { doing: self.driver.explain(doing), source }
    }

    fn bind_thread(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(Error::driver("binding the context"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_before_ampere_is_refused_by_name() {
        let mut capabilities = Capabilities {
            name: "NVIDIA T4".into(),
            compute_capability: (7, 5),
            multiprocessors: 40,
            shared_bytes_per_block: 65_536,
            memory_bytes: 16 << 30,
        };
        let message = capabilities.check().expect_err("it is too old").to_string();
        assert!(message.contains("NVIDIA T4") && message.contains("7.5") && message.contains("8.0"), "{message}");
        capabilities.compute_capability = (8, 0);
        capabilities.check().expect("Ampere is young enough");
    }
}
