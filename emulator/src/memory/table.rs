//! The table of allocations: what lies where in the address space, and what waits for the kernels that run.

use std::alloc::{Layout, dealloc};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ALIGNMENT, AddressSpace, Allocation, GAP_BYTES, Hint};
use crate::check::written::Written;
use crate::report::Nearby;

/// What an entry of the table stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Device memory whose stream-ordered allocation has not run yet: it has an address, but nobody may touch it.
    Reserved,
    /// Device memory.
    Live,
    /// Page-locked host memory, which device code reaches under its host address.
    Host,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub allocation: Allocation,
    pub state: State,
    /// Counts allocations from the start of the process.
    pub serial: u64,
    /// Which bytes were ever written, where that is kept; otherwise all count as written.
    pub written: Option<Arc<Written>>,
}

/// Memory that was released while kernels ran, which may touch it by mistake: its pages stay until they have ended.
#[derive(Debug)]
pub(super) enum Retired {
    Device(Allocation),
    /// What was mapped into a reserved range.
    Mapping(Allocation),
    /// Host memory that came from `alloc`.
    Host(u64, Layout),
}

/// What [`Memory`](super::Memory) guards. Its methods are those of the same name there.
#[derive(Debug)]
pub(super) struct Table {
    pub capacity: u64,
    pub used: u64,
    pub serial: u64,
    /// Sorted by start.
    pub entries: Vec<Entry>,
    /// Absent until the first allocation.
    pub space: Option<AddressSpace>,
    /// Freed allocations whose addresses were not handed out again: bytes by start.
    freed: BTreeMap<u64, u64>,
    /// Whether new allocations keep account of what was written.
    pub tracks_writes: bool,
    /// Kernels that run.
    visits: usize,
    retired: Vec<Retired>,
}

impl Table {
    pub(super) fn new(capacity: u64) -> Self {
        let (entries, freed, retired) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (used, serial, visits) = (0, 0, 0);
        Table { capacity, used, serial, entries, space: None, freed, tracks_writes: false, visits, retired }
    }

