//! What a stream does: the kinds of work and how each runs when its time has come.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::driver::Driver;
use super::error::CUresult;
use super::stream_memory::{Poll, Write};
use super::types::{CUevent, CUfunction, CUstream};
use crate::config::{self, Config};
use crate::exec::{Control, Launch, Limits, Module, Options};
use crate::memory::Memory;
use crate::profile;
use crate::report::{Class, Fault, Report};
use crate::statistics::count;

/// A function of the program that a stream calls.
pub type HostFunction = unsafe extern "C" fn(*mut c_void);

/// A function of the program that a stream calls with its own handle and state.
pub type Callback = unsafe extern "C" fn(CUstream, CUresult, *mut c_void);

/// One piece of work.
#[derive(Debug)]
pub enum Work {
    /// Joins other work.
    Nothing,
    Kernel {
        module: Arc<Module>,
        launch: Launch,
        /// The handle that the program launched.
        function: CUfunction,
    },
    Copy(Transfer),
    Fill(Fill),
    Host {
        function: HostFunction,
        data: usize,
    },
    Callback {
        function: Callback,
        stream: CUstream,
        data: usize,
    },
    Record(CUevent),
    /// The second half of a stream-ordered allocation.
    Allocate(u64),
    Free(u64),
    /// Waits until memory holds a value.
    Poll(Poll),
    /// Writes a value to memory.
    Write(Write),
}

/// A box of bytes to copy; `height` and `depth` 1 for a plain range.
#[derive(Debug)]
pub struct Transfer {
    pub source: Source,
    pub source_steps: Steps,
    pub target: u64,
    pub target_kind: Place,
    pub target_steps: Steps,
    pub width: u64,
    pub height: u64,
    pub depth: u64,
}

/// Bytes from one row of a box to the next, and from one slice to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    pub row: u64,
    pub slice: u64,
}

impl Steps {
    /// Bytes from the start of the box to the start of a row.
    pub fn offset(&self, slice: u64, row: u64) -> u64 {
        slice * self.slice + row * self.row
    }
}

/// Where a copy reads.
#[derive(Debug)]
pub enum Source {
    /// Bytes that were taken from pageable memory when the copy was called.
    Captured(Vec<u8>),
    Memory(u64, Place),
}

/// A kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Device,
    /// Page-locked host memory.
    Pinned,
    /// Host memory that the driver knows nothing of.
    Pageable,
}

/// A rectangle of equal elements to write.
#[derive(Debug)]
pub struct Fill {
    pub target: u64,
    pub pitch: u64,
    /// The bytes of an element: 1, 2 or 4 of them.
    pub element: Vec<u8>,
    /// Elements of a row.
    pub width: u64,
    pub height: u64,
}

