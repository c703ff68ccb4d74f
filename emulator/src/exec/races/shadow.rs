//! What is remembered of each piece of memory: its last write and its last readers.
//!
//! Memory is remembered in granules. As long as all of a granule is accessed at once, by one thread or by neighbouring
//! lanes side by side, one cell stands for it; otherwise it has a cell for each unit, the narrowest access that the
//! program makes.

use super::clock::{END, Time};
use std::collections::HashMap;

/// Time of a copy that has not been waited for: later than everything.
const PENDING: Time = END;
/// A stamp of one lane, however many bytes it covers.
const ONE_LANE: u8 = 31;

/// What an access is, as far as races go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Read,
    Write,
    /// The write of a `cp.async`.
    Copy,
    /// An atomic that always changes the value: add, inc, dec, and, or, xor.
    Update,
    /// An atomic that programs guard with plain reads: exch, cas, min, max.
    Exchange,
}

const KINDS: [Kind; 5] = [Kind::Read, Kind::Write, Kind::Copy, Kind::Update, Kind::Exchange];
const STRONG: u8 = 8;
const EFFECTLESS: u8 = 16;

/// One access: who, when, where in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Moment of its block, [`PENDING`] added while a copy is under way; 0 for no access.
    pub time: Time,
    /// The block's number in the grid.
    pub block: u32,
    /// Index of the instruction.
    pub position: u32,
    /// Lane and warp in the block.
    thread: u16,
    /// Byte `b` of the granule belongs to the lane that is `b >> row` further.
    row: u8,
    /// Kind, strength, and whether it is a write without effect.
    what: u8,
}

impl Stamp {
    pub(super) fn new(time: Time, block: u32, warp: usize, position: u32, kind: Kind, strong: bool) -> Self {
        let what = kind as u8 | if strong { STRONG } else { 0 };
        let time = if kind == Kind::Copy { time | PENDING } else { time };
        Stamp { time, block, position, thread: 32 * warp as u16, row: ONE_LANE, what }
    }

    /// A write that leaves what is there: for everybody else it is a read.
    pub(super) fn without_effect(self) -> Self {
        Stamp { what: Kind::Read as u8 | EFFECTLESS, ..self }
    }

    pub(super) fn is_effectless(&self) -> bool {
        self.what & EFFECTLESS != 0
    }

    /// The same by `lane`.
    pub(super) fn by(self, lane: usize) -> Self {
        Stamp { thread: self.thread | lane as u16, ..self }
    }

    /// The same by lanes from `lane` on, `bytes` each.
    pub(super) fn by_row(self, lane: usize, bytes: u32) -> Self {
        Stamp { row: bytes.trailing_zeros() as u8, ..self.by(lane) }
    }

    /// The part of it at byte `offset` of the granule.
    fn at(self, offset: usize) -> Self {
        Stamp { thread: self.thread + (offset >> self.row) as u16, row: ONE_LANE, ..self }
    }

    pub(super) fn is_none(&self) -> bool {
        self.time == 0
    }

    pub(super) fn warp(&self) -> usize {
        usize::from(self.thread / 32) & 31
    }

    pub(super) fn lane(&self) -> usize {
        usize::from(self.thread % 32)
    }

    pub(super) fn kind(&self) -> Kind {
        KINDS[usize::from(self.what & 7) % KINDS.len()]
    }

    pub(super) fn is_read(&self) -> bool {
        self.kind() == Kind::Read
    }

    /// Volatile, relaxed, acquire, release, atomic.
    pub(super) fn is_strong(&self) -> bool {
        self.what & STRONG != 0
    }

    pub(super) fn is_pending(&self) -> bool {
        self.time & PENDING != 0
    }

    /// Whether both are accesses of one warp.
    pub(super) fn same_warp(&self, other: &Stamp) -> bool {
        self.block == other.block && self.warp() == other.warp()
    }

    /// Whether each byte was accessed by the same lane in both.
    fn same_lanes(&self, other: &Stamp) -> bool {
        self.block == other.block && self.thread == other.thread && self.row == other.row
    }

