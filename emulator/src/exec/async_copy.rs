//! `cp.async`: nothing is read and nothing is written before the wait that the program relies on.

use super::lanes::{File, Lanes64, lanes_of};
use super::memory::{Checked, Fault, View, addresses};
use crate::isa::{Address, Reg, Space};
use std::collections::VecDeque;

/// One instruction's copies that have not been performed.
#[derive(Clone, Debug)]
struct Copy {
    mask: u32,
    to: Lanes64,
    from: Lanes64,
    bytes: u8,
    /// Bytes to read, lane by lane; the rest become zero.
    source_bytes: [u8; 32],
}

/// Copies that were committed together, by the lanes of `mask`.
#[derive(Clone, Debug, Default)]
struct Group {
    mask: u32,
    copies: Vec<Copy>,
}

/// The asynchronous copies of a warp.
#[derive(Debug, Default)]
pub(super) struct Copies {
    open: Vec<Copy>,
    /// Oldest first.
    committed: VecDeque<Group>,
    /// Emptied vectors, to be used again.
    spare: Vec<Vec<Copy>>,
}

impl Copies {
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.committed.clear();
    }

    /// Notes a copy; its addresses are checked now, its data move later.
    pub(super) fn begin(
        &mut self,
        view: &mut View,
        file: &File,
        mask: u32,
        bytes: u8,
        [to, from]: [Address; 2],
        source_bytes: Option<Reg>,
    ) -> Checked<()> {
        let size = u64::from(bytes);
        let mut sizes = [bytes; 32];
        let mut reading = mask;
        if let Some(reg) = source_bytes {
            let wanted = file.get(reg);
            for lane in lanes_of(mask) {
                if wanted[lane] > u32::from(bytes) {
                    let message = format!("cp.async reads {} of {bytes} bytes", wanted[lane]);
                    return Err(Fault::new(Some(lane), message));
                }
                sizes[lane] = wanted[lane] as u8;
                reading &= !(u32::from(wanted[lane] == 0) << lane);
            }
        }
        let to = view.resolve(Space::Shared, addresses(file, to), mask, size)?.pointers;
        let from = addresses(file, from);
        // A lane that reads nothing may hold any address; one that reads part needs that part only.
        let whole = lanes_of(reading).filter(|lane| sizes[*lane] == bytes).fold(0, |set, lane| set | 1 << lane);
        if whole != 0 {
            view.resolve(Space::Global, from, whole, size)?;
        }
        for lane in lanes_of(reading & !whole) {
            let only = from.map(|_| from[lane]);
            if from[lane] & (size - 1) != 0 {
                return Err(Fault::new(Some(lane), format!("misaligned cp.async source {:#x}", from[lane])));
            }
            let last = only.map(|address| address + u64::from(sizes[lane]) - 1);
            view.resolve(Space::Global, only, 1 << lane, 1)?;
            view.resolve(Space::Global, last, 1 << lane, 1)?;
        }
        self.open.push(Copy { mask, to, from, bytes, source_bytes: sizes });
        Ok(())
    }

    /// `commit_group` by the lanes of `mask`.
    pub(super) fn commit(&mut self, mask: u32) {
        let mut copies = self.spare.pop().unwrap_or_default();
        if self.open.iter().all(|copy| copy.mask & !mask == 0) {
            std::mem::swap(&mut copies, &mut self.open);
        } else {
            for copy in &mut self.open {
                if copy.mask & mask != 0 {
                    copies.push(Copy { mask: copy.mask & mask, ..copy.clone() });
                    copy.mask &= !mask;
                }
            }
            self.open.retain(|copy| copy.mask != 0);
        }
        self.committed.push_back(Group { mask, copies });
    }

    /// Performs the copies of the lanes of `mask` in all but their newest `pending` groups.
    pub(super) fn wait(&mut self, mask: u32, pending: u32) {
        let mut newer = [0u32; 32];
        let uniform = self.committed.iter().all(|group| group.mask & mask == mask);
        let groups = self.committed.len();
        let mut finished = vec![0u32; groups];
        for (index, group) in self.committed.iter().enumerate().rev() {
            if uniform {
                let older = groups - index > pending as usize;
                finished[index] = if older { mask } else { 0 };
                continue;
            }
            for lane in lanes_of(group.mask & mask) {
                if newer[lane] >= pending {
                    finished[index] |= 1 << lane;
                }
                newer[lane] += 1;
            }
        }
        for (group, lanes) in self.committed.iter_mut().zip(finished) {
            if lanes != 0 {
                perform(&mut group.copies, lanes);
                group.mask &= !lanes;
            }
        }
        while self.committed.front().is_some_and(|group| group.mask == 0) {
            if let Some(mut group) = self.committed.pop_front() {
                group.copies.clear();
                self.spare.push(group.copies);
            }
        }
        // An emptied group that an older one keeps in the queue counts for nobody.
    }

    /// `wait_all`: the uncommitted copies too.
    pub(super) fn wait_all(&mut self, mask: u32) {
        self.wait(mask, 0);
        perform(&mut self.open, mask);
        self.open.retain(|copy| copy.mask != 0);
    }
}

/// Moves the data of the lanes in `lanes` and forgets them.
fn perform(copies: &mut [Copy], lanes: u32) {
    for copy in copies {
        for lane in lanes_of(copy.mask & lanes) {
            let (bytes, wanted) = (copy.bytes as usize, copy.source_bytes[lane] as usize);
            let (to, from) = (copy.to[lane] as *mut u8, copy.from[lane] as *const u8);
            // SAFETY: `begin` checked both ends; nothing is freed during a launch.
            unsafe {
                if bytes == 16 && wanted == 16 {
                    to.cast::<[u8; 16]>().write_unaligned(from.cast::<[u8; 16]>().read_unaligned());
                } else {
                    std::ptr::copy_nonoverlapping(from, to, wanted);
                    std::ptr::write_bytes(to.add(wanted), 0, bytes - wanted);
                }
            }
        }
        copy.mask &= !lanes;
    }
}
