//! The device's global address space.
//!
//! One range of host addresses is reserved for the life of the process; a device address *is* the host address of the
//! byte, so that an in-bounds access costs one range check. Fresh memory is filled with NaN patterns: every byte is
//! `0xFF`, a NaN in half, single and double precision. The filling is paid a page at a time, at the first write: fresh
//! pages are private mappings of one small file full of `0xFF`.
//!
//! Allocations lie apart, with address space that belongs to nobody between them, and a freed range is not handed out
//! again before all fresh address space is used up: a stale pointer and an overrun hit nothing instead of something.
//!
//! Kernels look addresses up while the host allocates and frees: the table lies behind a lock that is held for one
//! question at a time, and pages that are freed go back to the system when no kernel runs that may still touch them.

mod ranges;
mod table;

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::check::written::Written;
use crate::report::Nearby;
pub use ranges::Physical;
use table::{Entry, Retired, State, Table};

/// A live allocation: `[start, start + bytes)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    pub start: u64,
    pub bytes: u64,
}

impl Allocation {
    /// Whether `[address, address + bytes)` lies inside.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        address
            .checked_sub(self.start)
            .and_then(|offset| offset.checked_add(bytes))
            .is_some_and(|end| end <= self.bytes)
    }
}

/// Every allocation starts at a multiple of it, and small ones at no multiple of anything larger: that is all that the
/// driver promises.
pub const ALIGNMENT: u64 = 256;
/// From this size on an allocation starts where a page of the device's memory does, as it does with the driver: programs
/// count on it that divide one large allocation into pages of their own.
const LARGE_PAGE_BYTES: u64 = 2 << 20;
const PAGE_BYTES: u64 = 4096;
/// Address space between two allocations that belongs to neither.
const GAP_BYTES: u64 = 1 << 20;
/// Address space asked for; halved until the system grants it.
const RESERVE_BYTES: u64 = 1 << 40;
/// Length of the file of `0xFF` bytes that fresh pages map.
const PATTERN_BYTES: u64 = 16 << 20;

/// The address space and its live allocations. A clone is the same memory, for another thread.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: RwLock<Table>,
    /// Allocations so far, to be read without the lock: every call of the driver asks.
    serial: AtomicU64,
}

/// Where an address was found, and the account of what was written there: spares the next question the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hint {
    allocation: Allocation,
    written: Option<Arc<Written>>,
}

/// Lasts as long as a kernel runs: what is freed meanwhile keeps its pages.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    memory: &'a Memory,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.memory.change().leave();
    }
}

impl Default for Memory {
    /// A device of 16 GiB.
    fn default() -> Self {
        Memory::new(16 << 30)
    }
}

impl Memory {
    /// The memory of a device that has `capacity` bytes. Costs nothing before the first allocation.
    pub fn new(capacity: u64) -> Self {
        let (table, serial) = (RwLock::new(Table::new(capacity)), AtomicU64::new(0));
        Memory { shared: Arc::new(Shared { table, serial }) }
    }

    fn look(&self) -> RwLockReadGuard<'_, Table> {
        self.shared.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Table> {
        self.shared.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a kernel, which runs until the visit is dropped.
    pub(crate) fn visit(&self) -> Visit<'_> {
        self.change().enter();
        Visit { memory: self }
    }

    /// Bytes of the device.
    pub fn capacity(&self) -> u64 {
        self.look().capacity
    }

    /// Gives the device another size. Allocations stay, even if they no longer fit.
    pub fn set_capacity(&mut self, capacity: u64) {
        self.change().capacity = capacity;
    }

    /// Bytes that allocations do not hold.
    pub fn available(&self) -> u64 {
        self.look().available()
    }

    /// Allocates `bytes` (at least 1), aligned to 256 or, if it is large, to 2 MiB, filled with NaN patterns; `None` when
    /// the device is full.
    pub fn allocate(&mut self, bytes: u64) -> Option<u64> {
        let start = self.reserve(bytes)?;
        self.activate(start);
        Some(start)
    }

    /// As [`Memory::allocate`], but [`Memory::find`] does not know the allocation before [`Memory::activate`]: the
    /// first half of a stream-ordered allocation.
    pub fn reserve(&mut self, bytes: u64) -> Option<u64> {
        let mut table = self.change();
        let start = table.reserve(bytes);
        self.shared.serial.store(table.serial, Ordering::Relaxed);
        start
    }