    /// Whether `new` follows for sure: nothing was there, everybody knows of it, or it is program order.
    #[inline(always)]
    fn surely_before(&self, new: &Stamp, floor: Time) -> bool {
        self.is_none() || self.block == new.block && self.time < floor || !self.is_pending() && self.same_lanes(new)
    }
}

/// The last accesses to some bytes: the last write; of the reads since, the latest by two lanes of one warp, and the
/// latest by another warp or block. A writer that one of the readers does not know of, finds one of them here.
#[derive(Clone, Copy, Debug, Default)]
struct Cell([Stamp; 4]);

impl Cell {
    /// The earlier accesses that `new` could race with.
    #[inline(always)]
    fn against(&self, new: &Stamp) -> &[Stamp] {
        if new.is_read() { &self.0[..1] } else { &self.0 }
    }

    /// Whether what `new` pushes out would be pushed out of each part, too.
    #[inline(always)]
    fn can_take_whole(&self, new: &Stamp, floor: Time) -> bool {
        let [_, last, before, _] = self.0;
        !new.is_read() || before.is_none() || last.surely_before(new, floor) || !last.same_warp(new)
    }

    #[inline(always)]
    fn update(&mut self, new: Stamp, floor: Time) {
        let [write, last, _, other] = self.0;
        if !new.is_read() {
            *self = Cell::written(new);
        } else if last.surely_before(&new, floor) {
            self.0[1] = new;
        } else if last.same_warp(&new) {
            *self = Cell([write, new, last, other]);
        } else {
            *self = Cell([write, new, Stamp::default(), last]);
        }
    }

    fn written(write: Stamp) -> Self {
        let none = Stamp::default();
        Cell([write, none, none, none])
    }

    /// The part of it at byte `offset` of the granule.
    fn at(&self, offset: usize) -> Self {
        Cell(self.0.map(|stamp| if stamp.is_none() { stamp } else { stamp.at(offset) }))
    }
}

/// Judges accesses that are not ordered for sure.
pub(super) trait Judge {
    /// The warp's floor: see [`super::clock::Clocks::floor`].
    fn floor(&self) -> Time;

    /// Whether all bytes of `earlier` are in order before those of `new`.
    fn ordered(&self, earlier: &Stamp, new: &Stamp) -> bool;

    /// Both access the unit at byte `offset` of the granule, and the order is not sure.
    fn meet(&mut self, earlier: &Stamp, new: &Stamp, offset: usize);
}

/// `BYTES` of memory, aligned.
#[derive(Clone, Debug, Default)]
pub(super) struct Granule<const BYTES: usize> {
    whole: Cell,
    parts: Option<Box<[Cell]>>,
}

impl<const BYTES: usize> Granule<BYTES> {
    /// Remembers the access `new` to the `bytes` at `first`, and shows `judge` what it meets there.
    #[inline]
    pub(super) fn touch(&mut self, unit: usize, first: usize, bytes: usize, new: Stamp, judge: &mut impl Judge) {
        let floor = judge.floor();
        let whole = bytes == BYTES;
        if whole && self.parts.is_none() {
            let before = |earlier: &Stamp| earlier.surely_before(&new, floor) || judge.ordered(earlier, &new);
            if self.whole.against(&new).iter().all(before) && self.whole.can_take_whole(&new, floor) {
                return self.whole.update(new, floor);
            }
        }
        self.touch_parts(unit, first, bytes, new, judge);
        if whole && !new.is_read() {
            *self = Granule { whole: Cell::written(new), parts: None };
        }
    }

    #[inline(never)]
    fn touch_parts(&mut self, unit: usize, first: usize, bytes: usize, new: Stamp, judge: &mut impl Judge) {
        let floor = judge.floor();
        let parts = self.split(unit);
        for (index, part) in parts.iter_mut().enumerate().skip(first / unit).take(bytes / unit) {
            let new = new.at(unit * index);
            for earlier in part.against(&new) {
                if !earlier.surely_before(&new, floor) {
                    judge.meet(earlier, &new, unit * index);
                }
            }
            part.update(new, floor);
        }
    }

