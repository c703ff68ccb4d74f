//! Contexts: the primary one, those that are created, and the stack of each thread.

use std::collections::HashMap;
use std::thread::ThreadId;

use super::driver::{Driver, call, with_context_stack};
use super::error::{CUresult, Result, refused};
use super::queue::Ticket;
use super::stream::Stream;
use super::types::{CUcontext, CUdevice, CUevent, CUstream, Out};
use crate::check::leaks;
use crate::config;
use crate::exec::{DEFAULT_HEAP_BYTES, Limits};
use crate::statistics::count;

/// A context and what only it has.
#[derive(Debug)]
pub struct Context {
    pub flags: u32,
    /// A number that no other context of the process has.
    id: u64,
    /// The error of the work that failed: every later call answers with it.
    pub fault: Option<CUresult>,
    /// The legacy default stream.
    pub legacy: CUstream,
    /// Default streams of threads that use their own.
    pub per_thread: HashMap<ThreadId, CUstream>,
    /// Last work of blocking streams that were destroyed.
    pub orphans: Vec<Ticket>,
    cache_preference: u32,
    limits: HashMap<u32, usize>,
}

impl Context {
    /// Whether a stream is the legacy default stream, or that of a thread.
    pub fn has_default_stream(&self, stream: CUstream) -> bool {
        self.legacy == stream || self.per_thread.values().any(|&other| other == stream)
    }
}

/// Limits by number, with the values that a device starts with.
const LIMITS: &[(u32, usize)] = &[
    (STACK_SIZE, 1 << 10),
    (PRINTF_FIFO_SIZE, 1 << 20),
    (MALLOC_HEAP_SIZE, DEFAULT_HEAP_BYTES as usize),
    (3, 2),
    (4, 2048),
    (5, 64),
    (6, 0),
];
const STACK_SIZE: u32 = 0;
const PRINTF_FIFO_SIZE: u32 = 1;
const MALLOC_HEAP_SIZE: u32 = 2;
/// Local memory of a thread, its stack included (CUDA C++ programming guide, "technical specifications").
const LOCAL_BYTES_PER_THREAD: usize = 512 << 10;
/// All flags that a context may have: scheduling (3 bits), mapped host memory, keeping local memory, core dumps,
/// synchronous memory operations.
const CONTEXT_FLAGS: u32 = 0xff;

impl Driver {
    /// What the kernels of a context are granted.
    pub fn kernel_limits(&self, context: CUcontext) -> Limits {
        let limits = self.contexts.get(&context).map(|context| &context.limits);
        limits.map_or_else(Limits::default, |limits| Limits {
            stack_bytes: limits[&STACK_SIZE] as u32,
            printf_bytes: limits[&PRINTF_FIFO_SIZE],
        })
    }

    /// Bytes of the heap that each module of a context gets which allocates.
    pub fn heap_bytes(&self, context: CUcontext) -> usize {
        self.contexts.get(&context).map_or(DEFAULT_HEAP_BYTES as usize, |context| context.limits[&MALLOC_HEAP_SIZE])
    }

    /// Makes a context with the handle `handle`.
    fn create_context(&mut self, handle: CUcontext, flags: u32) -> Result {
        if self.contexts.is_empty() {
            let bytes = self.config()?.device.memory_bytes;
            self.memory.set_capacity(bytes);
        }
        let legacy = CUstream(self.new_handle());
        self.streams.insert(legacy, Stream::new(handle, 0, 0));
        let context = Context {
            flags,
            id: legacy.0 as u64,
            fault: None,
            legacy,
            per_thread: HashMap::new(),
            orphans: Vec::new(),
            cache_preference: 0,
            limits: LIMITS.iter().copied().collect(),
        };
        self.contexts.insert(handle, context);
        leaks::watch_exit();
        config::context_created();
        Ok(())
    }

