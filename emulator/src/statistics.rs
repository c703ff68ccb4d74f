//! Counts what a program asks of the device, for tests that hold a program to a number of copies or launches.

use std::sync::Mutex;

/// What happened since the start of the process or the last [`reset_statistics`]. Copies and kernels are counted when
/// they run, those of graphs included; everything else when it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub host_to_device_copies: u64,
    pub host_to_device_bytes: u64,
    pub device_to_host_copies: u64,
    pub device_to_host_bytes: u64,
    pub device_to_device_copies: u64,
    pub device_to_device_bytes: u64,
    pub memsets: u64,
    /// Kernels that ran, from launches and from graphs.
    pub kernels: u64,
    /// Kernel launches that were called for, into a stream or into a capture.
    pub launches: u64,
    pub graph_launches: u64,
    /// Device allocations, stream-ordered ones included.
    pub allocations: u64,
    pub frees: u64,
    /// Waits of the host for a stream, an event or a context.
    pub synchronisations: u64,
    pub module_loads: u64,
}

static STATISTICS: Mutex<Option<Statistics>> = Mutex::new(None);

/// What was counted so far.
pub fn statistics() -> Statistics {
    STATISTICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).unwrap_or_default()
}

/// Sets every counter to zero.
pub fn reset_statistics() {
    count(|statistics| *statistics = Statistics::default());
}

/// Lets `change` add to the counters.
pub(crate) fn count(change: impl FnOnce(&mut Statistics)) {
    let mut guard = STATISTICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    change(guard.get_or_insert_default());
}
