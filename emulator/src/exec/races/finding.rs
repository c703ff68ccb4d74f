//! Whether two accesses that met are a race, and what is said of it.

use super::clock::{Clocks, Time};
use super::shadow::{GLOBAL_GRANULE, GlobalShadow, Judge, Kind, Shadow, Stamp};
use crate::check::Check;
use crate::exec::lanes::lanes_of;
use crate::exec::observe::{Access, Seen};
use crate::isa::{Op, Space, Width};
use crate::report::{self, Key, Nearby, Report};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// One access under examination.
pub(super) struct Examined<'a> {
    clocks: &'a Clocks,
    seen: &'a Seen<'a>,
    access: &'a Access,
    /// Bytes that are told apart.
    pub unit: usize,
    floor: Time,
    /// Address of the granule at hand.
    granule: u64,
    known: &'a Mutex<KnownPairs>,
}

/// The lines behind two instructions.
type Lines = (u32, u32);

/// Pairs of instructions that raced in this launch, with the PTX lines under which the race was reported: unrolled
/// loops have many instructions for one line of the source.
#[derive(Debug, Default)]
pub(super) struct KnownPairs {
    reported: HashMap<Lines, Lines>,
    by_source: HashMap<Lines, Lines>,
}

fn sorted((a, b): Lines) -> Lines {
    (a.min(b), a.max(b))
}

impl<'a> Examined<'a> {
    pub(super) fn new(
        clocks: &'a Clocks,
        seen: &'a Seen<'a>,
        access: &'a Access,
        unit: usize,
        known: &'a Mutex<KnownPairs>,
    ) -> Self {
        Examined { clocks, seen, access, unit, floor: clocks.floor(seen.number), granule: 0, known }
    }

    /// What comes next concerns the granule that starts at `address`.
    #[inline(always)]
    pub(super) fn granule_at(&mut self, address: u64) {
        self.granule = address;
    }

    /// Whether the two may meet in any order: strong accesses, and the plain reads that idioms around atomics make.
    fn may_meet(&self, earlier: &Stamp, new: &Stamp) -> bool {
        let idiom = |atomic: &Stamp| match atomic.kind() {
            Kind::Exchange => true,
            Kind::Update => self.access.space == Space::Global,
            Kind::Read | Kind::Write | Kind::Copy => false,
        };
        let reads = |stamp: &Stamp| stamp.is_read() && !stamp.is_effectless();
        earlier.is_strong() && new.is_strong() || reads(earlier) && idiom(new) || reads(new) && idiom(earlier)
    }

    /// The lanes of a plain store to global memory that put back what is there and what the warp itself was the last to
    /// read. Minima in place do so on purpose while other blocks read there (the pivot's row and column of
    /// Floyd-Warshall), and nobody can tell. Memory that happens to hold what is stored, as zeros do, is no such case.
    pub(super) fn lanes_without_effect(&self, shadow: &mut GlobalShadow, stamp: &Stamp) -> u32 {
        let bytes = self.access.bytes as usize;
        let is_own = |reader: Stamp| !reader.is_none() && reader.same_warp(stamp);
        let without_effect = |&lane: &usize| {
            let address = self.access.addresses[lane];
            let first = address as usize % GLOBAL_GRANULE;
            // The executor refuses what is misaligned.
            address.is_multiple_of(bytes as u64)
                && shadow.granule(address).is_some_and(|granule| {
                    (0..bytes).step_by(self.unit).all(|byte| is_own(granule.last_reader(self.unit, first + byte)))
                })
                && (0..bytes).step_by(self.unit).all(|byte| self.writes_the_same(lane, address + byte as u64))
        };
        lanes_of(self.access.mask).filter(without_effect).fold(0, |mask, lane| mask | 1 << lane)
    }

    /// Whether a plain write changes nothing of the bytes at `address`.
    fn writes_the_same(&self, lane: usize, address: u64) -> bool {
        let Op::Store { kind, a, .. } = &self.seen.instruction.op else { return false };
        let start = self.access.addresses[lane];
        let bytes = usize::from(kind.bytes);
        (0..self.unit).all(|byte| {
            let offset = (address - start) as usize + byte;
            let reg = a[(offset / bytes).min(3)];
            let value = match kind.width {
                Width::W64 => self.seen.file.get64(reg)[lane],
                Width::W32 | Width::W16 => self.seen.file.get(reg)[lane].into(),
            };
            self.byte(address + byte as u64) == Some((value >> (8 * (offset % bytes))) as u8)
        })
    }