    /// Makes the reserved allocation at `start` live; false if there is none.
    pub fn activate(&mut self, start: u64) -> bool {
        self.change().activate(start)
    }

    /// Makes the live allocation at `start` a reserved one again, whose content is lost; false if there is none.
    pub fn deactivate(&mut self, start: u64) -> bool {
        self.change().deactivate(start)
    }

    /// Frees the device allocation that starts at `start`; false if none does.
    pub fn free(&mut self, start: u64) -> bool {
        self.change().free(start)
    }

    /// Lets device code reach `bytes` of host memory at `start` under their host address. False when they overlap
    /// memory that is known already.
    pub fn map_host(&mut self, start: u64, bytes: u64) -> bool {
        let mut table = self.change();
        let mapped = table.map_host(start, bytes);
        self.shared.serial.store(table.serial, Ordering::Relaxed);
        mapped
    }

    /// Undoes [`Memory::map_host`]; false if no host memory was mapped at `start`.
    pub fn unmap_host(&mut self, start: u64) -> bool {
        self.change().unmap_host(start)
    }

    /// Deallocates host memory that was unmapped, once no kernel runs that may touch it.
    ///
    /// # Safety
    /// The memory at `start` came from `alloc` with this layout, and nobody else deallocates it.
    pub(crate) unsafe fn retire_host(&mut self, start: u64, layout: Layout) {
        self.change().retire(Retired::Host(start, layout));
    }

    /// The live allocation that holds `address`, mapped host memory included.
    pub fn find(&self, address: u64) -> Option<Allocation> {
        self.find_in(address, |state| state != State::Reserved)
    }

    /// The device allocation that holds `address`, live or reserved.
    pub fn find_device(&self, address: u64) -> Option<Allocation> {
        self.find_in(address, |state| state != State::Host)
    }

    /// The page-locked host memory that holds `address`.
    pub fn find_host(&self, address: u64) -> Option<Allocation> {
        self.find_in(address, |state| state == State::Host)
    }

    fn find_in(&self, address: u64, wanted: impl Fn(State) -> bool) -> Option<Allocation> {
        self.look().entry(address).filter(|entry| wanted(entry.state)).map(|entry| entry.allocation)
    }

    /// Number of allocations so far: the argument for a later [`Memory::allocated_since`].
    pub fn serial(&self) -> u64 {
        self.shared.serial.load(Ordering::Relaxed)
    }

    /// Which allocation the one at `start` is, counted as [`Memory::serial`] counts.
    pub fn serial_of(&self, start: u64) -> Option<u64> {
        let table = self.look();
        table.position(start).map(|index| table.entries[index].serial)
    }

    /// Starts of the allocations that were made after [`Memory::serial`] was `serial` and that are still there.
    pub fn allocated_since(&self, serial: u64) -> Vec<u64> {
        let table = self.look();
        table.entries.iter().filter(|entry| entry.serial >= serial).map(|entry| entry.allocation.start).collect()
    }

    /// Keeps account from now on of what is written to device memory that is allocated.
    pub fn track_writes(&mut self) {
        self.change().tracks_writes = true;
    }

    /// Notes that `[start, start + bytes)` was written by something other than a kernel: a copy, a memset.
    pub fn mark_written(&self, start: u64, bytes: u64) {
        if let Some((offset, written)) = self.written(&mut Hint::default(), start, bytes) {
            written.fill(offset, bytes);
        }
    }

    /// Notes that `bytes` bytes were copied from `from` to `to`: what was never written stays so.
    pub fn mark_copied(&self, from: u64, to: u64, bytes: u64) {
        let (mut source, mut target) = (Hint::default(), Hint::default());
        let source = self.written(&mut source, from, bytes).filter(|(_, source)| !source.is_complete());
        match (source, self.written(&mut target, to, bytes)) {
            (Some((from, source)), Some((to, target))) => target.copy(to, source, from, bytes),
            (None, Some((to, target))) => target.fill(to, bytes),
            (_, None) => {}
        }
    }

