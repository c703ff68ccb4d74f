//! The state behind the driver API, and the way every call goes into it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use super::background::Crew;
use super::capture::Capture;
use super::context::Context;
use super::error::{CUresult, Failure, Result, refused};
use super::event::Event;
use super::function::Function;
use super::graph::Graph;
use super::graph_exec::Executable;
use super::host::HostBlock;
use super::launch_legacy::NextLaunch;
use super::library::{Kernel, Library};
use super::link::Link;
use super::managed::Advice;
use super::memory::Block;
use super::module::LoadedModule;
use super::pool::Pool;
use super::queue::{Queue, Ticket};
use super::stream::Stream;
use super::types::{
    CUcontext, CUevent, CUfunction, CUgraph, CUgraphExec, CUgraphNode, CUkernel, CUlibrary, CUlinkState, CUmemoryPool,
    CUmodule, CUstream, CUuserObject,
};
use super::user_object::UserObject;
use super::virtual_memory::{MemoryHandle, Range};
use super::work::{Work, in_host_function, panic_text};
use crate::check::leaks::{Count, Ledger};
use crate::config::{self, Config};
use crate::memory::Memory;
use crate::report::{Class, Report, remember};

/// Everything that lives behind the driver API of this process.
#[derive(Default)]
pub struct State {
    /// The process that called `cuInit`: its children must not go on with what they inherit.
    pub process: Option<u32>,
    /// Handles that were given out; none is ever given twice.
    pub(crate) handles: usize,
    pub memory: Memory,
    /// Device allocations by start.
    pub blocks: HashMap<u64, Block>,
    /// What the program said of managed memory, by start.
    pub advice: HashMap<u64, Advice>,
    /// Reserved ranges of addresses by start.
    pub ranges: BTreeMap<u64, Range>,
    /// Memory without an address.
    pub memory_handles: HashMap<u64, MemoryHandle>,
    /// Page-locked host memory by start.
    pub host_blocks: HashMap<u64, HostBlock>,
    pub contexts: HashMap<CUcontext, Context>,
    pub primary: Option<CUcontext>,
    pub primary_references: usize,
    pub primary_flags: u32,
    pub streams: HashMap<CUstream, Stream>,
    pub events: HashMap<CUevent, Event>,
    pub modules: HashMap<CUmodule, LoadedModule>,
    pub functions: HashMap<CUfunction, Function>,
    /// What the launch functions of before CUDA 4 were told.
    pub next_launches: HashMap<CUfunction, NextLaunch>,
    pub libraries: HashMap<CUlibrary, Library>,
    /// Kernels of libraries.
    pub kernels: HashMap<CUkernel, Kernel>,
    pub links: HashMap<CUlinkState, Link>,
    pub user_objects: HashMap<CUuserObject, UserObject>,
    pub graphs: HashMap<CUgraph, Graph>,
    /// The graph of a node.
    pub nodes: HashMap<CUgraphNode, CUgraph>,
    pub executables: HashMap<CUgraphExec, Executable>,
    pub pools: HashMap<CUmemoryPool, Pool>,
    pub default_pool: Option<CUmemoryPool>,
    pub current_pool: Option<CUmemoryPool>,
    /// Running captures by their number.
    pub captures: HashMap<u64, Capture>,
    pub queue: Queue,
    /// Beginnings and ends of calls so far.
    pub calls: u64,
    /// The device's own threads.
    pub crew: Crew,
    /// Work for whose end threads sleep.
    pub awaited: Vec<Ticket>,
    /// Which call made what, for the report of leaks.
    pub(crate) ledger: Ledger,
}

/// The driver's state in the hands of the thread that works on it. No other thread sees the state meanwhile, but where
/// the thread sleeps or runs a kernel or a function of the program: everything may be another then.
pub struct Driver {
    /// Absent only while the thread runs something without it.
    state: Option<MutexGuard<'static, State>>,
    /// The function of the driver that was called.
    name: &'static str,
    /// What was made before it.
    before: Count,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Driver {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_deref().expect("the state is given back before it is used again")
    }
}

impl DerefMut for Driver {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_deref_mut().expect("the state is given back before it is used again")
    }
}

thread_local! {
    /// The contexts that were pushed on this thread; the last is current. A null handle stands for none.
    static CURRENT: RefCell<Vec<CUcontext>> = const { RefCell::new(Vec::new()) };
}

/// What a thread of the device is called, instead of by a function of the driver.
const DEVICE: &str = "the device";

