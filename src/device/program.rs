//! A plan bound to memory and functions: ready to run, or to be captured as a CUDA graph.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::sys::{
    CUfunction_attribute_enum as FunctionAttribute, CUgraphInstantiate_flags, CUstreamCaptureMode,
};
use cudarc::driver::{CudaFunction, CudaGraph, result};

use super::{Buffer, Device};
use crate::error::{Error, Result};
use crate::plan::{Arg, DType, Launch, Layout, Plan, Storage, Tensor};

/// The most parameters a kernel has.
const MAX_PARAMETERS: usize = 32;

/// Shared memory a block gets without opting in, bytes.
const DEFAULT_SHARED_BYTES: u32 = 48 * 1024;

/// Where a program's planned tensors lie.
#[derive(Clone, Debug)]
pub enum Memory {
    /// In one arena, shared with whatever else is bound to it.
    Arena(Arc<Buffer>),
    /// Each in an allocation of its own, filled with NaN, made before its first use and freed after its last: what one
    /// arena hides (reading too far, too early, too late) fails here. Slow; for tests.
    Separate,
}

/// A plan that can run.
pub struct Program {
    launches: Vec<Bound>,
    /// Keeps the plan's buffers alive, and says what to allocate when.
    plan: Plan,
    memory: Memory,
}

/// A launch with its function and the 8-byte cells of its parameters.
struct Bound {
    entry: &'static str,
    function: CudaFunction,
    grid: (u32, u32, u32),
    block: (u32, u32, u32),
    shared_bytes: u32,
    cells: Vec<u64>,
}

impl Device {
    /// Binds a plan to memory. Its kernels must have been prepared.
    ///
    /// # Panics
    /// If the plan was recorded over tensors that have no memory.
    pub fn bind(&self, plan: &Plan, memory: &Memory) -> Result<Program> {
        let layout = Layout::new(plan);
        let base = match memory {
            Memory::Arena(arena) if arena.bytes() < layout.bytes => {
                return Err(Error::Device(format!(
                    "an arena of {} bytes for a plan of {}",
                    arena.bytes(),
                    layout.bytes
                )));
            }
            Memory::Arena(arena) => arena.address(),
            Memory::Separate => 0,
        };
        let bases: Vec<Option<u64>> = layout.offsets.iter().map(|offset| Some(base + (*offset)? as u64)).collect();
        let launches =
            plan.launches().iter().map(|launch| self.bind_launch(plan, launch, &bases)).collect::<Result<_>>()?;
        Ok(Program { launches, plan: plan.clone(), memory: memory.clone() })
    }

    fn bind_launch(&self, plan: &Plan, launch: &Launch, bases: &[Option<u64>]) -> Result<Bound> {
        let function = self.function(&launch.unit, launch.entry)?;
        if launch.shared_bytes > DEFAULT_SHARED_BYTES {
            let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(attribute, launch.shared_bytes as i32).map_err(Error::driver(format!(
                "{} bytes of shared memory for {}",
                launch.shared_bytes, launch.entry
            )))?;
        }
        assert!(launch.args.len() <= MAX_PARAMETERS, "{} has {} parameters", launch.entry, launch.args.len());
        let cells = launch.args.iter().map(|arg| cell(plan, arg, bases)).collect();
        let [x, y, z] = launch.grid;
        Ok(Bound {
            entry: launch.entry,
            function,
            grid: (x, y, z),
            block: (launch.block, 1, 1),
            shared_bytes: launch.shared_bytes,
            cells,
        })
    }
}

/// A parameter as the eight bytes of which the driver reads as many as the kernel declares.
fn cell(plan: &Plan, arg: &Arg, bases: &[Option<u64>]) -> u64 {
    match arg {
        Arg::Null => 0,
        Arg::U32(value) => u64::from(*value),
        Arg::I32(value) => u64::from(*value as u32),
        Arg::F32(value) => u64::from(value.to_bits()),
        Arg::Read(tensor) | Arg::Write(tensor) | Arg::Update(tensor) => address(plan, tensor, bases),
    }
}