    /// Offset in its allocation of the range `[address, address + bytes)`, and which bytes of the allocation were
    /// written. `None` where nobody keeps account of that, or where the range is in no device allocation. `hint` is
    /// what an earlier call found.
    pub(crate) fn written<'h>(&self, hint: &'h mut Hint, address: u64, bytes: u64) -> Option<(u64, &'h Written)> {
        if !hint.allocation.holds(address, bytes) {
            *hint = self.look().account(address, bytes)?;
        }
        Some((address - hint.allocation.start, hint.written.as_deref()?))
    }

    /// The allocation nearest to `address`, or the freed one that held it.
    pub(crate) fn nearby(&self, address: u64) -> Option<Nearby> {
        self.look().nearby(address)
    }
}

/// Where in its region an allocation of `bytes` starts.
fn lead(bytes: u64) -> u64 {
    if bytes < LARGE_PAGE_BYTES { ALIGNMENT } else { 0 }
}

/// Address space of a region for `bytes`: pages, then the gap. The allocation starts [`lead`] into it.
fn region_bytes(bytes: u64) -> Option<u64> {
    lead(bytes).checked_add(bytes)?.checked_next_multiple_of(PAGE_BYTES)?.checked_add(GAP_BYTES)
}

/// The reserved range of addresses and what is left of it.
#[derive(Debug)]
struct AddressSpace {
    base: u64,
    bytes: u64,
    /// Everything from here to the end was never handed out.
    fresh: u64,
    /// Freed regions that are not to be reused yet: start and bytes.
    quarantine: Vec<(u64, u64)>,
    /// Freed regions that may be reused: bytes by start.
    reusable: BTreeMap<u64, u64>,
    pattern: OwnedFd,
}

impl AddressSpace {
    fn new() -> io::Result<Self> {
        let pattern = pattern_file()?;
        let mut bytes = RESERVE_BYTES;
        loop {
            match map_pages(0, bytes, Backing::Nothing) {
                Ok(base) => {
                    let (quarantine, reusable) = (Vec::new(), BTreeMap::new());
                    return Ok(AddressSpace { base, bytes, fresh: base, quarantine, reusable, pattern });
                }
                Err(error) if bytes <= GAP_BYTES => return Err(error),
                Err(_) => bytes /= 2,
            }
        }
    }

    /// Maps fresh pages for `bytes` and gives the allocation's start.
    fn map(&mut self, bytes: u64) -> Option<u64> {
        let alignment = if lead(bytes) == 0 { LARGE_PAGE_BYTES } else { PAGE_BYTES };
        let region = self.take(region_bytes(bytes)?, alignment)?;
        let pages = region_bytes(bytes)? - GAP_BYTES;
        let start = region + lead(bytes);
        if self.map_pattern(region, pages).is_err() {
            self.unmap(start, bytes);
            return None;
        }
        Some(start)
    }

    /// Maps fresh pages over a part of the address space.
    fn map_pattern(&self, start: u64, bytes: u64) -> io::Result<()> {
        for offset in (0..bytes).step_by(PATTERN_BYTES as usize) {
            let length = PATTERN_BYTES.min(bytes - offset);
            map_pages(start + offset, length, Backing::Pattern(&self.pattern))?;
        }
        Ok(())
    }

    /// Maps fresh pages over those of an allocation.
    fn renew(&self, start: u64, bytes: u64) -> io::Result<()> {
        self.map_pattern(start - lead(bytes), region_bytes(bytes).unwrap_or(GAP_BYTES) - GAP_BYTES)
    }

    /// Takes whatever is mapped away from a part of the address space, which stays reserved.
    fn forbid(start: u64, bytes: u64) {
        // If even this mapping is refused the pages stay readable, which costs memory and nothing else.
        let _ = map_pages(start, bytes, Backing::Nothing);
    }

    /// Gives the pages back to the system; touching them afterwards ends the process.
    fn unmap(&mut self, start: u64, bytes: u64) {
        let region = start - lead(bytes);
        let Some(total) = region_bytes(bytes) else { return };
        Self::forbid(region, total - GAP_BYTES);
        self.quarantine.push((region, total));
    }

    /// `bytes` of address space, pages, at a multiple of `alignment`: fresh if there is any, otherwise of the tightest
    /// freed range.
    fn take(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        let enough = bytes.checked_add(alignment - PAGE_BYTES)?;
        let (start, length) = if enough <= self.base + self.bytes - self.fresh {
            self.fresh += enough;
            (self.fresh - enough, enough)
        } else {
            self.end_quarantine();
            let fits = self.reusable.iter().filter(|&(_, &length)| length >= enough);
            let (&start, &length) = fits.min_by_key(|&(_, &length)| length)?;
            self.reusable.remove(&start);
            (start, length)
        };
        let taken = start.next_multiple_of(alignment);
        for (rest, end) in [(start, taken), (taken + bytes, start + length)] {
            if rest < end {
                self.reusable.insert(rest, end - rest);
            }
        }
        Some(taken)
    }