    /// Ends a context with everything in it, once the work is done that was asked of it.
    fn destroy_context(&mut self, handle: CUcontext) -> Result {
        // Another thread may ask for more meanwhile, and a fault is told nobody any more.
        while self.contexts.contains_key(&handle) && !self.queue.of_context(handle).is_empty() {
            let _ = self.wait_for_context(handle);
        }
        self.report_leaks_of(handle);
        if self.contexts.remove(&handle).is_none() {
            return refused(CUresult::INVALID_CONTEXT, "no such context, or it was destroyed");
        }
        let state = &mut **self;
        state.captures.retain(|_, capture| capture.context != handle);
        state.streams.retain(|_, stream| stream.context != handle);
        state.events.retain(|_, event| event.context != handle);
        state.functions.retain(|_, function| function.context != handle);
        state.next_launches.retain(|function, _| state.functions.contains_key(function));
        state.modules.retain(|_, module| module.context != handle);
        state.executables.retain(|_, executable| executable.context != handle);
        state.graphs.retain(|_, graph| graph.context != handle);
        state.nodes.retain(|_, graph| state.graphs.contains_key(graph));
        let blocks = state.blocks.extract_if(|_, block| block.context == handle);
        blocks.for_each(|(start, _)| {
            state.memory.free(start);
        });
        let host_blocks: Vec<_> = state.host_blocks.extract_if(|_, block| block.context == handle).collect();
        host_blocks.iter().for_each(|(start, block)| self.release_host(*start, block));
        self.forget_modules_of_libraries(handle);
        config::context_destroyed();
        Ok(())
    }

    fn context(&self, handle: CUcontext) -> Result<&Context> {
        match self.contexts.get(&handle) {
            Some(context) => Ok(context),
            None => refused(CUresult::INVALID_CONTEXT, "no such context, or it was destroyed"),
        }
    }

    /// Runs everything that was asked of any context. Faults show in the next call of their own context.
    pub fn wait_for_all(&mut self) {
        let contexts: Vec<CUcontext> = self.contexts.keys().copied().collect();
        for context in contexts {
            let _ = self.wait_for_context(context);
        }
    }

    /// Runs everything that was asked of `context`.
    pub fn wait_for_context(&mut self, context: CUcontext) -> Result {
        let targets = self.queue.of_context(context);
        self.wait(context, &targets)
    }
}

/// Refuses any device but number 0.
pub fn check_device(device: CUdevice) -> Result {
    if device == 0 { Ok(()) } else { refused(CUresult::INVALID_DEVICE, format!("there is no device {device}")) }
}

fn check_flags(flags: u32) -> Result {
    if flags & !CONTEXT_FLAGS != 0 || !matches!(flags & 7, 0 | 1 | 2 | 4) {
        return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a context"));
    }
    Ok(())
}

/// Gives the device's primary context, which the first call makes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: Out<CUcontext>, device: CUdevice) -> CUresult {
    call("cuDevicePrimaryCtxRetain", |driver| {
        check_device(device)?;
        let handle = match driver.primary {
            Some(handle) => handle,
            None => CUcontext(driver.new_handle()),
        };
        context.set(handle)?;
        driver.primary = Some(handle);
        if !driver.contexts.contains_key(&handle) {
            driver.create_context(handle, driver.primary_flags)?;
        }
        driver.primary_references += 1;
        Ok(())
    })
}

/// Gives the primary context back; the last call ends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CUdevice) -> CUresult {
    call("cuDevicePrimaryCtxRelease_v2", |driver| {
        check_device(device)?;
        match (driver.primary, driver.primary_references) {
            (Some(handle), 1) => {
                driver.primary_references = 0;
                driver.destroy_context(handle)
            }
            (Some(_), 2..) => {
                driver.primary_references -= 1;
                Ok(())
            }
            _ => refused(CUresult::INVALID_CONTEXT, "the primary context is not retained"),
        }
    })
}

/// Ends the primary context, whoever still retains it; a fault in it is forgotten.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxReset_v2(device: CUdevice) -> CUresult {
    call("cuDevicePrimaryCtxReset_v2", |driver| {
        check_device(device)?;
        let Some(handle) = driver.primary.filter(|handle| driver.contexts.contains_key(handle)) else { return Ok(()) };
        driver.destroy_context(handle)?;
        if driver.primary_references > 0 { driver.create_context(handle, driver.primary_flags) } else { Ok(()) }
    })
}

/// Flags of the primary context, and whether it lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxGetState(device: CUdevice, flags: Out<u32>, active: Out<i32>) -> CUresult {
    call("cuDevicePrimaryCtxGetState", |driver| {
        check_device(device)?;
        flags.set(driver.primary_flags)?;
        active.set(i32::from(driver.primary_references > 0))
    })
}