/// Where a tensor starts. A planned tensor that lies nowhere yet counts from zero.
fn address(plan: &Plan, tensor: &Tensor, bases: &[Option<u64>]) -> u64 {
    let Storage::Planned(index) = &tensor.storage else { return tensor.address() };
    let start = match &plan.tensors[*index].placed {
        Some(destination) => address(plan, destination, bases),
        None => bases[*index].unwrap_or(0),
    };
    start + tensor.byte_offset as u64
}

impl Program {
    /// Queues every launch on the device's stream.
    pub fn run(&self, device: &Device) -> Result<()> {
        match &self.memory {
            Memory::Arena(_) => self.launches.iter().try_for_each(|launch| launch.queue(device, &launch.cells)),
            Memory::Separate => self.run_separately(device),
        }
    }

    /// Captures the launches as a graph; in separate memory there is nothing to capture, and the graph runs them.
    pub fn capture(self, device: &Device) -> Result<Graph> {
        if let Memory::Separate = self.memory {
            return Ok(Graph { graph: None, program: self });
        }
        let stream = &device.stream;
        stream
            .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .map_err(Error::driver("capturing a graph"))?;
        let queued = self.run(device);
        // SAFETY: zero is the documented value for no flags.
        let flags: CUgraphInstantiate_flags = unsafe { std::mem::transmute(0) };
        let graph = stream.end_capture(flags).map_err(Error::driver("instantiating a graph"));
        queued?;
        Ok(Graph { graph: graph?, program: self })
    }

    /// Runs with one allocation a tensor, alive only from its first launch to its last.
    fn run_separately(&self, device: &Device) -> Result<()> {
        let lifetimes = self.plan.lifetimes();
        let mut alive: Vec<Option<Arc<Buffer>>> = vec![None; lifetimes.len()];
        for (index, (bound, launch)) in self.launches.iter().zip(self.plan.launches()).enumerate() {
            for (planned, lifetime) in lifetimes.iter().enumerate() {
                if lifetime.is_some_and(|(first, _)| first == index) {
                    let buffer = device.allocate(self.plan.tensors[planned].bytes)?;
                    device.fill(&buffer.tensor(DType::U8, &[buffer.bytes()]), 0xFF)?;
                    alive[planned] = Some(buffer);
                }
            }
            let bases: Vec<Option<u64>> =
                alive.iter().map(|buffer| buffer.as_ref().map(|buffer| buffer.address())).collect();
            let cells: Vec<u64> = launch.args.iter().map(|arg| cell(&self.plan, arg, &bases)).collect();
            bound.queue(device, &cells)?;
            device.synchronize()?;
            for (planned, lifetime) in lifetimes.iter().enumerate() {
                if lifetime.is_some_and(|(_, last)| last == index) {
                    alive[planned] = None;
                }
            }
        }
        Ok(())
    }
}

impl Bound {
    fn queue(&self, device: &Device, cells: &[u64]) -> Result<()> {
        let mut parameters = [std::ptr::null_mut::<c_void>(); MAX_PARAMETERS];
        for (parameter, cell) in parameters.iter_mut().zip(cells) {
            *parameter = std::ptr::from_ref(cell).cast_mut().cast();
        }
        // SAFETY: the operator that recorded the launch gave the kernel's parameters in order, over tensors that the
        // plan keeps alive; the driver copies the cells before it returns.
        unsafe {
            result::launch_kernel(
                self.function.cu_function(),
                self.grid,
                self.block,
                self.shared_bytes,
                device.stream.cu_stream(),
                &mut parameters[..cells.len()],
            )
        }
        .map_err(|source| device.failure(format!("launching {}", self.entry), source))
    }
}

/// A captured program: one driver call runs it all.
pub struct Graph {
    graph: Option<CudaGraph>,
    program: Program,
}

// SAFETY: the driver's graph handles may be used from any thread, one at a time, which `&mut` callers ensure.
unsafe impl Send for Graph {}

impl Graph {
    /// Queues the whole program on the device's stream.
    pub fn launch(&self, device: &Device) -> Result<()> {
        match &self.graph {
            Some(graph) => graph.launch().map_err(|source| device.failure("launching a graph".into(), source)),
            None => self.program.run(device),
        }
    }
}