thread_local! {
    /// Whether this thread is inside a host function, which must not call the driver.
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is inside a host function.
pub fn in_host_function() -> bool {
    IN_HOST_FUNCTION.get()
}

impl Work {
    /// Whether the work is a kernel or a function of the program: it may take long, wait for the host or for other work,
    /// and needs nothing of the driver's state.
    pub fn takes_time(&self) -> bool {
        matches!(self, Work::Kernel { .. } | Work::Host { .. } | Work::Callback { .. })
    }

    /// Does work that takes time. A report is a fault of its context.
    pub fn run_long(&self, memory: &Memory, limits: Limits, control: &Control) -> Result<(), Report> {
        match self {
            Work::Kernel { module, launch, .. } => run_kernel(module, launch, memory, limits, control),
            Work::Host { function, data } => {
                // SAFETY: the program gave the function and its argument for this call.
                as_host_function(|| unsafe { function(*data as *mut c_void) });
                Ok(())
            }
            _ => {
                self.call_back(CUresult::SUCCESS);
                Ok(())
            }
        }
    }

    /// Does any other work. A report is a fault of its context.
    pub fn run_now(&self, driver: &mut Driver) -> Result<(), Report> {
        match self {
            Work::Nothing | Work::Kernel { .. } | Work::Host { .. } | Work::Callback { .. } => Ok(()),
            Work::Copy(copy) => copy.run(&driver.memory),
            Work::Fill(fill) => fill.run(&driver.memory),
            Work::Record(event) => {
                driver.event_reached(*event);
                Ok(())
            }
            Work::Allocate(start) => {
                driver.memory.activate(*start);
                Ok(())
            }
            Work::Free(start) => {
                driver.release(*start);
                Ok(())
            }
            Work::Poll(poll) => poll.run(&driver.memory),
            Work::Write(write) => write.run(&driver.memory),
        }
    }

    /// Calls the program's function, if the work is one, with the state of the stream.
    pub fn call_back(&self, state: CUresult) {
        if let Work::Callback { function, stream, data } = *self {
            // SAFETY: the program gave the function and its argument for this call.
            as_host_function(|| unsafe { function(stream, state, data as *mut c_void) });
        }
    }
}

/// Runs `body` as a host function, during which calls of the driver are refused.
pub fn as_host_function(body: impl FnOnce()) {
    IN_HOST_FUNCTION.set(true);
    body();
    IN_HOST_FUNCTION.set(false);
}

fn run_kernel(
    module: &Module,
    launch: &Launch,
    memory: &Memory,
    limits: Limits,
    control: &Control,
) -> Result<(), Report> {
    let config = config::current()?;
    let Config { threads, seed, numerics, checks, timeout, .. } = config;
    let options = Options { threads, seed, numerics, checks, timeout, limits };
    count(|statistics| statistics.kernels += 1);
    let name = module.kernels().get(launch.kernel).map(|kernel| kernel.name.clone());
    if let Some(path) = &config.profile {
        profile::write_at_exit(path.clone());
    }
    let run = || {
        if !profile::is_on() {
            return module.run_under(control, launch, memory, options);
        }
        module.profile_under(control, launch, memory, options, config.sample).map(profile::add)
    };
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let outcome = outcome.unwrap_or_else(|panic| Err(Report::new(Class::EmulatorBug, panic_text(&*panic))));
    outcome.map_err(|report| Report { kernel: report.kernel.clone().or(name), ..report })
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Checks that `[address, address + bytes)` may be touched now, though it could when the work was enqueued.
pub fn check(memory: &Memory, address: u64, bytes: u64, what: &str) -> Result<(), Report> {
    if memory.find(address).is_some_and(|allocation| allocation.holds(address, bytes)) {
        return Ok(());
    }
    let message = format!(
        "{what} of {bytes} bytes at {address:#x}: the memory was freed, or not yet allocated in the order of the \
         streams, when the work ran"
    );
    Err(Report::new(Class::BadApiCall, message).with_fault(Fault::IllegalAddress))
}

impl Transfer {
    fn run(&self, memory: &Memory) -> Result<(), Report> {
        let (source, source_kind) = match &self.source {
            Source::Captured(bytes) => (bytes.as_ptr() as u64, Place::Pageable),
            Source::Memory(address, kind) => (*address, *kind),
        };
        let rows = (0..self.depth).flat_map(|slice| (0..self.height).map(move |row| (slice, row)));
        for (slice, row) in rows {
            let from = source + self.source_steps.offset(slice, row);
            let to = self.target + self.target_steps.offset(slice, row);
            if source_kind != Place::Pageable {
                check(memory, from, self.width, "copy from memory")?;
            }
            if self.target_kind != Place::Pageable {
                check(memory, to, self.width, "copy to memory")?;
            }
            // SAFETY: device and page-locked ranges were checked just now; pageable ones are the caller's promise, and
            // are touched only while the caller waits, or by a graph, for which the caller keeps them.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, self.width as usize) };
            match source_kind {
                Place::Device => memory.mark_copied(from, to, self.width),
                Place::Pinned | Place::Pageable => memory.mark_written(to, self.width),
            }
        }
        self.count(source_kind);
        Ok(())
    }

    fn count(&self, source_kind: Place) {
        let bytes = self.width * self.height * self.depth;
        count(|statistics| match (source_kind == Place::Device, self.target_kind == Place::Device) {
            (true, true) => {
                statistics.device_to_device_copies += 1;
                statistics.device_to_device_bytes += bytes;
            }
            (true, false) => {
                statistics.device_to_host_copies += 1;
                statistics.device_to_host_bytes += bytes;
            }
            (false, true) => {
                statistics.host_to_device_copies += 1;
                statistics.host_to_device_bytes += bytes;
            }
            (false, false) => {}
        });
    }
}

impl Fill {
    fn run(&self, memory: &Memory) -> Result<(), Report> {
        let row_bytes = self.width * self.element.len() as u64;
        for row in 0..self.height {
            let start = self.target + row * self.pitch;
            check(memory, start, row_bytes, "memset")?;
            memory.mark_written(start, row_bytes);
            // SAFETY: the range was checked just now; nobody holds a reference into device memory.
            let bytes = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, row_bytes as usize) };
            match self.element[..] {
                [byte] => bytes.fill(byte),
                _ => bytes.chunks_exact_mut(self.element.len()).for_each(|chunk| chunk.copy_from_slice(&self.element)),
            }
        }
        count(|statistics| statistics.memsets += 1);
        Ok(())
    }
}
