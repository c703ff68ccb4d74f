//! Events: marks in streams, to wait for and to measure time between.

use std::sync::Arc;
use std::time::Instant;

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::graph::Task;
use super::queue::Ticket;
use super::types::{CUcontext, CUevent, CUgraphNode, CUstream, Out};
use super::work::Work;
use crate::statistics::count;

/// An event and its last recording.
#[derive(Debug)]
pub struct Event {
    pub context: CUcontext,
    flags: u32,
    recorded: Recorded,
    /// When the stream came to the last recording that ran.
    reached: Option<Instant>,
}

/// Where an event was recorded last.
#[derive(Clone, Debug)]
enum Recorded {
    Never,
    Stream(Ticket),
    /// In a capture: the nodes that the event stands for.
    Capture(u64, Vec<CUgraphNode>),
}

const DISABLE_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
const EVENT_FLAGS: u32 = 1 | DISABLE_TIMING | INTERPROCESS;
/// Flag of a recording, or of a wait, that becomes a node of the graph when it is captured.
const EXTERNAL: u32 = 1;

impl Driver {
    /// The stream came to where `event` was recorded.
    pub fn event_reached(&mut self, event: CUevent) {
        if let Some(event) = self.events.get_mut(&event) {
            event.reached = Some(Instant::now());
        }
    }

    /// The work that has `ticket`, of a graph or of a whole context, recorded `event`.
    pub fn recorded_by(&mut self, event: CUevent, ticket: Ticket) {
        if let Some(event) = self.events.get_mut(&event) {
            event.recorded = Recorded::Stream(ticket);
        }
    }

    /// The work that recorded `event` last, outside captures.
    pub fn recorded_ticket(&self, event: CUevent) -> Option<Ticket> {
        match self.events.get(&event)?.recorded {
            Recorded::Stream(ticket) => Some(ticket),
            Recorded::Never | Recorded::Capture(..) => None,
        }
    }

    fn event(&self, handle: CUevent) -> Result<&Event> {
        let context = self.current()?;
        match self.events.get(&handle) {
            Some(event) if event.context == context => Ok(event),
            Some(_) => refused(CUresult::INVALID_HANDLE, "the event belongs to another context"),
            None => refused(CUresult::INVALID_HANDLE, "no such event, or it was destroyed"),
        }
    }

    fn record(&mut self, handle: CUevent, stream: CUstream, flags: u32) -> Result {
        self.event(handle)?;
        if flags & !EXTERNAL != 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a recording"));
        }
        let stream = self.stream(stream)?;
        let recorded = if self.streams[&stream].capture.is_some() && flags & EXTERNAL == 0 {
            let (number, nodes) = self.capture_frontier(stream)?;
            Recorded::Capture(number, nodes)
        } else {
            match self.enqueue(stream, Work::Record(handle))? {
                Some(ticket) => Recorded::Stream(ticket),
                None => return Ok(()),
            }
        };
        if let Some(event) = self.events.get_mut(&handle) {
            event.recorded = recorded;
        }
        Ok(())
    }

    /// Records `handle` behind all work of a context.
    pub fn record_context(&mut self, context: CUcontext, handle: CUevent) -> Result {
        if self.events.get(&handle).is_none_or(|event| event.context != context) {
            return refused(CUresult::INVALID_HANDLE, "no such event of the context, or it was destroyed");
        }
        let before = self.queue.of_context(context);
        let ticket = self.queue.add(context, &before, Arc::new(Work::Record(handle)));
        self.recorded_by(handle, ticket);
        Ok(())
    }

    /// Lets later work of `stream` wait for `event`.
    pub fn stream_waits(&mut self, stream: CUstream, handle: CUevent, flags: u32) -> Result {
        if flags & !EXTERNAL != 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a wait"));
        }
        // Events of other contexts may be waited for, too.
        let Some(event) = self.events.get(&handle) else {
            return refused(CUresult::INVALID_HANDLE, "no such event, or it was destroyed");
        };
        match event.recorded.clone() {
            Recorded::Never if self.streams[&stream].capture.is_some() && flags & EXTERNAL != 0 => {
                self.capture_task(stream, Task::Wait(handle))
            }
            Recorded::Never => Ok(()),
            Recorded::Capture(number, nodes) => self.depend_on_captured(stream, number, &nodes),
            Recorded::Stream(_) if self.streams[&stream].capture.is_some() => {
                if flags & EXTERNAL != 0 {
                    return self.capture_task(stream, Task::Wait(handle));
                }
                // The event lies outside the graph: the graph could not wait for it.
                let _ = self.forbid_captured_stream(stream, "");
                refused(CUresult::STREAM_CAPTURE_ISOLATION, "a captured stream waits for an event from outside")
            }
            Recorded::Stream(ticket) if self.queue.is_pending(ticket) => {
                self.enqueue_after(stream, Work::Nothing, &[ticket])?;
                Ok(())
            }
            Recorded::Stream(_) => Ok(()),
        }
    }

    /// What must be done for `event` to be done.
    fn event_tickets(&mut self, handle: CUevent) -> Result<Vec<Ticket>> {
        match self.event(handle)?.recorded {
            Recorded::Never => Ok(Vec::new()),
            Recorded::Stream(ticket) => Ok(vec![ticket]),
            Recorded::Capture(number, _) => {
                if let Some(capture) = self.captures.get_mut(&number) {
                    capture.invalidated = true;
                }
                refused(CUresult::CAPTURED_EVENT, "the event was recorded in a capture")
            }
        }
    }

    /// When the last recording of `event` was reached.
    fn event_time(&self, handle: CUevent) -> Result<Instant> {
        let event = self.event(handle)?;
        if event.flags & DISABLE_TIMING != 0 {
            return refused(CUresult::INVALID_HANDLE, "the event was made without timing");
        }
        match (&event.recorded, event.reached) {
            (Recorded::Never, _) => refused(CUresult::INVALID_HANDLE, "the event was never recorded"),
            (Recorded::Capture(..), _) => refused(CUresult::CAPTURED_EVENT, "the event was recorded in a capture"),
            (Recorded::Stream(ticket), Some(reached)) if !self.queue.is_pending(*ticket) => Ok(reached),
            _ => refused(CUresult::NOT_READY, "the event is not done"),
        }
    }
}

