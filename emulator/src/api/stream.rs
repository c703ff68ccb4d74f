//! Streams.

use std::collections::HashMap;

use super::driver::{Driver, State, call};
use super::error::{CUresult, Result, refused};
use super::queue::Ticket;
use super::types::{CUcontext, CUdevice, CUevent, CUstream, In, Out};
use super::work::{Callback, HostFunction, Work};
use crate::statistics::count;

/// A stream: a queue whose order is kept by each item waiting for the one before.
#[derive(Debug)]
pub struct Stream {
    pub context: CUcontext,
    pub flags: u32,
    pub priority: i32,
    /// The newest work of the stream.
    pub last: Option<Ticket>,
    /// The capture that the stream is in.
    pub capture: Option<u64>,
    /// Attributes that were set, by number.
    attributes: HashMap<u32, AttributeValue>,
}

/// Flag of a stream that takes no notice of the legacy default stream.
const NON_BLOCKING: u32 = 1;
/// Priorities go from 0 down to this one, as on devices since compute capability 7.0.
pub const GREATEST_PRIORITY: i32 = -5;
pub const LEAST_PRIORITY: i32 = 0;

impl Stream {
    pub fn new(context: CUcontext, flags: u32, priority: i32) -> Self {
        Stream { context, flags, priority, last: None, capture: None, attributes: HashMap::new() }
    }

    /// Whether the legacy default stream and this one wait for each other.
    pub fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }
}

impl Driver {
    /// What must be done for everything in `stream` to be done.
    fn outstanding(&mut self, stream: CUstream, what: &str) -> Result<Vec<Ticket>> {
        self.forbid_captured_stream(stream, what)?;
        let context = self.streams[&stream].context;
        if self.contexts[&context].legacy == stream { self.needs(stream) } else { Ok(self.last(stream)) }
    }

    fn last(&self, stream: CUstream) -> Vec<Ticket> {
        self.streams[&stream].last.into_iter().collect()
    }

    /// Waits for everything in `stream`.
    pub fn wait_for_stream(&mut self, stream: CUstream) -> Result {
        let context = self.streams[&stream].context;
        let targets = self.outstanding(stream, "waiting for")?;
        self.wait(context, &targets)
    }

    /// Runs `stream` up to its newest work, without the rules of the legacy default stream.
    pub fn wait_for_last(&mut self, stream: CUstream) -> Result {
        let context = self.streams[&stream].context;
        let targets = self.last(stream);
        self.wait(context, &targets)
    }
}

fn create(driver: &mut Driver, stream: Out<CUstream>, flags: u32, priority: i32) -> Result {
    let context = driver.current()?;
    if flags & !NON_BLOCKING != 0 {
        return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a stream"));
    }
    let handle = CUstream(driver.new_handle());
    stream.set(handle)?;
    let priority = priority.clamp(GREATEST_PRIORITY, LEAST_PRIORITY);
    driver.streams.insert(handle, Stream::new(context, flags, priority));
    Ok(())
}

/// Makes a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: Out<CUstream>, flags: u32) -> CUresult {
    call("cuStreamCreate", |driver| create(driver, stream, flags, LEAST_PRIORITY))
}

/// Makes a stream with a priority, which is brought into range and changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(stream: Out<CUstream>, flags: u32, priority: i32) -> CUresult {
    call("cuStreamCreateWithPriority", |driver| create(driver, stream, flags, priority))
}

/// Ends a stream; its work still runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamDestroy_v2(stream: CUstream) -> CUresult {
    call("cuStreamDestroy_v2", |driver| {
        if stream.0 <= 2 {
            return refused(CUresult::INVALID_HANDLE, "default streams cannot be destroyed");
        }
        if let Some(found) = driver.streams.get(&stream) {
            driver.health(found.context)?;
        }
        let Some(stream) = driver.streams.remove(&stream) else {
            return refused(CUresult::INVALID_HANDLE, "no such stream, or it was destroyed");
        };
        if let Some(number) = stream.capture {
            driver.drop_capture(number);
        }
        let orphan = stream.last.filter(|&last| stream.is_blocking() && driver.queue.is_pending(last));
        let State { contexts, queue, .. } = &mut **driver;
        if let Some(context) = contexts.get_mut(&stream.context) {
            context.orphans.retain(|&ticket| queue.is_pending(ticket));
            context.orphans.extend(orphan);
        }
        Ok(())
    })
}