    pub(super) fn available(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    pub(super) fn reserve(&mut self, bytes: u64) -> Option<u64> {
        if bytes == 0 || footprint(bytes)? > self.available() {
            return None;
        }
        let start = self.space()?.map(bytes)?;
        self.used += footprint(bytes)?;
        self.insert(Allocation { start, bytes }, State::Reserved);
        Some(start)
    }

    /// The address space, which the first use makes.
    pub(super) fn space(&mut self) -> Option<&mut AddressSpace> {
        if self.space.is_none() {
            self.space = AddressSpace::new().ok();
        }
        self.space.as_mut()
    }

    pub(super) fn activate(&mut self, start: u64) -> bool {
        match self.position(start) {
            Some(index) if self.entries[index].state == State::Reserved => {
                self.entries[index].state = State::Live;
                true
            }
            _ => false,
        }
    }

    pub(super) fn deactivate(&mut self, start: u64) -> bool {
        match self.position(start) {
            Some(index) if self.entries[index].state == State::Live => {
                self.entries[index].state = State::Reserved;
                self.entries[index].written.iter().for_each(|written| written.clear());
                let bytes = self.entries[index].allocation.bytes;
                // Where the system refuses, the old content stays, which is as undefined as any.
                if let Some(space) = &self.space {
                    let _ = space.renew(start, bytes);
                }
                true
            }
            _ => false,
        }
    }

    pub(super) fn free(&mut self, start: u64) -> bool {
        match self.position(start) {
            Some(index) if self.entries[index].state != State::Host => {
                let allocation = self.entries.remove(index).allocation;
                self.used -= footprint(allocation.bytes).unwrap_or(0);
                self.freed.insert(start, allocation.bytes);
                self.retire(Retired::Device(allocation));
                true
            }
            _ => false,
        }
    }

    pub(super) fn map_host(&mut self, start: u64, bytes: u64) -> bool {
        let Some(end) = start.checked_add(bytes) else { return false };
        let next = self.entries.partition_point(|entry| entry.allocation.start < start);
        let after = self.entries.get(next).is_some_and(|entry| entry.allocation.start < end);
        let before = next > 0 && self.entries[next - 1].allocation.holds(start, 1);
        if bytes == 0 || after || before {
            return false;
        }
        self.insert(Allocation { start, bytes }, State::Host);
        true
    }

    pub(super) fn unmap_host(&mut self, start: u64) -> bool {
        match self.position(start) {
            Some(index) if self.entries[index].state == State::Host => {
                self.entries.remove(index);
                true
            }
            _ => false,
        }
    }

    /// Gives memory back to the system once no kernel runs that may touch it.
    pub(super) fn retire(&mut self, memory: Retired) {
        if self.visits > 0 {
            return self.retired.push(memory);
        }
        self.give_back(memory);
    }

    fn give_back(&mut self, memory: Retired) {
        match memory {
            Retired::Device(Allocation { start, bytes }) => {
                if let Some(space) = &mut self.space {
                    space.unmap(start, bytes);
                }
            }
            Retired::Mapping(Allocation { start, bytes }) => AddressSpace::forbid(start, bytes),
            // SAFETY: whoever retired the memory had it from `alloc` with this layout, and forgot it.
            Retired::Host(start, layout) => unsafe { dealloc(start as *mut u8, layout) },
        }
    }

    /// How much waits for kernels to end.
    #[cfg(test)]
    pub(super) fn retired_count(&self) -> usize {
        self.retired.len()
    }

    /// New memory is mapped over `mapped`: nothing older is left there to be given back.
    pub(super) fn replace_mapping(&mut self, mapped: Allocation) {
        let overlaps = |old: &Allocation| mapped.holds(old.start, 1) || old.holds(mapped.start, 1);
        self.retired.retain(|retired| !matches!(retired, Retired::Mapping(old) if overlaps(old)));
    }

    /// A kernel begins.
    pub(super) fn enter(&mut self) {
        self.visits += 1;
    }

    /// A kernel has ended.
    pub(super) fn leave(&mut self) {
        self.visits -= 1;
        if self.visits == 0 {
            std::mem::take(&mut self.retired).into_iter().for_each(|memory| self.give_back(memory));
        }
    }

    /// The allocation that holds all of `bytes` bytes from `address` on, with the account of what was written to it,
    /// where such an account is kept at all.
    pub(super) fn account(&self, address: u64, bytes: u64) -> Option<Hint> {
        let entry = self.entry(address).filter(|entry| self.tracks_writes && entry.allocation.holds(address, bytes))?;
        Some(Hint { allocation: entry.allocation, written: entry.written.clone() })
    }

    pub(super) fn nearby(&self, address: u64) -> Option<Nearby> {
        let near = |allocation: Allocation, freed| {
            let Allocation { start, bytes } = allocation;
            Nearby { what: "allocation".to_owned(), start, bytes, freed, address }
        };
        if let Some(found) = self.entry(address).filter(|entry| entry.state != State::Reserved) {
            return Some(near(found.allocation, false));
        }
        let freed = self.freed.range(..=address).next_back().map(|(&start, &bytes)| Allocation { start, bytes });
        if let Some(freed) = freed.filter(|freed| freed.holds(address, 1)) {
            return Some(near(freed, true));
        }
        let live = self.entries.iter().filter(|entry| entry.state != State::Reserved).map(|entry| entry.allocation);
        let distance = |allocation: &Allocation| {
            let end = allocation.start + allocation.bytes;
            if address < allocation.start { allocation.start - address } else { address - end }
        };
        live.min_by_key(distance).filter(|nearest| distance(nearest) <= GAP_BYTES).map(|nearest| near(nearest, false))
    }

    fn insert(&mut self, allocation: Allocation, state: State) {
        let Allocation { start, bytes } = allocation;
        let overlaps = |(&other, &length): (&u64, &u64)| (other + length > start).then_some(other);
        while let Some(other) = self.freed.range(..start + bytes).next_back().and_then(overlaps) {
            self.freed.remove(&other);
        }
        let index = self.entries.partition_point(|entry| entry.allocation.start < start);
        let written = (self.tracks_writes && state != State::Host).then(|| Arc::new(Written::new(bytes)));
        self.entries.insert(index, Entry { allocation, state, serial: self.serial, written });
        self.serial += 1;
    }

    pub(super) fn position(&self, start: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&start, |entry| entry.allocation.start).ok()
    }

    /// The entry that holds `address`.
    pub(super) fn entry(&self, address: u64) -> Option<&Entry> {
        let next = self.entries.partition_point(|entry| entry.allocation.start <= address);
        self.entries[..next].last().filter(|entry| entry.allocation.holds(address, 1))
    }
}

/// Bytes of the device that an allocation of `bytes` takes.
fn footprint(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(ALIGNMENT)
}