    /// Who read the unit at byte `offset` last since it was written; no access if nobody did.
    pub(super) fn last_reader(&self, unit: usize, offset: usize) -> Stamp {
        let part = self.parts.as_ref().map_or_else(|| self.whole.at(offset), |parts| parts[offset / unit]);
        part.0[1]
    }

    fn split(&mut self, unit: usize) -> &mut [Cell] {
        let whole = &self.whole;
        self.parts.get_or_insert_with(|| (0..BYTES).step_by(unit).map(|offset| whole.at(offset)).collect())
    }

    /// Copies of `warp` that fill the `bytes` at `first` were waited for at `time`.
    pub(super) fn complete(&mut self, unit: usize, first: usize, bytes: usize, warp: usize, time: Time) {
        let cells = match &mut self.parts {
            Some(parts) => &mut parts[first / unit..(first + bytes).div_ceil(unit)],
            None => std::slice::from_mut(&mut self.whole),
        };
        for Cell([write, ..]) in cells {
            if write.is_pending() && write.warp() == warp {
                write.time = time;
            }
        }
    }
}

/// Gives the granules of one memory.
pub(super) trait Shadow<const BYTES: usize> {
    /// The granule that holds the byte at `address`; `None` where nothing is remembered.
    fn granule(&mut self, address: u64) -> Option<&mut Granule<BYTES>>;
}

/// Bytes of a granule of shared memory: a row of `ldmatrix`, the widest access of a thread.
pub(super) const SHARED_GRANULE: usize = 16;
/// Bytes of a granule of global memory: what a warp accesses side by side at two bytes a lane.
pub(super) const GLOBAL_GRANULE: usize = 64;

/// The shadow of a block's shared memory.
#[derive(Debug, Default)]
pub(super) struct SharedShadow(Vec<Granule<SHARED_GRANULE>>);

impl SharedShadow {
    /// Forgets everything; the block has `bytes`.
    pub(super) fn start(&mut self, bytes: usize) {
        self.0.clear();
        self.0.resize_with(bytes.div_ceil(SHARED_GRANULE), Granule::default);
    }
}

impl Shadow<SHARED_GRANULE> for SharedShadow {
    #[inline(always)]
    fn granule(&mut self, address: u64) -> Option<&mut Granule<SHARED_GRANULE>> {
        self.0.get_mut(address as usize / SHARED_GRANULE)
    }
}

const PAGE_BYTES: u64 = 4096;
/// Entries of the small table that spares the large one.
const RECENT_PAGES: usize = 64;
/// Pages that are remembered, 8 GiB of memory; accesses to more are not checked.
const MAX_PAGES: usize = 2 << 20;

/// The shadow of global memory for one launch, made as it is touched.
#[derive(Debug)]
pub(super) struct GlobalShadow {
    numbers: HashMap<u64, usize>,
    pages: Vec<Box<[Granule<GLOBAL_GRANULE>]>>,
    /// Page addresses and numbers, at the place that the address gives.
    recent: [(u64, usize); RECENT_PAGES],
}

impl Default for GlobalShadow {
    fn default() -> Self {
        GlobalShadow { numbers: HashMap::new(), pages: Vec::new(), recent: [(u64::MAX, 0); RECENT_PAGES] }
    }
}

impl GlobalShadow {
    #[inline(never)]
    fn find(&mut self, page: u64) -> Option<usize> {
        let next = self.pages.len();
        if let Some(&number) = self.numbers.get(&page) {
            return Some(number);
        }
        if next == MAX_PAGES {
            return None;
        }
        self.numbers.insert(page, next);
        self.pages.push(vec![Granule::default(); PAGE_BYTES as usize / GLOBAL_GRANULE].into());
        Some(next)
    }
}

impl Shadow<GLOBAL_GRANULE> for GlobalShadow {
    #[inline(always)]
    fn granule(&mut self, address: u64) -> Option<&mut Granule<GLOBAL_GRANULE>> {
        let page = address / PAGE_BYTES;
        let place = page as usize % RECENT_PAGES;
        if self.recent[place].0 != page {
            self.recent[place] = (page, self.find(page)?);
        }
        let number = self.recent[place].1;
        self.pages.get_mut(number)?.get_mut((address % PAGE_BYTES) as usize / GLOBAL_GRANULE)
    }
}
