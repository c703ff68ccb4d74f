//! Kernel launches.

use std::sync::Arc;

use super::driver::{Driver, call};
use super::error::{CUresult, Failure, Result, refused};
use super::function::Function;
use super::types::{CUfunction, CUstream, In};
use super::work::Work;
use crate::device::{BLOCK_DIMENSIONS, Description, GRID_DIMENSIONS, THREADS_PER_BLOCK};
use crate::exec::{KernelInfo, Launch};
use crate::occupancy::{active_blocks, threads_limit};
use crate::report::{Report, announce};
use crate::statistics::count;

/// A launch as the caller describes it.
pub struct Request {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared_bytes: u32,
    pub stream: CUstream,
    pub cooperative: bool,
    /// One pointer a parameter, or null.
    pub parameters: In<In<u8>>,
    /// The packed parameter block in the form of a list of options, or null.
    pub extra: In<usize>,
}

impl Driver {
    /// The work that a launch asks for, once it is known to fit the kernel and the device.
    pub fn kernel_work(&mut self, handle: CUfunction, request: &Request) -> Result<Work> {
        let device = self.config()?.device;
        let handle = self.function_of_handle(handle)?;
        let function = self.function(handle)?;
        check_supported(function)?;
        check_shape(request)?;
        check_resources(function, request, &device)?;
        let launch = Launch {
            kernel: function.kernel,
            grid: request.grid,
            block: request.block,
            dynamic_shared_bytes: request.dynamic_shared_bytes,
            cooperative: request.cooperative,
            parameters: parameter_block(&function.info, request)?,
        };
        Ok(Work::Kernel { module: Arc::clone(&function.code), launch, function: handle })
    }

    /// Adds a kernel to a stream.
    pub fn launch(&mut self, handle: CUfunction, request: &Request) -> Result {
        let work = self.kernel_work(handle, request)?;
        let stream = self.stream(request.stream)?;
        self.enqueue(stream, work)?;
        count(|statistics| statistics.launches += 1);
        Ok(())
    }
}

/// Refuses kernels that the emulator does not execute, and says so: the context stays as it is.
fn check_supported(function: &Function) -> Result {
    let Some(report) = function.code.unsupported(function.kernel) else { return Ok(()) };
    let report = Report { kernel: Some(function.info.name.clone()), ..report.clone() };
    announce(&report);
    Err(Failure { code: CUresult::NOT_SUPPORTED, report: Some(Box::new(report)) })
}

/// Refuses grids and blocks that no device runs.
fn check_shape(request: &Request) -> Result {
    let Request { grid, block, .. } = request;
    let fits =
        |shape: &[u32; 3], most: [u32; 3]| shape.iter().zip(most).all(|(&side, most)| (1..=most).contains(&side));
    if !fits(grid, GRID_DIMENSIONS) {
        return refused(CUresult::INVALID_VALUE, format!("a grid of {grid:?}; the most is {GRID_DIMENSIONS:?}"));
    }
    let threads = threads_of(block);
    if !fits(block, BLOCK_DIMENSIONS) || threads > u64::from(THREADS_PER_BLOCK) {
        let message = format!(
            "a block of {block:?}, {threads} threads; the most is {BLOCK_DIMENSIONS:?}, {THREADS_PER_BLOCK} threads"
        );
        return refused(CUresult::INVALID_VALUE, message);
    }
    Ok(())
}

fn threads_of(block: &[u32; 3]) -> u64 {
    block.iter().map(|&side| u64::from(side)).product()
}

/// Refuses launches for which this kernel needs more than there is.
fn check_resources(function: &Function, request: &Request, device: &Description) -> Result {
    let info = &function.info;
    let threads = threads_of(&request.block) as u32;
    if request.dynamic_shared_bytes > function.dynamic_shared_limit {
        let message = format!(
            "kernel {} with {} bytes of dynamic shared memory on top of {} static ones; its limit is {} (attribute \
             CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)",
            info.name, request.dynamic_shared_bytes, info.static_shared_bytes, function.dynamic_shared_limit
        );
        return refused(CUresult::INVALID_VALUE, message);
    }
    if threads > info.max_threads_per_block {
        let message =
            format!("kernel {} with {threads} threads a block; its bound is {}", info.name, info.max_threads_per_block);
        return refused(CUresult::INVALID_VALUE, message);
    }
    if threads > threads_limit(info) {
        let registers = info.registers_per_thread.unwrap_or(0);
        let message =
            format!("kernel {}: {threads} threads of {registers} registers do not fit a multiprocessor", info.name);
        return refused(CUresult::LAUNCH_OUT_OF_RESOURCES, message);
    }
    if request.cooperative {
        let blocks: u64 = request.grid.iter().map(|&side| u64::from(side)).product();
        let active = active_blocks(device, info, threads, request.dynamic_shared_bytes.into());
        let most = u64::from(active) * u64::from(device.multiprocessors);
        if blocks > most {
            let message = format!("kernel {}: {blocks} blocks of which {most} run at once", info.name);
            return refused(CUresult::COOPERATIVE_LAUNCH_TOO_LARGE, message);
        }
    }
    Ok(())
}

/// Codes in the list of `extra`.
const PARAMETER_BUFFER_END: usize = 0;
const PARAMETER_BUFFER_POINTER: usize = 1;
const PARAMETER_BUFFER_SIZE: usize = 2;