    /// Moves every quarantined region to the reusable ones and joins neighbours.
    fn end_quarantine(&mut self) {
        self.reusable.extend(self.quarantine.drain(..));
        let mut joined: BTreeMap<u64, u64> = BTreeMap::new();
        for (&start, &bytes) in &self.reusable {
            match joined.last_entry() {
                Some(mut last) if last.key() + last.get() == start => *last.get_mut() += bytes,
                _ => {
                    joined.insert(start, bytes);
                }
            }
        }
        self.reusable = joined;
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and nothing else lives in it.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.bytes as usize) };
    }
}

/// What stands behind a range of pages.
enum Backing<'a> {
    /// No access.
    Nothing,
    /// A private view of the pattern file.
    Pattern(&'a OwnedFd),
}

/// Maps `bytes` at `address`, or anywhere if it is 0.
fn map_pages(address: u64, bytes: u64, backing: Backing) -> io::Result<u64> {
    let (protection, source, file) = match backing {
        Backing::Nothing => (libc::PROT_NONE, libc::MAP_ANONYMOUS, -1),
        Backing::Pattern(file) => (libc::PROT_READ | libc::PROT_WRITE, 0, file.as_raw_fd()),
    };
    let place = if address == 0 { 0 } else { libc::MAP_FIXED };
    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | source | place;
    // SAFETY: a fixed address lies in the range that `AddressSpace` reserved for itself, so that no other mapping is
    // replaced; the file is at least `bytes` long.
    let start = unsafe { libc::mmap(address as *mut libc::c_void, bytes as usize, protection, flags, file, 0) };
    if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(start as u64) }
}