/// Waits for everything in a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamSynchronize(stream: CUstream) -> CUresult {
    call("cuStreamSynchronize", |driver| {
        let stream = driver.stream(stream)?;
        driver.wait_for_stream(stream)?;
        count(|statistics| statistics.synchronisations += 1);
        Ok(())
    })
}

/// Whether everything in a stream is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamQuery(stream: CUstream) -> CUresult {
    call("cuStreamQuery", |driver| {
        let stream = driver.stream(stream)?;
        let context = driver.streams[&stream].context;
        let targets = driver.outstanding(stream, "asking for the state of")?;
        driver.query(context, &targets)
    })
}

/// Lets later work of a stream wait for an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: u32) -> CUresult {
    call("cuStreamWaitEvent", |driver| {
        let stream = driver.stream(stream)?;
        driver.stream_waits(stream, event, flags)
    })
}

/// Calls a function of the program from a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc(stream: CUstream, function: Option<HostFunction>, data: Out<u8>) -> CUresult {
    call("cuLaunchHostFunc", |driver| {
        let stream = driver.stream(stream)?;
        let Some(function) = function else {
            return refused(CUresult::INVALID_VALUE, "a null pointer for a host function");
        };
        driver.enqueue(stream, Work::Host { function, data: data.address() })?;
        Ok(())
    })
}

/// As [`cuLaunchHostFunc`]; the mode, which says how the device waits, changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc_v2(
    stream: CUstream,
    function: Option<HostFunction>,
    data: Out<u8>,
    mode: u32,
) -> CUresult {
    if mode > 1 {
        return CUresult::INVALID_VALUE;
    }
    // SAFETY: the arguments are the caller's.
    unsafe { cuLaunchHostFunc(stream, function, data) }
}

/// Calls a function of the program from a stream, with the state that the stream is in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamAddCallback(
    stream: CUstream,
    function: Option<Callback>,
    data: Out<u8>,
    flags: u32,
) -> CUresult {
    call("cuStreamAddCallback", |driver| {
        let handle = stream;
        let stream = driver.stream(stream)?;
        let Some(function) = function.filter(|_| flags == 0) else {
            return refused(
                CUresult::INVALID_VALUE,
                "a null pointer for a callback, or flags, of which there are none",
            );
        };
        driver.forbid_captured_stream(stream, "adding a callback to")?;
        driver.enqueue(stream, Work::Callback { function, stream: handle, data: data.address() })?;
        Ok(())
    })
}

/// The context of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCtx(stream: CUstream, context: Out<CUcontext>) -> CUresult {
    call("cuStreamGetCtx", |driver| {
        let stream = driver.stream(stream)?;
        context.set(driver.streams[&stream].context)
    })
}

/// The flags of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetFlags(stream: CUstream, flags: Out<u32>) -> CUresult {
    call("cuStreamGetFlags", |driver| {
        let stream = driver.stream(stream)?;
        flags.set(driver.streams[&stream].flags)
    })
}

/// The priority of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetPriority(stream: CUstream, priority: Out<i32>) -> CUresult {
    call("cuStreamGetPriority", |driver| {
        let stream = driver.stream(stream)?;
        priority.set(driver.streams[&stream].priority)
    })
}

/// As [`cuStreamGetCtx`]; the part of the device that the context is confined to is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetCtx_v2(stream: CUstream, context: Out<CUcontext>, part: Out<usize>) -> CUresult {
    call("cuStreamGetCtx_v2", |driver| {
        let stream = driver.stream(stream)?;
        part.set_if_wanted(0);
        context.set(driver.streams[&stream].context)
    })
}

