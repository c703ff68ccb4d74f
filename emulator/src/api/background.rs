//! What a device does while nobody waits for it: threads of its own, which run work that a host counts on without a
//! wait.
//!
//! Work runs late, so that a program shows that it forgot to wait, and early enough for right programs: a host that
//! polls memory which a kernel writes sees it written, and kernels of two streams may wait for each other. So one of
//! the threads always looks on, and begins what could run
//!
//! - when the host polls for it by a call (`demand`);
//! - when the host has not called the driver for a while, and nothing runs but what waits for something itself;
//! - when it has been put off for long.
//!
//! There are threads only once work was left to wait, and two of them, unless more than one item is stuck. They end
//! with the process: it does not wait for them.

use std::sync::{Condvar, Once};
use std::time::Instant;

use super::driver::{Driver, guard_forks};
use super::queue::{PATIENCE, Ticket};

/// Where the device's threads rest.
static WORK: Condvar = Condvar::new();

/// Kernels that run at the same time on any device (CUDA C++ programming guide, "technical specifications").
const MOST_THREADS: usize = 128;
/// Threads that rest instead of ending.
const KEPT_THREADS: usize = 2;
/// Functions of the program run in these threads, which expect as much as in the first thread of a process.
const STACK_BYTES: usize = 8 << 20;

/// The device's threads.
#[derive(Debug, Default)]
pub struct Crew {
    threads: usize,
    /// Those that run nothing.
    free: usize,
    /// All free ones rest without a clock, because there is nothing to do.
    dozes: bool,
}

impl Driver {
    /// Lets the device's threads run `tickets`, in this order. False if there are no threads.
    pub fn demand(&mut self, tickets: &[Ticket]) -> bool {
        self.keep_watch();
        if self.crew.threads == 0 {
            return false;
        }
        self.queue.demand(tickets);
        self.wake_crew();
        true
    }

    /// Has a free thread look at what is to be run.
    pub fn wake_crew(&self) {
        WORK.notify_one();
    }

    /// Makes sure that a thread of the device looks on while there is work.
    pub fn keep_watch(&mut self) {
        if self.crew.free == 0 && self.crew.threads < MOST_THREADS {
            self.start_thread();
        }
        if std::mem::take(&mut self.crew.dozes) {
            WORK.notify_all();
        }
    }

    fn start_thread(&mut self) {
        static GUARD: Once = Once::new();
        if self.process != Some(std::process::id()) {
            // A process that was forked has none of the threads, and no use for them.
            return;
        }
        GUARD.call_once(guard_forks);
        let builder = std::thread::Builder::new().name("cuda-emulator".to_owned()).stack_size(STACK_BYTES);
        // Without a thread work runs when somebody waits for it, and only then.
        if builder.spawn(serve).is_ok() {
            self.crew.threads += 1;
            self.crew.free += 1;
        }
    }

    /// What a thread of the device should run now. `quiet` if the host has not called the driver for a while.
    fn choose(&mut self, quiet: bool) -> Option<Ticket> {
        if self.crew.free <= 1 && self.crew.threads >= MOST_THREADS {
            // Somebody must look on.
            return None;
        }
        if self.queue.all_stalled(true) {
            self.queue.forget_demands();
            let found = self.queue.ready_demands().find(|&ticket| !self.is_blocked(ticket));
            if found.is_some() {
                return found;
            }
        }
        if quiet && self.queue.all_stalled(false) {
            let found = self.queue.ready().find(|&ticket| !self.is_blocked(ticket));
            if found.is_some() {
                return found;
            }
        }
        self.queue.overdue().find(|&ticket| !self.is_blocked(ticket))
    }

    /// Rests until there is something to run, or to look again.
    fn rest(&mut self) {
        if self.queue.is_empty() {
            self.crew.dozes = true;
            return self.sleep(&WORK, None);
        }
        self.sleep(&WORK, Some(PATIENCE));
    }
}

/// The life of a thread of the device.
fn serve() {
    let mut driver = Driver::of_device();
    let (mut calls, mut since) = (driver.calls, Instant::now());
    loop {
        if calls != driver.calls {
            (calls, since) = (driver.calls, Instant::now());
        }
        if let Some(ticket) = driver.choose(since.elapsed() >= PATIENCE) {
            driver.crew.free -= 1;
            driver.keep_watch();
            driver.run_item(ticket);
            driver.crew.free += 1;
        } else if driver.crew.free > KEPT_THREADS {
            driver.crew.free -= 1;
            driver.crew.threads -= 1;
            return;
        } else {
            driver.rest();
        }
    }
}
