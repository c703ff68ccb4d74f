//! Kernels as the driver sees them: attributes and limits.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUcontext, CUfunction, CUmodule, Out};
use crate::device::{Description, SHARED_BYTES_PER_BLOCK};
use crate::exec::{KernelInfo, Module};
use crate::occupancy::threads_limit;

/// A kernel of a loaded module.
#[derive(Debug)]
pub struct Function {
    pub context: CUcontext,
    pub module: CUmodule,
    pub code: Arc<Module>,
    /// The kernel's place in the module.
    pub kernel: usize,
    pub info: KernelInfo,
    /// The kernel's name as programs are told it.
    name: CString,
    /// The architecture that the PTX was made for, as 80.
    target: u32,
    /// The most dynamic shared memory that a launch may ask for.
    pub dynamic_shared_limit: u32,
    carveout: i32,
    /// Cluster sizes above the portable 8 are allowed; the scheduling policy of clusters.
    cluster: [i32; 2],
}

impl Function {
    pub fn new(context: CUcontext, module: CUmodule, code: Arc<Module>, kernel: usize, target: u32) -> Self {
        let info = code.kernels()[kernel].clone();
        let dynamic_shared_limit = SHARED_BYTES_PER_BLOCK.saturating_sub(info.static_shared_bytes);
        let name = CString::new(info.name.as_str()).unwrap_or_default();
        let (carveout, cluster) = (-1, [0; 2]);
        Function { context, module, code, kernel, info, name, target, dynamic_shared_limit, carveout, cluster }
    }
}

const MAX_DYNAMIC_SHARED: u32 = 8;
const CARVEOUT: u32 = 9;
const NON_PORTABLE_CLUSTER: u32 = 14;
const CLUSTER_SCHEDULING: u32 = 15;

impl Driver {
    /// A kernel of the current context.
    pub fn function(&self, handle: CUfunction) -> Result<&Function> {
        let context = self.current()?;
        match self.functions.get(&handle) {
            Some(function) if function.context == context => Ok(function),
            Some(_) => refused(CUresult::INVALID_HANDLE, "the function belongs to another context"),
            None => refused(CUresult::INVALID_HANDLE, "no such function, or its module was unloaded"),
        }
    }

    /// The value of an attribute.
    pub fn function_attribute(&self, handle: CUfunction, attribute: u32) -> Result<i32> {
        let device = self.config()?.device;
        let function = self.function(handle)?;
        let info = &function.info;
        let value = match attribute {
            0 => threads_limit(info),
            1 => info.static_shared_bytes,
            2 => function.code.constant_bytes() as u32,
            7 | 10..=13 => 0,
            // Updates by the device, and the mode of shared memory, which the driver has since CUDA 13.
            16 | 17 if self.config()?.driver_version >= 13_000 => 0,
            3 => info.local_bytes_per_thread,
            // What a program decides by it should not be that of a kernel without registers.
            4 => info.registers_per_thread.unwrap_or(info.estimated_registers_per_thread),
            5 => function.target,
            6 => device.architecture(),
            MAX_DYNAMIC_SHARED => function.dynamic_shared_limit,
            CARVEOUT => return Ok(function.carveout),
            NON_PORTABLE_CLUSTER | CLUSTER_SCHEDULING => {
                return Ok(function.cluster[(attribute - NON_PORTABLE_CLUSTER) as usize]);
            }
            _ => return refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a function")),
        };
        Ok(value as i32)
    }

    /// Sets an attribute, if it can be.
    pub fn set_function_attribute(&mut self, handle: CUfunction, attribute: u32, value: i32) -> Result {
        let device = self.config()?.device;
        let info = &self.function(handle)?.info;
        let static_bytes = info.static_shared_bytes;
        let Some(function) = self.functions.get_mut(&handle) else { return Ok(()) };
        match attribute {
            MAX_DYNAMIC_SHARED => {
                function.dynamic_shared_limit = checked_dynamic_shared(value, static_bytes, &device)?;
            }
            CARVEOUT if (-1..=100).contains(&value) => function.carveout = value,
            NON_PORTABLE_CLUSTER if device.compute_capability.0 >= 9 && matches!(value, 0 | 1) => {
                function.cluster[0] = value;
            }
            CLUSTER_SCHEDULING if device.compute_capability.0 >= 9 && (0..=2).contains(&value) => {
                function.cluster[1] = value;
            }
            _ => {
                let message = format!("attribute {attribute} of a function cannot be set to {value}");
                return refused(CUresult::INVALID_VALUE, message);
            }
        }
        Ok(())
    }
}

