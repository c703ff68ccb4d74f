//! The device's global address space.
//!
//! One range of host addresses is reserved for the life of the process; a device address *is* the host address of the
//! byte, so that an in-bounds access costs one range check. Fresh memory is filled with NaN patterns.

/// A live allocation: `[start, start + bytes)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub start: u64,
    pub bytes: u64,
}

/// The address space and its live allocations.
#[derive(Debug, Default)]
pub struct Memory {}

impl Memory {
    /// Allocates `bytes` (at least 1), aligned to 256, filled with NaN patterns; `None` when the device is full.
    pub fn allocate(&mut self, bytes: u64) -> Option<u64> {
        let _ = bytes;
        None
    }

    /// Frees the allocation that starts at `start`; false if none does.
    pub fn free(&mut self, start: u64) -> bool {
        let _ = start;
        false
    }

    /// The live allocation that holds `address`.
    pub fn find(&self, address: u64) -> Option<Allocation> {
        let _ = address;
        None
    }
}
