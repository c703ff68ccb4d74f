//! Ranges of the address space that the program reserves, and the memory that it maps into them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Allocation, Entry, Memory, PAGE_BYTES, Retired, State};

/// Memory without an address: a file that lives as long as this value.
#[derive(Debug)]
pub struct Physical {
    file: OwnedFd,
    pub bytes: u64,
}

impl Memory {
    /// Reserves `bytes` of address space at a multiple of `alignment`.
    pub fn reserve_range(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        self.change().space()?.take(bytes, alignment.max(PAGE_BYTES))
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
        self.change().used += bytes;
        Some(Physical { file: file.into(), bytes })
    }

    /// Gives the memory back; mappings of it keep its content as long as they last.
    pub fn release_physical(&mut self, physical: &Physical) {
        self.change().used -= physical.bytes;
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
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.change().replace_mapping(Allocation { start, bytes: bytes as u64 });
        Ok(())
    }

    /// Ends what [`Memory::map_physical`] began.
    pub fn unmap_physical(&mut self, start: u64, bytes: u64) {
        self.change().retire(Retired::Mapping(Allocation { start, bytes }));
    }

    /// Makes exactly `runs`, sorted parts of a reserved range `[start, start + bytes)`, the memory that may be touched
    /// there. Neighbouring mappings make one run, so that copies may cross from one to the other.
    pub fn set_accessible(&mut self, start: u64, bytes: u64, runs: &[Allocation]) {
        let range = Allocation { start, bytes };
        let mut table = self.change();
        table.entries.retain(|entry| !range.holds(entry.allocation.start, 1));
        let place = table.entries.partition_point(|entry| entry.allocation.start < start);
        let serial = table.serial;
        let entries = runs.iter().map(|&allocation| Entry { allocation, state: State::Live, serial, written: None });
        table.entries.splice(place..place, entries);
    }
}
