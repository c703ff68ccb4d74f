//! What a stream does: the kinds of work and how each runs when its time has come.

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::driver::Driver;
use super::graph::Node;
use super::types::CUevent;
use crate::config;
use crate::exec::{Launch, Module, Options};
use crate::memory::Memory;
use crate::profile;
use crate::report::{Class, Fault, Report};
use crate::statistics::count;

/// A function of the program that a stream calls.
pub type HostFunction = unsafe extern "C" fn(*mut c_void);

/// One piece of work.
#[derive(Debug)]
pub enum Work {
    /// Joins other work.
    Nothing,
    Kernel {
        module: Arc<Module>,
        launch: Launch,
    },
    Copy(Transfer),
    Fill(Fill),
    Host {
        function: HostFunction,
        data: usize,
    },
    Record(CUevent),
    /// The second half of a stream-ordered allocation.
    Allocate(u64),
    Free(u64),
    /// A graph inside a graph.
    Graph(Arc<Vec<Node>>),
}

/// A rectangle of bytes to copy; `height` 1 for a plain range.
#[derive(Debug)]
pub struct Transfer {
    pub source: Source,
    pub source_pitch: u64,
    pub target: u64,
    pub target_kind: Place,
    pub target_pitch: u64,
    pub width: u64,
    pub height: u64,
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
    /// Does the work. A report is a fault of the context.
    pub fn run(&self, driver: &mut Driver) -> Result<(), Report> {
        match self {
            Work::Nothing => Ok(()),
            Work::Kernel { module, launch } => run_kernel(module, launch, &driver.memory),
            Work::Copy(copy) => copy.run(&driver.memory),
            Work::Fill(fill) => fill.run(&driver.memory),
            Work::Host { function, data } => {
                IN_HOST_FUNCTION.set(true);
                // SAFETY: the program gave the function and its argument for this call.
                unsafe { function(*data as *mut c_void) };
                IN_HOST_FUNCTION.set(false);
                Ok(())
            }
            Work::Record(event) => {
                driver.event_reached(*event);
                Ok(())
            }
            Work::Allocate(start) => {
                driver.memory.activate(*start);
                Ok(())
            }
            Work::Free(start) => {
                driver.blocks.remove(start);
                driver.memory.free(*start);
                Ok(())
            }
            // Nodes come after what they depend on.
            Work::Graph(nodes) => nodes.iter().try_for_each(|node| node.work.run(driver)),
        }
    }
}

fn run_kernel(module: &Module, launch: &Launch, memory: &Memory) -> Result<(), Report> {
    let config = config::current()?;
    let options = Options { threads: config.threads, seed: config.seed };
    count(|statistics| statistics.kernels += 1);
    let name = module.kernels().get(launch.kernel).map(|kernel| kernel.name.clone());
    if let Some(path) = &config.profile {
        profile::write_at_exit(path.clone());
    }
    let run = || {
        if !profile::is_on() {
            return module.run(launch, memory, options);
        }
        module.profile(launch, memory, options, &config.device, config.sample).map(profile::add)
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
fn check(memory: &Memory, address: u64, bytes: u64, what: &str) -> Result<(), Report> {
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
        for row in 0..self.height {
            let from = source + row * self.source_pitch;
            let to = self.target + row * self.target_pitch;
            if source_kind != Place::Pageable {
                check(memory, from, self.width, "copy from memory")?;
            }
            if self.target_kind != Place::Pageable {
                check(memory, to, self.width, "copy to memory")?;
            }
            // SAFETY: device and page-locked ranges were checked just now; pageable ones are the caller's promise, and
            // are touched only while the caller waits.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, self.width as usize) };
        }
        self.count(source_kind);
        Ok(())
    }

    fn count(&self, source_kind: Place) {
        let bytes = self.width * self.height;
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
