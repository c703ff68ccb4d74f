//! What a program made and never released: looked for when a context ends, and when the process does.

use std::sync::Once;

use super::Check;
use crate::api::driver::{Driver, try_with_driver};
use crate::api::leaks::Unreleased;
use crate::api::types::CUcontext;
use crate::config;
use crate::report::{self, Class, Report};

/// What a call of the driver may have made: the handles and the allocations between two counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
            let leaks = self.unreleased();
            let own = leaks.iter().filter(|leak| leak.context == Some(context));
            own.for_each(|leak| report::finding(self.leak_report(leak)));
        }
    }

    fn leak_report(&self, leak: &Unreleased) -> Report {
        let Unreleased { kind, handle, bytes, .. } = *leak;
        let maker = match bytes {
            Some(_) => {
                let serial = self.memory.serial_of(handle);
                serial.and_then(|serial| self.ledger.maker(|before| before.allocations <= serial))
            }
            None => self.ledger.maker(|before| before.handles < Self::handle_number(handle as usize)),
        };
        let size = bytes.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
        let maker = maker.map_or(String::new(), |maker| format!(", made by {maker},"));
        let message = format!("{kind}{size} at {handle:#x}{maker} was never released");
        Report { check: Some(Check::Leaks), ..Report::new(Class::BadApiCall, message) }
    }
}

/// Looks for leaks when the process ends, if that is checked.
pub(crate) fn watch_exit() {
    static WATCH: Once = Once::new();
    extern "C" fn at_exit() {
        // Another thread may be busy inside the driver; then nothing can be said.
        let reports = |driver: &Driver| -> Vec<Report> {
            // After a fault a program can release nothing.
            if driver.contexts.values().any(|context| context.fault.is_some()) {
                return Vec::new();
            }
            driver.unreleased().iter().map(|leak| driver.leak_report(leak)).collect()
        };
        try_with_driver(reports).unwrap_or_default().into_iter().for_each(report::finding);
    }
    if config::current().is_ok_and(|config| config.checks.leaks) {
        // SAFETY: the function is the process's own and never unwinds into the C library: it neither panics nor is it
        // unloaded, since the library that holds it registers symbols for the life of the process.
        WATCH.call_once(|| unsafe {
            libc::atexit(at_exit);
        });
    }
}
