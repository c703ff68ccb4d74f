//! Ranges of the address space that the program reserves, and the memory that it maps into them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{AddressSpace, Allocation, Backing, Entry, Memory, PAGE_BYTES, State, map_pages};

/// Memory without an address: a file that lives as long as this value.
#[derive(Debug)]
pub struct Physical {
    file: OwnedFd,
    pub bytes: u64,
}

impl Memory {
    /// Reserves `bytes` of address space at a multiple of `alignment`.
    pub fn reserve_range(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        if self.space.is_none() {
            self.space = AddressSpace::new().ok();
        }
        self.space.as_mut()?.take(bytes, alignment.max(PAGE_BYTES))
    }

    /// Takes `bytes` of the device's memory without an address; `None` when the device is full. Its content is zeros.
    pub fn create_physical(&mut self, bytes: u64) -> Option<Physical> {
        if bytes > self.available() {
            return None;
        }
        // SAFETY: the name is a terminated string.
        let descriptor = unsafe { libc::memfd_create(c"cuda-emulator-memory".as_ptr(), libc::MFD_CLOEXEC) };
        if descriptor < 0 {
            return None;
        }
        // SAFETY: the descriptor was just created and belongs to nobody else.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        file.set_len(bytes).ok()?;
        self.used += bytes;
        Some(Physical { file: file.into(), bytes })
    }

    /// Gives the memory back; mappings of it keep its content as long as they last.
    pub fn release_physical(&mut self, physical: &Physical) {
        self.used -= physical.bytes;
    }

    /// Lets addresses from `start` on, which must be reserved, mean `bytes` of `physical`. Nobody may touch them before
    /// [`Memory::set_accessible`].
    ///
    /// # Errors
    /// What the system says against it.
    pub fn map_physical(&mut self, start: u64, physical: &Physical, bytes: u64) -> io::Result<()> {
        let (address, bytes) = (start as *mut libc::c_void, bytes as usize);
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: the range was reserved by the program, so that no other mapping is replaced.
        let mapped = unsafe { libc::mmap(address, bytes, protection, flags, physical.file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Ends what [`Memory::map_physical`] began.
    pub fn unmap_physical(&mut self, start: u64, bytes: u64) {
        // If even this mapping is refused the pages stay readable, which costs memory and nothing else.
        let _ = map_pages(start, bytes, Backing::Nothing);
    }

    /// Makes exactly `runs`, sorted parts of a reserved range `[start, start + bytes)`, the memory that may be touched
    /// there. Neighbouring mappings make one run, so that copies may cross from one to the other.
    pub fn set_accessible(&mut self, start: u64, bytes: u64, runs: &[Allocation]) {
        let range = Allocation { start, bytes };
        self.entries.retain(|entry| !range.holds(entry.allocation.start, 1));
        let place = self.entries.partition_point(|entry| entry.allocation.start < start);
        let serial = self.serial;
        let entries = runs.iter().map(|&allocation| Entry { allocation, state: State::Live, serial, written: None });
        self.entries.splice(place..place, entries);
    }
}
