//! What a program made and never released: looked for when a context ends, and when the process does.

use std::sync::Once;

use super::Check;
use crate::api::driver::{Driver, try_with_driver};
use crate::api::memory::Origin;
use crate::api::types::CUcontext;
use crate::config;
use crate::report::{self, Class, Report};

/// What a call of the driver may have made: the handles and the allocations between two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    handles: usize,
    allocations: u64,
}

/// Which call made which objects.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The counts before each call that made something, ascending, and its name.
    calls: Vec<(Count, String)>,
}

impl Ledger {
    fn maker(&self, is_after: impl Fn(&Count) -> bool) -> Option<&str> {
        let next = self.calls.partition_point(|(before, _)| is_after(before));
        Some(self.calls.get(next.checked_sub(1)?)?.1.as_str())
    }
}

/// Something that was not released.
#[derive(Debug, PartialEq, Eq)]
struct Leak {
    what: &'static str,
    /// Handle or address.
    handle: u64,
    /// Of memory.
    bytes: Option<u64>,
    maker: Option<String>,
}

impl Leak {
    fn report(&self) -> Report {
        let Leak { what, handle, bytes, maker } = self;
        let size = bytes.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
        let maker = maker.as_ref().map_or(String::new(), |maker| format!(", made by {maker},"));
        let message = format!("{what}{size} at {handle:#x}{maker} was never released");
        Report { check: Some(Check::Leaks), ..Report::new(Class::BadApiCall, message) }
    }
}

impl Driver {
    /// How much was made so far: before a call whose name [`Driver::note_maker`] is told afterwards.
    pub(crate) fn count_made(&self) -> Count {
        Count { handles: self.handles, allocations: self.memory.serial() }
    }

    /// Notes that the driver function `name` made what was made since `before`.
    pub(crate) fn note_maker(&mut self, name: &str, before: Count) {
        if before != self.count_made() && config::current().is_ok_and(|config| config.checks.leaks) {
            self.ledger.calls.push((before, name.to_owned()));
        }
    }

    /// Reports what is left in `context`, which is about to end. After a fault a program can release nothing.
    pub(crate) fn report_leaks_of(&self, context: CUcontext) {
        let is_whole = self.contexts.get(&context).is_some_and(|context| context.fault.is_none());
        if is_whole && config::current().is_ok_and(|config| config.checks.leaks) {
            self.leaks(Some(context)).iter().for_each(|leak| report::finding(leak.report()));
        }
    }

    /// What is left in `context`, or everywhere.
    fn leaks(&self, context: Option<CUcontext>) -> Vec<Leak> {
        let of = |owner: CUcontext| context.is_none_or(|context| context == owner);
        let mut leaks = self.memory_leaks(&of);
        let mut handles: Vec<(&'static str, usize)> = Vec::new();
        let own = |handle| self.contexts.values().all(|context| !context.has_default_stream(handle));
        let streams = self.streams.iter().filter(|(handle, stream)| of(stream.context) && own(**handle));
        handles.extend(streams.map(|(handle, _)| ("stream", handle.0)));
        handles.extend(self.events.iter().filter(|(_, e)| of(e.context)).map(|(handle, _)| ("event", handle.0)));
        let loaded = |handle| !self.libraries.values().any(|library| library.has_module(handle));
        let modules = self.modules.iter().filter(|(handle, module)| of(module.context) && loaded(**handle));
        handles.extend(modules.map(|(handle, _)| ("module", handle.0)));
        let graphs = self.graphs.iter().filter(|(_, graph)| of(graph.context) && graph.parent.is_none());
        handles.extend(graphs.map(|(handle, _)| ("graph", handle.0)));
        let executables = self.executables.iter().filter(|(_, executable)| of(executable.context));
        handles.extend(executables.map(|(handle, _)| ("executable graph", handle.0)));
        if context.is_none() {
            let pools = self.pools.keys().filter(|handle| self.default_pool != Some(**handle));
            handles.extend(pools.map(|handle| ("memory pool", handle.0)));
            let created = self.contexts.keys().filter(|handle| self.primary != Some(**handle));
            handles.extend(created.map(|handle| ("context", handle.0)));
            leaks.extend(self.ranges.iter().map(|(start, range)| Leak {
                what: "address range",
                handle: *start,
                bytes: Some(range.bytes()),
                maker: None,
            }));
            handles.extend(self.links.keys().map(|handle| ("link", handle.0)));
            handles.extend(self.libraries.keys().map(|handle| ("library", handle.0)));
            handles.extend(self.user_objects.keys().map(|handle| ("user object", handle.0)));
            handles.extend(self.memory_handles.keys().map(|handle| ("handle of memory", *handle as usize)));
        }
        handles.sort_unstable_by_key(|(_, handle)| *handle);
        leaks.extend(handles.into_iter().map(|(what, handle)| {
            let maker = self.ledger.maker(|before| before.handles < Self::handle_number(handle)).map(str::to_owned);
            Leak { what, handle: handle as u64, bytes: None, maker }
        }));
        leaks
    }

    fn memory_leaks(&self, of: &impl Fn(CUcontext) -> bool) -> Vec<Leak> {
        let mut found: Vec<(u64, &'static str, u64)> = Vec::new();
        for (&start, block) in self.blocks.iter().filter(|(_, block)| of(block.context) && !block.releasing) {
            let what = match block.origin {
                // They go with their module and with their graph.
                Origin::Module => continue,
                Origin::Graph if !block.held => continue,
                Origin::Graph => "memory of a graph",
                Origin::Managed => "managed memory",
                Origin::Call | Origin::Stream(_) => "device memory",
            };
            found.push((start, what, self.memory.find_device(start).map_or(0, |allocation| allocation.bytes)));
        }
        for (&start, block) in self.host_blocks.iter().filter(|(_, block)| of(block.context)) {
            let bytes = self.memory.find_host(start).map_or(0, |allocation| allocation.bytes);
            found.push((start, block.kind(), bytes));
        }
        found.sort_unstable();
        let leak = |(start, what, bytes)| {
            let serial = self.memory.serial_of(start);
            let maker = serial.and_then(|serial| self.ledger.maker(|before| before.allocations <= serial));
            Leak { what, handle: start, bytes: Some(bytes), maker: maker.map(str::to_owned) }
        };
        found.into_iter().map(leak).collect()
    }
}

/// Looks for leaks when the process ends, if that is checked.
pub(crate) fn watch_exit() {
    static WATCH: Once = Once::new();
    extern "C" fn at_exit() {
        // Another thread may still be inside the driver; then nothing can be said.
        let leaks = try_with_driver(|driver| driver.leaks(None)).unwrap_or_default();
        leaks.iter().for_each(|leak| report::finding(leak.report()));
    }
    if config::current().is_ok_and(|config| config.checks.leaks) {
        // SAFETY: the function is the process's own and never unwinds into the C library: it neither panics nor is it
        // unloaded, since the library that holds it registers symbols for the life of the process.
        WATCH.call_once(|| unsafe {
            libc::atexit(at_exit);
        });
    }
}