/// The limit of dynamic shared memory that leaves room for the static.
fn checked_dynamic_shared(value: i32, static_bytes: u32, device: &Description) -> Result<u32> {
    let most = device.shared_bytes_per_block_optin.saturating_sub(static_bytes);
    match u32::try_from(value) {
        Ok(bytes) if bytes <= most => Ok(bytes),
        _ => {
            let message = format!("{value} bytes of dynamic shared memory, of which this kernel can have {most}");
            refused(CUresult::INVALID_VALUE, message)
        }
    }
}

/// An attribute of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(value: Out<i32>, attribute: u32, function: CUfunction) -> CUresult {
    call("cuFuncGetAttribute", |driver| value.set(driver.function_attribute(function, attribute)?))
}

/// Sets an attribute of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetAttribute(function: CUfunction, attribute: u32, value: i32) -> CUresult {
    call("cuFuncSetAttribute", |driver| driver.set_function_attribute(function, attribute, value))
}

/// Sets a kernel's preference between L1 and shared memory, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetCacheConfig(function: CUfunction, preference: u32) -> CUresult {
    call("cuFuncSetCacheConfig", |driver| {
        driver.function(function)?;
        check_cache_preference(preference)
    })
}

/// Refuses numbers that are no preference between L1 and shared memory.
pub fn check_cache_preference(preference: u32) -> Result {
    match preference {
        0..=3 => Ok(()),
        _ => refused(CUresult::INVALID_VALUE, format!("{preference} is no cache preference")),
    }
}

impl Driver {
    /// Tells where a parameter lies among the parameters of a kernel.
    pub fn parameter_info(&self, handle: CUfunction, index: usize, offset: Out<usize>, bytes: Out<usize>) -> Result {
        let info = &self.function(handle)?.info;
        let Some(parameter) = info.parameters.get(index) else {
            let message = format!("kernel {} has {} parameters", info.name, info.parameters.len());
            return refused(CUresult::INVALID_VALUE, message);
        };
        bytes.set_if_wanted(parameter.bytes);
        offset.set(parameter.offset)
    }
}

/// Where a parameter of a kernel lies among its parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetParamInfo(
    function: CUfunction,
    index: usize,
    offset: Out<usize>,
    bytes: Out<usize>,
) -> CUresult {
    call("cuFuncGetParamInfo", |driver| driver.parameter_info(function, index, offset, bytes))
}

/// How many parameters a kernel has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetParamCount(function: CUfunction, parameter_count: Out<usize>) -> CUresult {
    call("cuFuncGetParamCount", |driver| parameter_count.set(driver.function(function)?.info.parameters.len()))
}

/// The name of a kernel, good as long as its module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetName(name: Out<*const c_char>, function: CUfunction) -> CUresult {
    call("cuFuncGetName", |driver| name.set(driver.function(function)?.name.as_ptr()))
}

/// Whether a kernel is loaded: it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncIsLoaded(state: Out<u32>, function: CUfunction) -> CUresult {
    const LOADED: u32 = 1;
    call("cuFuncIsLoaded", |driver| {
        driver.function(function)?;
        state.set(LOADED)
    })
}

/// Loads a kernel, which is loaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncLoad(function: CUfunction) -> CUresult {
    call("cuFuncLoad", |driver| driver.function(function).map(|_| ()))
}

/// Sets the width of the banks of shared memory, which devices no longer choose.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetSharedMemConfig(function: CUfunction, width: u32) -> CUresult {
    call("cuFuncSetSharedMemConfig", |driver| {
        driver.function(function)?;
        super::context::check_bank_width(width)
    })
}

/// The module of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetModule(module: Out<CUmodule>, function: CUfunction) -> CUresult {
    call("cuFuncGetModule", |driver| module.set(driver.function(function)?.module))
}

super::exports![
    cuFuncGetAttribute,
    cuFuncSetAttribute,
    cuFuncSetCacheConfig,
    cuFuncSetSharedMemConfig,
    cuFuncGetModule,
    cuFuncGetParamInfo,
    cuFuncGetParamCount,
    cuFuncGetName,
    cuFuncIsLoaded,
    cuFuncLoad,
];
