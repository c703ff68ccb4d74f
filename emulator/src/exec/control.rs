//! What a launch that runs and whoever started it tell each other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Shared by the two threads. Neither waits for the other.
#[derive(Debug, Default)]
pub struct Control {
    stopped: AtomicBool,
    waits: AtomicBool,
}

impl Control {
    /// Ends the launch at the next chance: nobody needs it any more.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether the launch is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Whether all blocks under way only wait for somebody else to write to memory.
    pub fn waits(&self) -> bool {
        self.waits.load(Relaxed)
    }

    pub(super) fn set_waits(&self, waits: bool) {
        if self.waits() != waits {
            self.waits.store(waits, Relaxed);
        }
    }
}