/// The packed parameters: read during the call, as the driver does.
fn parameter_block(info: &KernelInfo, request: &Request) -> Result<Vec<u8>> {
    if !request.parameters.is_null() && !request.extra.is_null() {
        return refused(CUresult::INVALID_VALUE, "parameters as pointers and as a block at once");
    }
    if !request.extra.is_null() {
        return packed_parameters(info, request.extra);
    }
    let mut block = vec![0; info.parameter_bytes];
    for (index, parameter) in info.parameters.iter().enumerate() {
        let Ok(value) = request.parameters.element(index) else {
            let message = format!("kernel {} has {} parameters; none were given", info.name, info.parameters.len());
            return refused(CUresult::INVALID_VALUE, message);
        };
        if value.is_null() {
            return refused(CUresult::INVALID_VALUE, format!("kernel {}: no parameter {index}", info.name));
        }
        let range = parameter.offset..parameter.offset + parameter.bytes;
        block[range].copy_from_slice(&value.to_vec(parameter.bytes)?);
    }
    Ok(block)
}

fn packed_parameters(info: &KernelInfo, extra: In<usize>) -> Result<Vec<u8>> {
    let (mut block, mut bytes) = (None, None);
    for pair in 0.. {
        let value = || extra.element(2 * pair + 1);
        match extra.element(2 * pair)? {
            PARAMETER_BUFFER_END => break,
            PARAMETER_BUFFER_POINTER => block = Some(value()?),
            PARAMETER_BUFFER_SIZE => bytes = Some(In::<usize>::at(value()? as u64).get()?),
            other => return refused(CUresult::INVALID_VALUE, format!("{other} in the list of extra arguments")),
        }
    }
    match (block, bytes) {
        (Some(block), Some(bytes)) if bytes == info.parameter_bytes => In::<u8>::at(block as u64).to_vec(bytes),
        _ => {
            let message = format!("kernel {} has {} bytes of parameters", info.name, info.parameter_bytes);
            refused(CUresult::INVALID_VALUE, message)
        }
    }
}

/// Adds a kernel to a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: CUfunction,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    dynamic_shared_bytes: u32,
    stream: CUstream,
    parameters: In<In<u8>>,
    extra: In<usize>,
) -> CUresult {
    call("cuLaunchKernel", |driver| {
        let grid = [grid_x, grid_y, grid_z];
        let block = [block_x, block_y, block_z];
        let cooperative = false;
        driver.launch(function, &Request { grid, block, dynamic_shared_bytes, stream, cooperative, parameters, extra })
    })
}

/// Adds a kernel to a stream whose blocks all run at once and may wait for each other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchCooperativeKernel(
    function: CUfunction,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    dynamic_shared_bytes: u32,
    stream: CUstream,
    parameters: In<In<u8>>,
) -> CUresult {
    call("cuLaunchCooperativeKernel", |driver| {
        let grid = [grid_x, grid_y, grid_z];
        let block = [block_x, block_y, block_z];
        let (cooperative, extra) = (true, In::at(0));
        driver.launch(function, &Request { grid, block, dynamic_shared_bytes, stream, cooperative, parameters, extra })
    })
}

/// A launch as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUlaunchConfig {
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared_bytes: u32,
    stream: CUstream,
    attributes: In<LaunchAttribute>,
    attribute_count: u32,
}

/// An attribute of a launch.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct LaunchAttribute {
    id: u32,
    padding: [u8; 4],
    value: [u32; 16],
}

const IGNORE: u32 = 0;
const ACCESS_POLICY_WINDOW: u32 = 1;
const COOPERATIVE: u32 = 2;
const SYNCHRONIZATION_POLICY: u32 = 3;
const CLUSTER: u32 = 4;
const CLUSTER_POLICY: u32 = 5;
/// Leave to begin before the kernel before has ended.
const SERIALIZATION: u32 = 6;
const PRIORITY: u32 = 8;
const MEMORY_DOMAIN_MAP: u32 = 9;
const MEMORY_DOMAIN: u32 = 10;
const CARVEOUT: u32 = 14;

/// Adds a kernel to a stream, with attributes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernelEx(
    config: In<CUlaunchConfig>,
    function: CUfunction,
    parameters: In<In<u8>>,
    extra: In<usize>,
) -> CUresult {
    call("cuLaunchKernelEx", |driver| {
        let config = config.get()?;
        let mut cooperative = false;
        for attribute in config.attributes.to_vec(config.attribute_count as usize)? {
            match attribute.id {
                // They change no result: kernels of a stream run one after another.
                IGNORE
                | ACCESS_POLICY_WINDOW
                | SYNCHRONIZATION_POLICY
                | CLUSTER_POLICY
                | SERIALIZATION
                | PRIORITY
                | MEMORY_DOMAIN_MAP
                | MEMORY_DOMAIN
                | CARVEOUT => {}
                CLUSTER if attribute.value[..3] == [1; 3] => {}
                COOPERATIVE => cooperative = attribute.value[0] != 0,
                other => return refused(CUresult::NOT_SUPPORTED, format!("attribute {other} of a launch")),
            }
        }
        let CUlaunchConfig { grid, block, dynamic_shared_bytes, stream, .. } = config;
        driver.launch(function, &Request { grid, block, dynamic_shared_bytes, stream, cooperative, parameters, extra })
    })
}

super::exports![cuLaunchKernel, cuLaunchCooperativeKernel, cuLaunchKernelEx];