/// An anonymous file of `PATTERN_BYTES` bytes `0xFF`.
fn pattern_file() -> io::Result<OwnedFd> {
    // SAFETY: the name is a terminated string.
    let descriptor = unsafe { libc::memfd_create(c"cuda-emulator-pattern".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created and belongs to nobody else.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let chunk = vec![0xFF; 1 << 20];
    for _ in 0..PATTERN_BYTES as usize / chunk.len() {
        io::Write::write_all(&mut &file, &chunk)?;
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: u64) -> u8 {
        // SAFETY: the callers pass addresses inside live allocations.
        unsafe { (address as *const u8).read() }
    }

    fn write(address: u64, value: u8) {
        // SAFETY: the callers pass addresses inside live allocations.
        unsafe { (address as *mut u8).write(value) }
    }

    /// Leaves no fresh address space.
    fn use_up(memory: &Memory) {
        let mut table = memory.change();
        let space = table.space.as_mut().unwrap();
        space.fresh = space.base + space.bytes;
    }

    #[test]
    fn fresh_memory_is_nan_and_little_of_it_is_aligned_to_more_than_256() {
        let mut memory = Memory::default();
        for bytes in [1, 255, 4096, 100_000, PATTERN_BYTES + 5] {
            let start = memory.allocate(bytes).unwrap();
            if bytes < LARGE_PAGE_BYTES {
                assert_eq!(start % 512, 256, "{bytes} bytes");
            }
            let addresses = [start, start + bytes / 2, start + bytes - 1];
            assert_eq!(addresses.map(read), [0xFF; 3], "{bytes} bytes");
            addresses.into_iter().for_each(|address| write(address, 1));
        }
        let again = memory.allocate(4096).unwrap();
        assert_eq!(read(again), 0xFF, "writes do not reach the pattern");
    }

    #[test]
    fn find_knows_exactly_the_live_bytes() {
        let mut memory = Memory::default();
        let starts: Vec<u64> = (0..10).map(|_| memory.allocate(1000).unwrap()).collect();
        for &start in &starts {
            let allocation = Some(Allocation { start, bytes: 1000 });
            assert_eq!(memory.find(start), allocation);
            assert_eq!(memory.find(start + 999), allocation);
            assert_eq!(memory.find(start + 1000), None);
            assert_eq!(memory.find(start - 1), None);
        }
        assert!(!memory.free(starts[3] + 1));
        assert!(memory.free(starts[3]));
        assert!(!memory.free(starts[3]));
        assert_eq!(memory.find(starts[3]), None);
        assert!(memory.find(starts[4]).is_some());
    }

    #[test]
    fn capacity_is_the_devices() {
        let mut memory = Memory::new(1000 * ALIGNMENT);
        let half = memory.allocate(500 * ALIGNMENT).unwrap();
        assert_eq!(memory.available(), 500 * ALIGNMENT);
        assert_eq!(memory.allocate(500 * ALIGNMENT + 1), None);
        assert_eq!(memory.allocate(u64::MAX), None);
        assert_eq!(memory.allocate(0), None);
        assert!(memory.free(half));
        assert!(memory.allocate(1000 * ALIGNMENT).is_some());
    }

    #[test]
    fn huge_allocations_are_paid_by_the_page() {
        let mut memory = Memory::new(64 << 30);
        let start = memory.allocate(48 << 30).unwrap();
        write(start + (47 << 30), 3);
        assert_eq!((read(start + (47 << 30)), read(start + (24 << 30))), (3, 0xFF));
    }

    #[test]
    fn freed_ranges_are_reused_only_when_fresh_space_is_gone() {
        let mut memory = Memory::new(64 << 30);
        let first = memory.allocate(1 << 20).unwrap();
        assert!(memory.free(first));
        assert_ne!(memory.allocate(1 << 20), Some(first));
        use_up(&memory);
        let reused = memory.allocate(1 << 20).unwrap();
        assert_eq!(reused, first);
        assert_eq!(read(reused), 0xFF);
    }

    #[test]
    fn large_allocations_start_at_large_pages() {
        let mut memory = Memory::new(64 << 30);
        let small = memory.allocate(1000).unwrap();
        let large = [LARGE_PAGE_BYTES, LARGE_PAGE_BYTES + 1].map(|bytes| memory.allocate(bytes).unwrap());
        assert!(large.iter().all(|start| start.is_multiple_of(LARGE_PAGE_BYTES)));
        assert!(large[0] >= small + 1000 && large[1] >= large[0] + LARGE_PAGE_BYTES + GAP_BYTES);
        assert!(memory.free(large[0]) && memory.free(large[1]));
        use_up(&memory);
        let again = memory.allocate(LARGE_PAGE_BYTES + 1).unwrap();
        assert!(again.is_multiple_of(LARGE_PAGE_BYTES) && read(again + LARGE_PAGE_BYTES) == 0xFF);
    }

    #[test]
    fn freed_pages_stay_as_long_as_a_kernel_runs() {
        let mut memory = Memory::default();
        let (start, layout) = (memory.allocate(4096).unwrap(), Layout::from_size_align(64, 8).unwrap());
        let view = memory.clone();
        let (first, second) = (view.visit(), view.visit());
        write(start, 7);
        // SAFETY: the layout is not empty, and nobody but the memory deallocates it.
        unsafe { memory.retire_host(std::alloc::alloc(layout) as u64, layout) };
        assert!(memory.free(start));
        assert_eq!((view.find(start), read(start)), (None, 7), "a kernel may still read it");
        drop(first);
        assert_eq!((view.change().retired_count(), read(start)), (2, 7));
        drop(second);
        assert_eq!(memory.change().retired_count(), 0);
    }

    #[test]
    fn reserved_memory_is_not_found_before_it_is_active() {
        let mut memory = Memory::default();
        let start = memory.reserve(64).unwrap();
        assert_eq!(memory.find(start), None);
        assert!(memory.find_device(start).is_some());
        assert!(memory.activate(start));
        assert!(!memory.activate(start));
        assert!(memory.find(start).is_some());
    }

    #[test]
    fn host_memory_is_mapped_without_overlap() {
        let mut memory = Memory::default();
        let bytes = [0u8; 64];
        let start = bytes.as_ptr() as u64;
        assert!(memory.map_host(start, 64));
        assert!(!memory.map_host(start + 32, 64));
        assert!(!memory.map_host(start - 8, 16));
        assert!(memory.find(start + 63).is_some() && memory.find_host(start).is_some());
        assert_eq!(memory.find_device(start), None);
        assert!(!memory.free(start));
        assert!(memory.unmap_host(start));
        assert_eq!(memory.find(start), None);
    }
}