/// Sets the flags of the primary context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: CUdevice, flags: u32) -> CUresult {
    call("cuDevicePrimaryCtxSetFlags_v2", |driver| {
        check_device(device)?;
        check_flags(flags)?;
        driver.primary_flags = flags;
        if let Some(context) = driver.primary.and_then(|handle| driver.contexts.get_mut(&handle)) {
            context.flags = flags;
        }
        Ok(())
    })
}

fn create(driver: &mut Driver, context: Out<CUcontext>, flags: u32, device: CUdevice) -> Result {
    check_device(device)?;
    check_flags(flags)?;
    let handle = CUcontext(driver.new_handle());
    context.set(handle)?;
    driver.create_context(handle, flags)?;
    with_context_stack(|stack| stack.push(handle));
    Ok(())
}

/// Makes a context and pushes it on the thread's stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v2(context: Out<CUcontext>, flags: u32, device: CUdevice) -> CUresult {
    call("cuCtxCreate_v2", |driver| create(driver, context, flags, device))
}

/// As [`cuCtxCreate_v2`]; a share of the multiprocessors cannot be asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v3(
    context: Out<CUcontext>,
    affinity: Out<u8>,
    affinity_count: i32,
    flags: u32,
    device: CUdevice,
) -> CUresult {
    call("cuCtxCreate_v3", |driver| {
        if !affinity.is_null() || affinity_count != 0 {
            return refused(CUresult::NOT_SUPPORTED, "contexts with a share of the multiprocessors");
        }
        create(driver, context, flags, device)
    })
}

/// As [`cuCtxCreate_v2`]; creation parameters cannot be given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v4(
    context: Out<CUcontext>,
    parameters: Out<u8>,
    flags: u32,
    device: CUdevice,
) -> CUresult {
    call("cuCtxCreate_v4", |driver| {
        if !parameters.is_null() {
            return refused(CUresult::NOT_SUPPORTED, "contexts with creation parameters");
        }
        create(driver, context, flags, device)
    })
}

/// Ends a context that was created, wherever it is current.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxDestroy_v2(context: CUcontext) -> CUresult {
    call("cuCtxDestroy_v2", |driver| {
        if driver.primary == Some(context) {
            return refused(CUresult::INVALID_CONTEXT, "the primary context is released, not destroyed");
        }
        driver.destroy_context(context)?;
        with_context_stack(|stack| {
            if stack.last() == Some(&context) {
                stack.pop();
            }
        });
        Ok(())
    })
}

/// The thread's context, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: Out<CUcontext>) -> CUresult {
    call("cuCtxGetCurrent", |_| context.set(with_context_stack(|stack| stack.last().copied()).unwrap_or(CUcontext(0))))
}

/// Replaces the top of the thread's stack; null takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCurrent(context: CUcontext) -> CUresult {
    call("cuCtxSetCurrent", |driver| {
        if context.0 != 0 {
            driver.context(context)?;
        }
        with_context_stack(|stack| {
            stack.pop();
            if context.0 != 0 {
                stack.push(context);
            }
        });
        Ok(())
    })
}

/// Pushes a context on the thread's stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPushCurrent_v2(context: CUcontext) -> CUresult {
    call("cuCtxPushCurrent_v2", |driver| {
        driver.context(context)?;
        with_context_stack(|stack| stack.push(context));
        Ok(())
    })
}

/// Pops the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: Out<CUcontext>) -> CUresult {
    call("cuCtxPopCurrent_v2", |_| match with_context_stack(Vec::pop) {
        Some(popped) => {
            context.set_if_wanted(popped);
            Ok(())
        }
        None => refused(CUresult::INVALID_CONTEXT, "no context is current on this thread"),
    })
}

/// The device of the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: Out<CUdevice>) -> CUresult {
    call("cuCtxGetDevice", |driver| {
        driver.current()?;
        device.set(0)
    })
}

/// The flags of the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetFlags(flags: Out<u32>) -> CUresult {
    call("cuCtxGetFlags", |driver| {
        let context = driver.current()?;
        flags.set(driver.context(context)?.flags)
    })
}