thread_local! {
    /// Whether the call that this thread is in means its own default stream by a null stream.
    static OWN_DEFAULT_STREAM: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` with a null stream standing for the calling thread's own default stream.
pub fn with_own_default_stream<T>(body: impl FnOnce() -> T) -> T {
    OWN_DEFAULT_STREAM.set(true);
    let result = body();
    OWN_DEFAULT_STREAM.set(false);
    result
}

/// Lets `change` at this thread's stack of contexts. When the process ends, the libraries that then give back what they
/// have find an empty one: that of their thread is gone.
pub fn with_context_stack<T>(change: impl FnOnce(&mut Vec<CUcontext>) -> T) -> T {
    let mut stack = CURRENT.try_with(RefCell::take).unwrap_or_default();
    let result = change(&mut stack);
    let _ = CURRENT.try_with(|current| current.replace(stack));
    result
}

/// Runs the body of the driver function `name`. Panics end here: none crosses into the caller's language.
pub fn call(name: &'static str, body: impl FnOnce(&mut Driver) -> Result) -> CUresult {
    call_uninitialised(name, |driver| match driver.process {
        Some(process) if process == std::process::id() => body(driver),
        Some(_) => refused(CUresult::NOT_INITIALIZED, "cuInit was called before the process was forked"),
        None => refused(CUresult::NOT_INITIALIZED, "cuInit was not called"),
    })
}

/// As [`call`], for the functions that work before `cuInit`.
pub fn call_uninitialised(name: &'static str, body: impl FnOnce(&mut Driver) -> Result) -> CUresult {
    if in_host_function() {
        let message = format!("{name} was called by a host function of a stream, which must not call the driver");
        remember(Report::new(Class::BadApiCall, message));
        return CUresult::NOT_PERMITTED;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut driver = Driver::new(lock(), name);
        driver.calls += 1;
        let outcome = body(&mut driver);
        driver.calls += 1;
        if !driver.queue.is_empty() {
            driver.keep_watch();
        }
        driver.note_maker(name, driver.before);
        outcome
    }));
    let outcome = outcome.unwrap_or_else(|panic| {
        let report = Report::new(Class::EmulatorBug, panic_text(&*panic));
        eprintln!("{name}: {report}");
        Err(Failure { code: CUresult::UNKNOWN, report: Some(Box::new(report)) })
    });
    let Err(Failure { code, report }) = outcome else { return CUresult::SUCCESS };
    let report = report.map(|report| Report { message: format!("{name}: {}", report.message), ..*report });
    explain(name, code, report.as_ref());
    if let Some(report) = report {
        remember(report);
    }
    code
}

/// Tells of a call that fails, where the configuration asks for it. `NOT_READY` is an answer and no failure.
fn explain(name: &str, code: CUresult, report: Option<&Report>) {
    if code == CUresult::NOT_READY || !config::current().is_ok_and(|config| config.explain && !config.quiet) {
        return;
    }
    match report {
        Some(report) => eprintln!("{}: {report}", code.name()),
        None => eprintln!("{}: {name}", code.name()),
    }
}

/// Looks at the driver's state from outside of a call; `None` while a call that does not sleep is under way for long.
pub(crate) fn try_with_driver<T>(look: impl FnOnce(&Driver) -> T) -> Option<T> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        if let Ok(state) = STATE.try_lock() {
            return Some(look(&Driver::new(state, "")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Keeps forks and threads of the device apart: a process must not be copied while one of them works on the state.
pub(super) fn guard_forks() {
    thread_local! {
        static HELD: RefCell<Option<MutexGuard<'static, State>>> = const { RefCell::new(None) };
    }
    extern "C" fn before() {
        HELD.set(Some(lock()));
    }
    extern "C" fn after() {
        drop(HELD.take());
    }
    // SAFETY: the functions never unwind, and the library that holds them stays loaded.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}

/// A report that prevents a call, before anything ran.
pub fn failed_with(code: CUresult) -> impl Fn(Report) -> Failure {
    move |report| Failure { code, report: Some(Box::new(report)) }
}

impl Driver {
    fn new(state: MutexGuard<'static, State>, name: &'static str) -> Self {
        let mut driver = Driver { state: Some(state), name, before: Count::default() };
        driver.before = driver.count_made();
        driver
    }

    /// The state in the hands of a thread of the device.
    pub fn of_device() -> Self {
        Driver::new(lock(), DEVICE)
    }

    /// Whether a thread of the device works, not one that called the driver.
    pub fn is_of_device(&self) -> bool {
        self.name == DEVICE
    }

    /// Runs `body` while other threads have the state.
    pub fn unlocked<T>(&mut self, body: impl FnOnce() -> T) -> T {
        self.note_maker(self.name, self.before);
        self.state = None;
        let result = catch_unwind(AssertUnwindSafe(body));
        self.state = Some(lock());
        self.before = self.count_made();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Sleeps until `condition` is notified or `time`, if any, has passed, while other threads have the state.
    pub fn sleep(&mut self, condition: &Condvar, time: Option<Duration>) {
        self.note_maker(self.name, self.before);
        self.state = self.state.take().map(|state| match time {
            Some(time) => condition.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
            None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
        });
        self.before = self.count_made();
    }

    /// A handle that was never used before, and that no small number can be mistaken for.
    pub fn new_handle(&mut self) -> usize {
        self.handles += 1;
        0x1000 + 16 * self.handles
    }

    /// How many handles there were when `handle` was made.
    pub(crate) fn handle_number(handle: usize) -> usize {
        handle.saturating_sub(0x1000) / 16
    }

    /// The configuration in force.
    pub fn config(&self) -> Result<Config> {
        config::current().map_err(failed_with(CUresult::INVALID_VALUE))
    }

    /// The calling thread's context, which lives and has no fault.
    pub fn current(&self) -> Result<CUcontext> {
        let context = with_context_stack(|stack| stack.last().copied()).filter(|context| context.0 != 0);
        let Some(context) = context else {
            return refused(CUresult::INVALID_CONTEXT, "no context is current on this thread");
        };
        self.health(context)?;
        Ok(context)
    }

    /// The error that `context` is in, if any.
    pub fn health(&self, context: CUcontext) -> Result {
        match self.contexts.get(&context) {
            None => refused(CUresult::CONTEXT_IS_DESTROYED, "the context was destroyed"),
            Some(Context { fault: Some(code), .. }) => Err(Failure::from(*code)),
            Some(_) => Ok(()),
        }
    }

    /// The stream that `handle` names for the calling thread: one of the current context.
    pub fn stream(&mut self, handle: CUstream) -> Result<CUstream> {
        let context = self.current()?;
        match handle.0 {
            0 if OWN_DEFAULT_STREAM.get() => Ok(self.thread_stream(context, std::thread::current().id())),
            0 | 1 => Ok(self.contexts[&context].legacy),
            2 => Ok(self.thread_stream(context, std::thread::current().id())),
            _ => match self.streams.get(&handle) {
                Some(stream) if stream.context == context => Ok(handle),
                Some(_) => refused(CUresult::INVALID_HANDLE, "the stream belongs to another context"),
                None => refused(CUresult::INVALID_HANDLE, "no such stream, or it was destroyed"),
            },
        }
    }

    fn thread_stream(&mut self, context: CUcontext, thread: ThreadId) -> CUstream {
        let known = self.contexts.get(&context).and_then(|context| context.per_thread.get(&thread)).copied();
        known.unwrap_or_else(|| {
            let handle = CUstream(self.new_handle());
            self.streams.insert(handle, Stream::new(context, 0, 0));
            if let Some(context) = self.contexts.get_mut(&context) {
                context.per_thread.insert(thread, handle);
            }
            handle
        })
    }

    /// Adds work to a stream, or to the capture that the stream is in; then there is no ticket.
    pub fn enqueue(&mut self, stream: CUstream, work: Work) -> Result<Option<Ticket>> {
        self.enqueue_after(stream, work, &[])
    }

    /// As [`Driver::enqueue`], for work that waits for `more` besides its stream.
    pub fn enqueue_after(&mut self, stream: CUstream, work: Work, more: &[Ticket]) -> Result<Option<Ticket>> {
        let Some(Stream { context, capture, .. }) = self.streams.get(&stream) else {
            return refused(CUresult::INVALID_HANDLE, "the stream was destroyed during the call");
        };
        let context = *context;
        if capture.is_some() {
            self.capture_work(stream, work)?;
            return Ok(None);
        }
        let needs = self.needs(stream)?;
        let ticket = self.queue.add(context, &[&needs, more].concat(), Arc::new(work));
        self.set_last(stream, ticket);
        Ok(Some(ticket))
    }

    /// What new work of `stream` has to wait for: the stream's last work, and what the legacy default stream orders.
    pub fn needs(&mut self, stream: CUstream) -> Result<Vec<Ticket>> {
        let context = self.streams[&stream].context;
        let legacy = self.contexts[&context].legacy;
        if stream == legacy {
            self.forbid_legacy_in_capture(context)?;
            let blocking = self.streams.values().filter(|stream| stream.context == context && stream.is_blocking());
            let mut needs: Vec<Ticket> = blocking.filter_map(|stream| stream.last).collect();
            needs.extend(&self.contexts[&context].orphans);
            return Ok(needs);
        }
        let mut needs: Vec<Ticket> = self.streams[&stream].last.into_iter().collect();
        if self.streams[&stream].is_blocking() {
            needs.extend(self.streams[&legacy].last);
        }
        Ok(needs)
    }

    /// Makes `ticket` the last work of `stream`.
    pub fn set_last(&mut self, stream: CUstream, ticket: Ticket) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.last = Some(ticket);
        }
    }
}