    /// The byte at `address`.
    fn byte(&self, address: u64) -> Option<u8> {
        if self.access.space == Space::Shared {
            let reserved = || self.seen.reserved.get(address.checked_sub(self.seen.reserved_start)? as usize);
            return self.seen.shared.get(address as usize).or_else(reserved).copied();
        }
        self.seen.grid.memory.find(address)?;
        // SAFETY: the byte lies in a live allocation, and device addresses are host addresses.
        Some(unsafe { (address as *const u8).read_volatile() })
    }

    #[cold]
    #[inline(never)]
    fn report(&self, earlier: &Stamp, new: &Stamp, address: u64) {
        let grid = self.seen.grid;
        let line = |position: u32| grid.program.code[position as usize].line;
        let pair = sorted((line(self.seen.position), line(earlier.position)));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&(ptx_line, other)) = known.reported.get(&pair) {
            let key = Key { check: Check::Races, kernel: grid.name, ptx_line, other: Some(other) };
            report::found_again(&key);
            return;
        }
        let [x, y, _] = grid.launch.grid;
        let number = earlier.block;
        let block = [number % x, number / x % y, number / x / y];
        let other = grid.place(block, earlier.warp(), Some(earlier.lane()), earlier.position);
        let report = self.seen.report(Check::Races, new.lane(), self.message(earlier, new));
        let lines = (line(self.seen.position), other.ptx_line);
        let sources = report.source.as_ref().zip(other.source.as_ref()).filter(|(new, old)| new.0 == old.0);
        let source = sources.map(|(new, old)| sorted((new.1, old.1)));
        let first = source.map_or(lines, |source| *known.by_source.entry(source).or_insert(lines));
        known.reported.insert(pair, first);
        if first == lines {
            report::finding(Report { other: Some(other), nearby: self.nearby(address), ..report });
        }
    }

    fn message(&self, earlier: &Stamp, new: &Stamp) -> String {
        let verb = |stamp: &Stamp| match stamp.kind() {
            Kind::Read if stamp.is_effectless() => "a write",
            Kind::Read => "a read",
            Kind::Write => "a write",
            Kind::Copy => "a cp.async",
            Kind::Update | Kind::Exchange => "an atomic",
        };
        let (new_verb, old_verb) = (verb(new), verb(earlier));
        let same_warp = earlier.same_warp(new);
        if earlier.is_pending() {
            let whose = if same_warp && earlier.lane() == new.lane() { "its own thread" } else { "another thread" };
            return format!("{new_verb} of bytes that a cp.async of {whose} fills and that has not been waited for");
        }
        let space = if self.access.space == Space::Shared { "shared" } else { "global" };
        let (who, missing) = if same_warp {
            ("another lane of the warp", "no __syncwarp() or __syncthreads() between them")
        } else if earlier.block == new.block {
            ("another warp of the block", "no __syncthreads() between them")
        } else {
            ("another block", "nothing orders the two blocks")
        };
        format!("race in {space} memory: {new_verb} after {old_verb} by {who}, {missing}")
    }

    fn nearby(&self, address: u64) -> Option<Nearby> {
        let (what, start, bytes) = if self.access.space == Space::Shared {
            self.seen.grid.shared_piece(address)
        } else {
            let allocation = self.seen.grid.memory.find(address)?;
            ("allocation", allocation.start, allocation.bytes)
        };
        Some(Nearby { what: what.into(), start, bytes, freed: false, address })
    }
}

impl Judge for Examined<'_> {
    #[inline(always)]
    fn floor(&self) -> Time {
        self.floor
    }

    #[inline]
    fn ordered(&self, earlier: &Stamp, _new: &Stamp) -> bool {
        !earlier.is_pending() && self.clocks.knows_of_other_warp(self.seen.number, earlier)
    }

    fn meet(&mut self, earlier: &Stamp, new: &Stamp, offset: usize) {
        let same_warp = earlier.same_warp(new);
        if same_warp && earlier.time == new.time {
            // One instruction: CUDA lets one of the lanes win.
            return;
        }
        let ordered = match (earlier.is_pending(), same_warp) {
            (true, _) => false,
            (false, true) => self.clocks.knows_of_lane(self.seen.number, new.lane(), earlier),
            (false, false) => self.clocks.knows_of_other_warp(self.seen.number, earlier),
        };
        if ordered || self.may_meet(earlier, new) {
            return;
        }
        let address = self.granule + offset as u64;
        let is_write = |stamp: &Stamp| stamp.kind() == Kind::Write || stamp.is_effectless();
        if is_write(earlier) && is_write(new) && self.writes_the_same(new.lane(), address) {
            return;
        }
        self.report(earlier, new, address);
    }
}