/// Makes an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: Out<CUevent>, flags: u32) -> CUresult {
    call("cuEventCreate", |driver| {
        let context = driver.current()?;
        if flags & !EVENT_FLAGS != 0 || flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0 {
            return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of an event"));
        }
        let handle = CUevent(driver.new_handle());
        event.set(handle)?;
        driver.events.insert(handle, Event { context, flags, recorded: Recorded::Never, reached: None });
        Ok(())
    })
}

/// Ends an event; whoever waits for it already still does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventDestroy_v2(event: CUevent) -> CUresult {
    call("cuEventDestroy_v2", |driver| {
        let Some(context) = driver.events.get(&event).map(|event| event.context) else {
            return refused(CUresult::INVALID_HANDLE, "no such event, or it was destroyed");
        };
        driver.health(context)?;
        driver.events.remove(&event);
        Ok(())
    })
}

/// Marks the place behind all work of a stream so far.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecord(event: CUevent, stream: CUstream) -> CUresult {
    call("cuEventRecord", |driver| driver.record(event, stream, 0))
}

/// As [`cuEventRecord`]; flag 1 makes the recording a node of a graph that is being captured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecordWithFlags(event: CUevent, stream: CUstream, flags: u32) -> CUresult {
    call("cuEventRecordWithFlags", |driver| driver.record(event, stream, flags))
}

/// Whether the work before the last recording is done; an event that was never recorded is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventQuery(event: CUevent) -> CUresult {
    call("cuEventQuery", |driver| {
        let targets = driver.event_tickets(event)?;
        driver.forbid_in_capture("asking for an event's state")?;
        let context = driver.event(event)?.context;
        driver.query(context, &targets)
    })
}

/// Waits for the work before the last recording.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventSynchronize(event: CUevent) -> CUresult {
    call("cuEventSynchronize", |driver| {
        let targets = driver.event_tickets(event)?;
        driver.forbid_in_capture("waiting for an event")?;
        count(|statistics| statistics.synchronisations += 1);
        let context = driver.event(event)?.context;
        driver.wait(context, &targets)
    })
}

fn elapsed(driver: &Driver, milliseconds: Out<f32>, start: CUevent, end: CUevent) -> Result {
    let (start, end) = (driver.event_time(start)?, driver.event_time(end)?);
    let seconds = if end >= start { (end - start).as_secs_f64() } else { -(start - end).as_secs_f64() };
    milliseconds.set((seconds * 1e3) as f32)
}

/// Milliseconds of this machine's time between two events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: Out<f32>, start: CUevent, end: CUevent) -> CUresult {
    call("cuEventElapsedTime", |driver| elapsed(driver, milliseconds, start, end))
}

/// Milliseconds of this machine's time between two events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: Out<f32>, start: CUevent, end: CUevent) -> CUresult {
    call("cuEventElapsedTime_v2", |driver| elapsed(driver, milliseconds, start, end))
}

super::exports![
    cuEventCreate,
    cuEventDestroy_v2,
    cuEventRecord,
    cuEventRecordWithFlags,
    cuEventQuery,
    cuEventSynchronize,
    cuEventElapsedTime,
    cuEventElapsedTime_v2,
];