/// Sets the flags of the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetFlags(flags: u32) -> CUresult {
    call("cuCtxSetFlags", |driver| {
        check_flags(flags)?;
        let context = driver.current()?;
        if let Some(context) = driver.contexts.get_mut(&context) {
            context.flags = flags;
        }
        Ok(())
    })
}

/// The version of the API that a context speaks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetApiVersion(context: CUcontext, version: Out<u32>) -> CUresult {
    call("cuCtxGetApiVersion", |driver| {
        let context = if context.0 == 0 { driver.current()? } else { context };
        driver.context(context)?;
        version.set(3020)
    })
}

/// Waits for everything that was asked of the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSynchronize() -> CUresult {
    call("cuCtxSynchronize", |driver| {
        let context = driver.current()?;
        driver.forbid_captured_context(context, "waiting for")?;
        count(|statistics| statistics.synchronisations += 1);
        driver.wait_for_context(context)
    })
}

/// As [`cuCtxSynchronize`], for any context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSynchronize_v2(context: CUcontext) -> CUresult {
    call("cuCtxSynchronize_v2", |driver| {
        let context = if context.0 == 0 { driver.current()? } else { context };
        driver.context(context)?;
        driver.forbid_captured_context(context, "waiting for")?;
        count(|statistics| statistics.synchronisations += 1);
        driver.wait_for_context(context)
    })
}

/// The device of a context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice_v2(device: Out<CUdevice>, context: CUcontext) -> CUresult {
    call("cuCtxGetDevice_v2", |driver| {
        let context = if context.0 == 0 { driver.current()? } else { context };
        driver.context(context)?;
        device.set(0)
    })
}

/// A number that no other context has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetId(context: CUcontext, id: Out<u64>) -> CUresult {
    call("cuCtxGetId", |driver| {
        let context = if context.0 == 0 { driver.current()? } else { context };
        id.set(driver.context(context)?.id)
    })
}

/// Marks the place behind everything that was asked of a context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxRecordEvent(context: CUcontext, event: CUevent) -> CUresult {
    call("cuCtxRecordEvent", |driver| {
        driver.context(context)?;
        driver.forbid_captured_context(context, "recording an event in")?;
        driver.record_context(context, event)
    })
}

/// Lets everything that will be asked of a context wait for an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxWaitEvent(context: CUcontext, event: CUevent) -> CUresult {
    call("cuCtxWaitEvent", |driver| {
        driver.context(context)?;
        driver.forbid_captured_context(context, "waiting for an event in")?;
        let streams = driver.streams.iter().filter(|(_, stream)| stream.context == context);
        let streams: Vec<CUstream> = streams.map(|(&handle, _)| handle).collect();
        streams.into_iter().try_for_each(|stream| driver.stream_waits(stream, event, 0))
    })
}

/// Ends the preference of cached lines, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxResetPersistingL2Cache() -> CUresult {
    call("cuCtxResetPersistingL2Cache", |driver| driver.current().map(|_| ()))
}

/// Lets the thread's context reach the memory of another. Contexts of one device do so without asking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxEnablePeerAccess(peer: CUcontext, flags: u32) -> CUresult {
    call("cuCtxEnablePeerAccess", |driver| {
        let context = driver.current()?;
        driver.context(peer)?;
        if flags != 0 {
            return refused(CUresult::INVALID_VALUE, "access to a peer has no flags");
        }
        if peer == context {
            return refused(CUresult::INVALID_DEVICE, "a context is no peer of itself");
        }
        refused(CUresult::PEER_ACCESS_UNSUPPORTED, "there is no other device")
    })
}

/// Ends what [`cuCtxEnablePeerAccess`] began, which never begins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxDisablePeerAccess(peer: CUcontext) -> CUresult {
    call("cuCtxDisablePeerAccess", |driver| {
        driver.current()?;
        driver.context(peer)?;
        refused(CUresult::PEER_ACCESS_NOT_ENABLED, "access to the peer was not enabled")
    })
}

/// The value of a limit of the thread's context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetLimit(value: Out<usize>, limit: u32) -> CUresult {
    call("cuCtxGetLimit", |driver| {
        let context = driver.current()?;
        match driver.context(context)?.limits.get(&limit) {
            Some(&found) => value.set(found),
            None => refused(CUresult::UNSUPPORTED_LIMIT, format!("there is no limit {limit}")),
        }
    })
}

