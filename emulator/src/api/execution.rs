//! How work comes to run: in the thread of the host that waits for it, or in one of the device's own.
//!
//! What may take long, kernels and functions of the program, runs while other threads have the driver's state, so that
//! their calls go on; everything else is done at once. A thread that needs what another one runs sleeps.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Condvar;
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::error::{CUresult, Result, fault_code};
use super::queue::{LATEST, PATIENCE, Step, Ticket};
use super::types::CUcontext;
use super::work::{Work, panic_text};
use crate::report::{Class, Report, announce, remember};

/// Where threads of the host sleep that need what others run.
static DONE: Condvar = Condvar::new();

impl Driver {
    /// Runs what `targets` need and reports the state of `context` afterwards.
    pub fn wait(&mut self, context: CUcontext, targets: &[Ticket]) -> Result {
        self.run(targets)?;
        self.health(context)
    }

    /// Whether `targets` are done. If not, threads of the device begin to run what they need, so that asking again comes
    /// to an end; and the caller waits a little.
    pub fn query(&mut self, context: CUcontext, targets: &[Ticket]) -> Result {
        /// Short enough for a program that polls to stay awake, long enough for it not to take the processor away.
        const QUERY_TIME: Duration = Duration::from_millis(5);
        if targets.iter().all(|&ticket| !self.queue.is_pending(ticket)) {
            return self.health(context);
        }
        let wanted = self.wanted(targets)?;
        if !self.demand(&wanted) {
            self.run(targets)?;
        }
        let start = Instant::now();
        while let Some(&ticket) = targets.iter().find(|&&ticket| self.queue.is_pending(ticket))
            && let Some(rest) = QUERY_TIME.checked_sub(start.elapsed())
        {
            self.sleep_for(Some(ticket), rest);
        }
        self.health(context)?;
        Err(CUresult::NOT_READY.into())
    }

    /// What threads of the device are to run for `targets` to be done some time: what they need, and everything else where
    /// that waits for something.
    fn wanted(&self, targets: &[Ticket]) -> Result<Vec<Ticket>> {
        let steps = match self.queue.are_demanded(targets) {
            true => Vec::new(),
            false => self.queue.schedule(targets, self.config()?.seed),
        };
        let mut wanted: Vec<Ticket> = steps.iter().map(|step| step.ticket).collect();
        let waits = |ticket| self.queue.is_stalled(ticket) || self.queue.is_ready(ticket) && self.is_blocked(ticket);
        if self.queue.closure(targets).into_iter().any(waits) {
            wanted.extend(self.queue.ready());
        }
        Ok(wanted)
    }

    /// Runs what `targets` need.
    fn run(&mut self, targets: &[Ticket]) -> Result {
        for Step { ticket, asked } in self.queue.schedule(targets, self.config()?.seed) {
            if asked {
                self.finish(ticket);
            } else if self.could_begin(ticket) {
                self.run_aside(ticket);
            }
        }
        if self.queue.has_demands() {
            self.wake_crew();
        }
        Ok(())
    }

    /// Runs an item, whose needs are done, or waits until another thread has.
    fn finish(&mut self, ticket: Ticket) {
        self.wait_for_value(ticket);
        while self.queue.is_pending(ticket) {
            match self.queue.is_ready(ticket) {
                true => self.run_item(ticket),
                false => self.sleep_for(Some(ticket), LATEST),
            }
        }
    }

    /// Runs an item that the calling thread can do without. What may never end without the calling thread is left to a
    /// thread of the device.
    fn run_aside(&mut self, ticket: Ticket) {
        if !self.queue.work(ticket).is_some_and(Work::takes_time) || !self.demand(&[ticket]) {
            return self.run_item(ticket);
        }
        let start = Instant::now();
        while self.queue.is_pending(ticket) && !self.queue.is_stalled(ticket) {
            // All threads of the device may be taken.
            if !self.queue.is_running(ticket) && start.elapsed() >= LATEST {
                return;
            }
            self.sleep_for(Some(ticket), PATIENCE);
        }
    }

