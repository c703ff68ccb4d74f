//! Streams and their capture.

use super::capture::{Mode, exchange_thread_mode};
use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::queue::Ticket;
use super::types::{CUcontext, CUevent, CUgraph, CUstream, Out};
use super::work::{HostFunction, Work};
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
}

/// Flag of a stream that takes no notice of the legacy default stream.
const NON_BLOCKING: u32 = 1;
/// Priorities go from 0 down to this one, as on devices since compute capability 7.0.
pub const GREATEST_PRIORITY: i32 = -5;
pub const LEAST_PRIORITY: i32 = 0;

impl Stream {
    pub fn new(context: CUcontext, flags: u32, priority: i32) -> Self {
        Stream { context, flags, priority, last: None, capture: None }
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
        driver.current()?;
        if stream.0 <= 2 {
            return refused(CUresult::INVALID_HANDLE, "default streams cannot be destroyed");
        }
        let handle = driver.stream(stream)?;
        let Some(stream) = driver.streams.remove(&handle) else { return Ok(()) };
        if let Some(number) = stream.capture {
            driver.drop_capture(number);
        }
        let orphan = stream.last.filter(|&last| stream.is_blocking() && driver.queue.is_pending(last));
        if let Some(context) = driver.contexts.get_mut(&stream.context) {
            context.orphans.retain(|&ticket| driver.queue.is_pending(ticket));
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

/// Begins to turn the work of a stream into a graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture_v2(stream: CUstream, mode: u32) -> CUresult {
    call("cuStreamBeginCapture_v2", |driver| {
        let stream = driver.stream(stream)?;
        driver.begin_capture(stream, Mode::from_number(mode)?, None)
    })
}

/// Ends a capture and gives its graph, or null when the capture failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: CUstream, graph: Out<CUgraph>) -> CUresult {
    call("cuStreamEndCapture", |driver| {
        let stream = driver.stream(stream)?;
        graph.set(CUgraph(0))?;
        graph.set(driver.end_capture(stream)?)
    })
}

/// What `cuStreamIsCapturing` answers.
const NOT_CAPTURING: u32 = 0;
const CAPTURING: u32 = 1;
const CAPTURE_INVALIDATED: u32 = 2;

fn capture_status(driver: &mut Driver, stream: CUstream) -> Result<u32> {
    let context = driver.streams[&stream].context;
    if driver.contexts[&context].legacy == stream {
        driver.forbid_legacy_in_capture(context)?;
    }
    let capture = driver.streams[&stream].capture.and_then(|number| driver.captures.get(&number));
    Ok(match capture {
        None => NOT_CAPTURING,
        Some(capture) if capture.invalidated => CAPTURE_INVALIDATED,
        Some(_) => CAPTURING,
    })
}

/// Whether a stream is being captured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: CUstream, status: Out<u32>) -> CUresult {
    call("cuStreamIsCapturing", |driver| {
        let stream = driver.stream(stream)?;
        status.set(capture_status(driver, stream)?)
    })
}

/// Sets how much this thread respects captures, and gives the mode before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuThreadExchangeStreamCaptureMode(mode: Out<u32>) -> CUresult {
    call("cuThreadExchangeStreamCaptureMode", |_| {
        let before = exchange_thread_mode(Mode::from_number(mode.get()?)?);
        mode.set(before as u32)
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
    cuStreamBeginCapture_v2,
    cuStreamEndCapture,
    cuStreamIsCapturing,
    cuThreadExchangeStreamCaptureMode,
];