/// Sets a limit of the thread's context: the stack of a thread from the next launch on, the buffer of `printf`, and the
/// heap of `malloc`, which must not have been used yet. The others change nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetLimit(limit: u32, value: usize) -> CUresult {
    call("cuCtxSetLimit", |driver| {
        let context = driver.current()?;
        match limit {
            STACK_SIZE if value > LOCAL_BYTES_PER_THREAD => {
                let message = format!("a stack of {value} bytes; a thread has at most {LOCAL_BYTES_PER_THREAD}");
                return refused(CUresult::INVALID_VALUE, message);
            }
            MALLOC_HEAP_SIZE => driver.resize_heaps(context, value)?,
            _ => {}
        }
        match driver.contexts.get_mut(&context).and_then(|context| context.limits.get_mut(&limit)) {
            Some(known) => {
                *known = value;
                Ok(())
            }
            None => refused(CUresult::UNSUPPORTED_LIMIT, format!("there is no limit {limit}")),
        }
    })
}

/// The preference between L1 and shared memory, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCacheConfig(preference: Out<u32>) -> CUresult {
    call("cuCtxGetCacheConfig", |driver| {
        let context = driver.current()?;
        preference.set(driver.context(context)?.cache_preference)
    })
}

/// Sets the preference between L1 and shared memory, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCacheConfig(preference: u32) -> CUresult {
    call("cuCtxSetCacheConfig", |driver| {
        let context = driver.current()?;
        if preference > 3 {
            return refused(CUresult::INVALID_VALUE, format!("{preference} is no cache preference"));
        }
        if let Some(context) = driver.contexts.get_mut(&context) {
            context.cache_preference = preference;
        }
        Ok(())
    })
}

/// Refuses numbers that are no width of the banks of shared memory.
pub fn check_bank_width(width: u32) -> Result {
    match width {
        0..=2 => Ok(()),
        _ => refused(CUresult::INVALID_VALUE, format!("{width} is no width of shared memory's banks")),
    }
}

/// The width of the banks of shared memory: 4 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetSharedMemConfig(width: Out<u32>) -> CUresult {
    const FOUR_BYTES: u32 = 1;
    call("cuCtxGetSharedMemConfig", |driver| {
        driver.current()?;
        width.set(FOUR_BYTES)
    })
}

/// Sets the width of the banks of shared memory, which devices no longer choose.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetSharedMemConfig(width: u32) -> CUresult {
    call("cuCtxSetSharedMemConfig", |driver| {
        driver.current()?;
        check_bank_width(width)
    })
}

/// The range of stream priorities: least, then greatest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) -> CUresult {
    call("cuCtxGetStreamPriorityRange", |driver| {
        driver.current()?;
        least.set_if_wanted(super::stream::LEAST_PRIORITY);
        greatest.set_if_wanted(super::stream::GREATEST_PRIORITY);
        Ok(())
    })
}

super::exports![
    cuDevicePrimaryCtxRetain,
    cuDevicePrimaryCtxRelease_v2,
    cuDevicePrimaryCtxReset_v2,
    cuDevicePrimaryCtxGetState,
    cuDevicePrimaryCtxSetFlags_v2,
    cuCtxCreate_v2,
    cuCtxCreate_v3,
    cuCtxCreate_v4,
    cuCtxDestroy_v2,
    cuCtxGetCurrent,
    cuCtxSetCurrent,
    cuCtxPushCurrent_v2,
    cuCtxPopCurrent_v2,
    cuCtxGetDevice,
    cuCtxGetFlags,
    cuCtxSetFlags,
    cuCtxGetApiVersion,
    cuCtxSynchronize,
    cuCtxSynchronize_v2,
    cuCtxGetDevice_v2,
    cuCtxGetId,
    cuCtxRecordEvent,
    cuCtxWaitEvent,
    cuCtxResetPersistingL2Cache,
    cuCtxEnablePeerAccess,
    cuCtxDisablePeerAccess,
    cuCtxGetLimit,
    cuCtxSetLimit,
    cuCtxGetCacheConfig,
    cuCtxSetCacheConfig,
    cuCtxGetSharedMemConfig,
    cuCtxSetSharedMemConfig,
    cuCtxGetStreamPriorityRange,
];