    /// Runs an item in this thread, unless it is done or another one runs it.
    pub fn run_item(&mut self, ticket: Ticket) {
        match self.queue.work(ticket) {
            Some(work) if work.takes_time() => self.run_long(ticket),
            Some(_) => self.run_now(ticket),
            None => {}
        }
    }

    /// Runs a kernel or a function of the program while other threads have the driver's state.
    fn run_long(&mut self, ticket: Ticket) {
        let by_device = self.is_of_device();
        let Some((context, work, control)) = self.queue.begin(ticket, by_device) else { return };
        let (memory, limits) = (self.memory.clone(), self.kernel_limits(context));
        let outcome = self.unlocked(|| work.run_long(&memory, limits, &control));
        self.queue.end(ticket);
        self.wake_host(ticket);
        if let Err(report) = outcome {
            self.fault(context, report);
        }
    }

    /// Does work that takes no time.
    fn run_now(&mut self, ticket: Ticket) {
        let Some(item) = self.queue.take(ticket) else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| item.work.run_now(self)));
        self.wake_host(ticket);
        let outcome = outcome.unwrap_or_else(|panic| Err(Report::new(Class::EmulatorBug, panic_text(&*panic))));
        if let Err(report) = outcome {
            self.fault(item.context, report);
        }
    }

    /// Wakes the threads of the host that need an item, which is done.
    fn wake_host(&self, ticket: Ticket) {
        if self.awaited.contains(&ticket) {
            DONE.notify_all();
        }
    }

    /// Sleeps until work is done, or for some time.
    fn sleep_for(&mut self, ticket: Option<Ticket>, time: Duration) {
        self.awaited.extend(ticket);
        self.sleep(&DONE, Some(time));
        if let Some(place) = self.awaited.iter().position(|&other| Some(other) == ticket) {
            self.awaited.swap_remove(place);
        }
    }

    /// Whether an item could begin now, and does not wait for a value in memory.
    pub fn could_begin(&self, ticket: Ticket) -> bool {
        self.queue.is_ready(ticket) && !self.is_blocked(ticket)
    }

    /// Whether `ticket` waits for a value in memory that is not there yet.
    pub fn is_blocked(&self, ticket: Ticket) -> bool {
        matches!(self.queue.work(ticket), Some(Work::Poll(poll)) if !poll.is_over(&self.memory))
    }

    /// If `ticket` waits for a value in memory, lets everything else run that may write it, and gives other threads of
    /// the host the time to do so. A wait without end is a fault.
    fn wait_for_value(&mut self, ticket: Ticket) {
        /// How long the host may take to write a value that no work of the device writes.
        const HOST_TIME: Duration = Duration::from_secs(10);
        let mut start = Instant::now();
        while self.is_blocked(ticket) {
            let ready = self.queue.ready().find(|&ticket| !self.is_blocked(ticket));
            match ready {
                Some(ready) => self.run_aside(ready),
                None => self.sleep_for(None, Duration::from_millis(1)),
            }
            if ready.is_some() || self.queue.has_running() {
                start = Instant::now();
            } else if start.elapsed() >= HOST_TIME {
                self.give_up_wait(ticket);
            }
        }
    }

    fn give_up_wait(&mut self, ticket: Ticket) {
        if let Some(item) = self.queue.take(ticket)
            && let Work::Poll(poll) = &*item.work
        {
            self.wake_host(ticket);
            self.fault(item.context, Report::new(Class::BadApiCall, poll.text()));
        }
    }

    /// Ends a context by `report`: nothing of it runs any more, and every call answers with the same error. The first
    /// fault is the one: it ends the kernels that run beside it.
    fn fault(&mut self, context: CUcontext, report: Report) {
        let code = fault_code(&report);
        match self.contexts.get_mut(&context) {
            Some(context) if context.fault.is_some() => return,
            Some(context) => context.fault = Some(code),
            None => {}
        }
        announce(&report);
        remember(report);
        let by_device = self.is_of_device();
        let callbacks = self.queue.fail_context(context, by_device);
        DONE.notify_all();
        // Callbacks are called all the same, to learn of the fault.
        for (ticket, work) in callbacks {
            self.unlocked(|| work.call_back(code));
            self.queue.end(ticket);
            self.wake_host(ticket);
        }
    }
}