/// The device of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetDevice(stream: CUstream, device: Out<CUdevice>) -> CUresult {
    call("cuStreamGetDevice", |driver| {
        driver.stream(stream)?;
        device.set(0)
    })
}

/// A number that no other stream has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetId(stream: CUstream, id: Out<u64>) -> CUresult {
    call("cuStreamGetId", |driver| id.set(driver.stream(stream)?.0 as u64))
}

/// Attributes of streams: caching, waiting, priority, domains of memory order. Only the priority is told apart, and
/// none changes a result.
const ACCESS_POLICY_WINDOW: u32 = 1;
const SYNCHRONIZATION_POLICY: u32 = 3;
const PRIORITY: u32 = 8;
const MEMORY_DOMAIN_MAP: u32 = 9;
const MEMORY_DOMAIN: u32 = 10;

/// The value of an attribute: 64 bytes, of which each attribute uses the first.
type AttributeValue = [i32; 16];

/// An attribute of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetAttribute(
    stream: CUstream,
    attribute: u32,
    value: Out<AttributeValue>,
) -> CUresult {
    call("cuStreamGetAttribute", |driver| {
        let stream = driver.stream(stream)?;
        match driver.streams[&stream].attributes.get(&attribute) {
            Some(&found) => value.set(found),
            None => match attribute {
                PRIORITY => value.cast().set(driver.streams[&stream].priority),
                ACCESS_POLICY_WINDOW | MEMORY_DOMAIN_MAP => value.set([0; 16]),
                // Waiting as the driver thinks best is 1.
                SYNCHRONIZATION_POLICY => value.cast().set(1i32),
                MEMORY_DOMAIN => value.cast().set(0i32),
                _ => refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a stream")),
            },
        }
    })
}

/// Sets an attribute of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamSetAttribute(stream: CUstream, attribute: u32, value: In<AttributeValue>) -> CUresult {
    call("cuStreamSetAttribute", |driver| {
        let handle = driver.stream(stream)?;
        let Some(stream) = driver.streams.get_mut(&handle) else { return Ok(()) };
        match attribute {
            PRIORITY => stream.priority = value.cast::<i32>().get()?.clamp(GREATEST_PRIORITY, LEAST_PRIORITY),
            SYNCHRONIZATION_POLICY | MEMORY_DOMAIN => {
                let mut whole = [0; 16];
                whole[0] = value.cast().get()?;
                stream.attributes.insert(attribute, whole);
            }
            ACCESS_POLICY_WINDOW | MEMORY_DOMAIN_MAP => {
                stream.attributes.insert(attribute, value.get()?);
            }
            _ => return refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a stream")),
        }
        Ok(())
    })
}

/// Gives a stream the attributes of another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCopyAttributes(target: CUstream, source: CUstream) -> CUresult {
    call("cuStreamCopyAttributes", |driver| {
        let (target, source) = (driver.stream(target)?, driver.stream(source)?);
        let attributes = driver.streams[&source].attributes.clone();
        if let Some(target) = driver.streams.get_mut(&target) {
            target.attributes = attributes;
        }
        Ok(())
    })
}

super::exports![
    cuStreamCreate,
    cuStreamCreateWithPriority,
    cuStreamDestroy_v2,
    cuStreamSynchronize,
    cuStreamQuery,
    cuStreamWaitEvent,
    cuLaunchHostFunc,
    cuStreamGetCtx,
    cuStreamGetFlags,
    cuStreamGetPriority,
    cuLaunchHostFunc_v2,
    cuStreamAddCallback,
    cuStreamGetCtx_v2,
    cuStreamGetDevice,
    cuStreamGetId,
    cuStreamGetAttribute,
    cuStreamSetAttribute,
    cuStreamCopyAttributes,
];
