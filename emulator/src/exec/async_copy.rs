//! `cp.async`: nothing is read and nothing is written before the wait that the program relies on, unless a seed says so.

use super::lanes::{FULL, File, Lanes64, bits, lanes_of, per_level};
use super::memory::{Checked, Fault, View, addresses};
use crate::isa::{Address, Reg, Space};
use crate::report::Fault as Kind;
use std::collections::VecDeque;

/// One instruction's copies that have not been performed.
#[derive(Clone, Debug)]
struct Copy {
    mask: u32,
    to: Lanes64,
    from: Lanes64,
    bytes: u8,
    /// Lanes that read as much as they write.
    whole: u32,
    /// Bytes to read, lane by lane; the rest become zero.
    source_bytes: [u8; 32],
}

/// Copies that were committed together, by the lanes of `mask`.
#[derive(Clone, Debug, Default)]
struct Group {
    mask: u32,
    copies: Vec<Copy>,
}

impl Group {
    /// The lanes of `mask` that have committed `pending` groups after this one; `newer` counts those of each lane.
    ///
    /// Lanes that diverged have groups of their own: each counts those that it committed.
    fn finished(&self, mask: u32, pending: u32, newer: &mut [u32; 32]) -> u32 {
        let mut finished = 0;
        for lane in lanes_of(self.mask & mask) {
            finished |= u32::from(newer[lane] >= pending) << lane;
            newer[lane] += 1;
        }
        finished
    }
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
        if self.committed.iter().all(|group| group.mask == mask) {
            while self.committed.len() > pending as usize {
                self.finish_oldest(mask);
            }
            return;
        }
        let mut newer = [0u32; 32];
        for group in self.committed.iter_mut().rev() {
            let finished = group.finished(mask, pending, &mut newer);
            perform(&mut group.copies, finished);
            group.mask &= !finished;
        }
        while self.committed.front().is_some_and(|group| group.mask == 0) {
            self.finish_oldest(0);
        }
    }

    /// Shows what such a wait performs, with uncommitted copies if `all`: host pointers to the targets, lanes, bytes.
    pub(super) fn awaited(&self, mask: u32, pending: u32, all: bool, mut see: impl FnMut(&Lanes64, u32, u8)) {
        let mut newer = [0u32; 32];
        for group in self.committed.iter().rev() {
            let finished = group.finished(mask, pending, &mut newer);
            group.copies.iter().for_each(|copy| see(&copy.to, copy.mask & finished, copy.bytes));
        }
        let open = if all { &self.open[..] } else { &[] };
        open.iter().for_each(|copy| see(&copy.to, copy.mask & mask, copy.bytes));
    }

    /// Performs what is left of the oldest group and removes it.
    fn finish_oldest(&mut self, lanes: u32) {
        if let Some(mut group) = self.committed.pop_front() {
            perform(&mut group.copies, lanes);
            group.copies.clear();
            self.spare.push(group.copies);
        }
    }

    /// Performs the copies of the newest instruction.
    pub(super) fn finish_newest(&mut self) {
        let newest = self.open.len().saturating_sub(1);
        perform(&mut self.open[newest..], FULL);
        self.open.truncate(newest);
    }

    /// `wait_all`: the uncommitted copies too.
    pub(super) fn wait_all(&mut self, mask: u32) {
        self.wait(mask, 0);
        perform(&mut self.open, mask);
        self.open.retain(|copy| copy.mask != 0);
    }
}

per_level! {
    /// Notes a copy; its addresses are checked now, its data move later.
    pub(super) fn begin(
        file: &mut File,
        view: &mut View,
        copies: &mut Copies,
        mask: u32,
        bytes: u8,
        ends: [Address; 2],
        source_bytes: Option<Reg>,
    ) -> Checked<()> {
        let [to, from] = ends;
        let size = u64::from(bytes);
        let mut sizes = [bytes; 32];
        let mut whole = mask;
        if let Some(reg) = source_bytes {
            let wanted = file.get(reg);
            whole &= bits(|lane| wanted[lane] == u32::from(bytes));
            sizes = wanted.map(|wanted| wanted.min(255) as u8);
        }
        let mut to = addresses(&file, to);
        view.resolve(Space::Shared, &mut to, mask, size)?;
        let from = addresses(&file, from);
        // A lane that reads nothing may hold any address; one that reads part needs that part only.
        if whole != 0 {
            view.resolve(Space::Global, &mut from.clone(), whole, size)?;
            from.iter().for_each(|address| prefetch(*address));
        }
        if whole != mask {
            check_parts(view, &from, mask & !whole, bytes, &sizes)?;
        }
        copies.open.push(Copy { mask, to, from, bytes, whole, source_bytes: sizes });
        Ok(())
    }
}

/// Tells the host's cache that the data will be read at the wait.
#[inline(always)]
fn prefetch(address: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Checks the sources of lanes that read less than they write.
#[inline(never)]
fn check_parts(view: &mut View, from: &Lanes64, mask: u32, bytes: u8, sizes: &[u8; 32]) -> Checked<()> {
    for lane in lanes_of(mask) {
        let (address, wanted) = (from[lane], sizes[lane]);
        if wanted > bytes {
            return Err(Fault::new(Some(lane), format!("cp.async reads {wanted} of {bytes} bytes")));
        }
        if wanted == 0 {
            continue;
        }
        if address & (u64::from(bytes) - 1) != 0 {
            let fault = Fault::new(Some(lane), format!("misaligned cp.async source {address:#x}"));
            return Err(fault.of(Kind::MisalignedAddress).accessing(Space::Global, address));
        }
        let only = 1 << lane;
        view.resolve(Space::Global, &mut [address; 32], only, 1)?;
        view.resolve(Space::Global, &mut [address + u64::from(wanted) - 1; 32], only, 1)?;
    }
    Ok(())
}

/// Moves the data of the lanes in `lanes` and forgets them.
fn perform(copies: &mut [Copy], lanes: u32) {
    for copy in copies {
        let lanes = lanes & copy.mask;
        if copy.bytes == 16 && copy.whole & lanes == FULL {
            for lane in 0..32 {
                move_row(copy.to[lane], copy.from[lane]);
            }
        } else {
            lanes_of(lanes).for_each(|lane| copy.move_lane(lane));
        }
        copy.mask &= !lanes;
    }
}

/// Moves 16 bytes.
#[inline(always)]
fn move_row(to: u64, from: u64) {
    // SAFETY: `begin` checked both ends; nothing is freed during a launch.
    unsafe { (to as *mut [u8; 16]).write_unaligned((from as *const [u8; 16]).read_unaligned()) };
}

impl Copy {
    fn move_lane(&self, lane: usize) {
        let (bytes, wanted) = (self.bytes as usize, self.source_bytes[lane] as usize);
        let (to, from) = (self.to[lane] as *mut u8, self.from[lane] as *const u8);
        // SAFETY: `begin` checked both ends; nothing is freed during a launch.
        unsafe {
            std::ptr::copy_nonoverlapping(from, to, wanted);
            std::ptr::write_bytes(to.add(wanted), 0, bytes - wanted);
        }
    }
}
