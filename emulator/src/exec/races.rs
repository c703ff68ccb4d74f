//! Accesses that nothing orders: races between blocks, between the warps of a block, between the lanes of a warp, and
//! with copies that were not waited for.
//!
//! Happens-before is what CUDA promises, and where it is silent what programs rely on: barriers and meetings of lanes
//! order both ways; a fence makes what came before ready to be published, an atomic or strong write publishes it at
//! its address, an atomic or strong read there learns it. Strong accesses and atomics never race with each other, plain
//! reads never with the atomics of the idioms that start with one, and plain writes of one value to one place are let
//! pass. A warp that stores to global memory what it has just read there counts as reading it once more.

mod clock;
mod finding;
mod shadow;
#[cfg(test)]
mod tests;

use super::fragment;
use super::grid::Grid;
use super::lanes::{FULL, lanes_of};
use super::mbarrier;
use super::observe::{Access, AccessKind, Observer, Seen};
use crate::isa::{AtomicOp, BarrierKind, Mbarrier, Op, Program, Space};
use clock::{Clocks, Published, Time, Where};
use finding::{Examined, KnownPairs};
use shadow::{GlobalShadow, Kind, SHARED_GRANULE, Shadow, SharedShadow, Stamp};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the blocks of a launch share.
#[derive(Debug)]
pub(super) struct Launch {
    global: Mutex<Global>,
    known: Mutex<KnownPairs>,
    units: Units,
    /// Whether the program has fences: without, nothing is ever published.
    fences: bool,
}

/// What is known of global memory.
#[derive(Debug, Default)]
struct Global {
    shadow: GlobalShadow,
    published: Published,
}

/// The narrowest accesses of a program, in bytes.
#[derive(Clone, Copy, Debug)]
struct Units {
    shared: usize,
    global: usize,
}

impl Default for Units {
    fn default() -> Self {
        Units { shared: SHARED_GRANULE, global: SHARED_GRANULE }
    }
}

impl Units {
    fn of(program: &Program) -> Self {
        let mut units = Units::default();
        for instruction in &program.code {
            let (space, bytes) = match &instruction.op {
                Op::Load { space, kind, count, .. } | Op::Store { space, kind, count, .. } => {
                    (*space, usize::from(kind.bytes) * usize::from(*count))
                }
                Op::Atomic { space, ty, .. } => (*space, ty.bytes() as usize),
                Op::Mbarrier(object) => (object.space, 8),
                Op::LoadFragment(matrix) | Op::StoreFragment(matrix) => {
                    (matrix.space, fragment::steps(matrix).1 as usize)
                }
                Op::CopyAsync { bytes, .. } => (Space::Generic, usize::from(*bytes)),
                _ => continue,
            };
            if matches!(space, Space::Shared | Space::Generic) {
                units.shared = units.shared.min(bytes);
            }
            if matches!(space, Space::Global | Space::Generic) {
                units.global = units.global.min(bytes);
            }
        }
        units
    }
}

impl Launch {
    /// For one launch of `program`.
    pub(super) fn new(program: &Program) -> Self {
        let fences = program.code.iter().any(|instruction| matches!(instruction.op, Op::Fence { .. }));
        Launch { global: Mutex::default(), known: Mutex::default(), units: Units::of(program), fences }
    }

    fn global(&self) -> MutexGuard<'_, Global> {
        self.global.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the blocks that share one storage, one after the other.
#[derive(Debug)]
pub(super) struct Races<'a> {
    launch: &'a Launch,
    shared: SharedShadow,
    clocks: Clocks,
}

impl<'a> Races<'a> {
    pub(super) fn new(launch: &'a Launch) -> Self {
        Races { launch, shared: SharedShadow::default(), clocks: Clocks::default() }
    }

    /// The accesses of one instruction.
    #[inline]
    fn memory(&mut self, seen: &Seen) {
        let Some(time) = self.clocks.tick() else { return };
        seen.accesses(|access| match access.space {
            Space::Shared => self.shared_access(seen, access, time),
            Space::Global => self.global_access(seen, access, time),
            Space::Local | Space::Param | Space::Generic => {}
        });
    }

    fn stamp(&self, seen: &Seen, access: &Access, time: Time) -> Stamp {
        let kind = match (access.kind, &seen.instruction.op) {
            (AccessKind::Read, _) => Kind::Read,
            (AccessKind::Write, Op::CopyAsync { .. }) => Kind::Copy,
            (AccessKind::Write, _) => Kind::Write,
            (AccessKind::Atomic, Op::Atomic { op, .. }) => match op {
                AtomicOp::Add | AtomicOp::Inc | AtomicOp::Dec | AtomicOp::And | AtomicOp::Or | AtomicOp::Xor => {
                    Kind::Update
                }
                AtomicOp::Min | AtomicOp::Max | AtomicOp::Exchange | AtomicOp::CompareExchange => Kind::Exchange,
            },
            (AccessKind::Atomic, _) => Kind::Update,
        };
        Stamp::new(time, self.clocks.block(), seen.number, seen.position, kind, access.strong)
    }

    fn shared_access(&mut self, seen: &Seen, access: &Access, time: Time) {
        let stamp = self.stamp(seen, access, time);
        if access.strong && self.launch.fences {
            synchronise(&mut self.clocks, &mut self.launch.global().published, seen.number, Where::Shared, access);
        }
        let mut examined = Examined::new(&self.clocks, seen, access, self.launch.units.shared, &self.launch.known);
        touch_lanes(&mut self.shared, access, stamp, &mut examined);
    }

    /// An operation on mbarrier objects: who arrives tells what it did, who sees the phase ended learns it.
    fn mbarrier(&mut self, seen: &Seen, object: &Mbarrier) {
        let Some(time) = self.clocks.tick() else { return };
        seen.accesses(|access| {
            if access.space != Space::Shared {
                return;
            }
            let (kind, mask, addresses) =
                mbarrier::meeting(object, seen.file, seen.shared, &access.addresses, access.mask);
            let met = Access { kind, mask, addresses, ..access.clone() };
            synchronise(&mut self.clocks, &mut self.launch.global().published, seen.number, Where::Shared, &met);
            let stamp = self.stamp(seen, access, time);
            let unit = self.launch.units.shared;
            let mut examined = Examined::new(&self.clocks, seen, access, unit, &self.launch.known);
            touch_lanes(&mut self.shared, access, stamp, &mut examined);
        });
    }

    fn global_access(&mut self, seen: &Seen, access: &Access, time: Time) {
        let stamp = self.stamp(seen, access, time);
        let mut global = self.launch.global();
        if access.strong && self.launch.fences {
            synchronise(&mut self.clocks, &mut global.published, seen.number, Where::Global, access);
        }
        let (unit, known) = (self.launch.units.global, &self.launch.known);
        let mut examined = Examined::new(&self.clocks, seen, access, unit, known);
        let is_plain_store = matches!(seen.instruction.op, Op::Store { .. }) && !access.strong;
        let without_effect = if is_plain_store { examined.lanes_without_effect(&mut global.shadow, &stamp) } else { 0 };
        if without_effect == 0 {
            return touch_lanes(&mut global.shadow, access, stamp, &mut examined);
        }
        for (mask, stamp) in [(access.mask & !without_effect, stamp), (without_effect, stamp.without_effect())] {
            let access = Access { mask, ..access.clone() };
            let mut examined = Examined::new(&self.clocks, seen, &access, unit, known);
            touch_lanes(&mut global.shadow, &access, stamp, &mut examined);
        }
    }

    /// `cp.async.wait_group`: the copies that it waits for happen now.
    fn complete_copies(&mut self, seen: &Seen, pending: u32, all: bool) {
        let Some(time) = self.clocks.tick() else { return };
        let base = seen.shared.as_ptr() as u64;
        let pending = if all { 0 } else { pending };
        seen.warp.copies.awaited(seen.mask, pending, all, |to, lanes, bytes| {
            for lane in lanes_of(lanes) {
                let address = to[lane].wrapping_sub(base);
                if let Some(granule) = self.shared.granule(address) {
                    let first = address as usize % SHARED_GRANULE;
                    granule.complete(self.launch.units.shared, first, bytes.into(), seen.number, time);
                }
            }
        });
    }
}

impl Observer for Races<'_> {
    fn block_started(&mut self, grid: &Grid, block: [u32; 3]) {
        let [x, y, _] = grid.launch.grid;
        let number = block[0].wrapping_add(x.wrapping_mul(block[1].wrapping_add(y.wrapping_mul(block[2]))));
        self.clocks.start(number, (0..grid.warps()).map(|warp| grid.warp_mask(warp)));
        self.shared.start(grid.shared_storage());
    }

    #[inline]
    fn instruction(&mut self, seen: &Seen) {
        match &seen.instruction.op {
            Op::Load { space: Space::Local | Space::Param, .. } | Op::Store { space: Space::Local, .. } => {}
            Op::Load { .. } | Op::Store { .. } | Op::Atomic { .. } | Op::CopyAsync { .. } => self.memory(seen),
            Op::Mbarrier(object) => self.mbarrier(seen, object),
            Op::LoadMatrix { .. } | Op::StoreMatrix { .. } | Op::LoadFragment(_) | Op::StoreFragment(_) => {
                self.clocks.meet(seen.number, seen.mask);
                self.memory(seen);
                self.clocks.meet(seen.number, seen.mask);
            }
            Op::Mma(_)
            | Op::MatrixProduct(_)
            | Op::QuadPairProduct(_)
            | Op::TransposeMatrix { .. }
            | Op::WarpBarrier { .. }
            | Op::Shuffle { .. }
            | Op::Vote { .. }
            | Op::Ballot { .. }
            | Op::MatchAny { .. }
            | Op::MatchAll { .. }
            | Op::Redux { .. }
            | Op::Elect { .. } => self.clocks.meet(seen.number, seen.mask),
            Op::Fence { device } => self.clocks.fence(seen.number, *device),
            Op::Barrier { kind, id, count, .. } => {
                let id = seen.file.get(*id)[seen.mask.trailing_zeros() as usize & 31] as usize & 15;
                self.clocks.barrier(id, count.is_some());
                if matches!(kind, BarrierKind::Arrive) {
                    self.clocks.arrive(seen.number, id);
                }
            }
            Op::CopyWait { pending, all } => self.complete_copies(seen, *pending, *all),
            Op::Exit => self.clocks.leave(seen.number, seen.mask),
            _ => {}
        }
    }

    fn barrier_released(&mut self, _grid: &Grid, id: u32, lanes: &[u32]) {
        self.clocks.pass_barrier(id as usize & 15, lanes);
    }
}

/// What a strong access tells and learns at each of its addresses.
#[inline(never)]
fn synchronise(clocks: &mut Clocks, published: &mut Published, warp: usize, place: Where, access: &Access) {
    let mut left = access.mask;
    while left != 0 {
        let address = access.addresses[left.trailing_zeros() as usize & 31];
        let here = lanes_of(left).filter(|lane| access.addresses[*lane] == address).fold(0, |m, lane| m | 1 << lane);
        if access.kind != AccessKind::Read {
            clocks.publish(warp, place, address, published);
        }
        if access.kind != AccessKind::Write {
            clocks.acquire(warp, here, place, address, published);
        }
        left &= !here;
    }
}

/// Remembers an access lane by lane; neighbours that fill a granule side by side at once.
#[inline]
fn touch_lanes<const BYTES: usize>(
    shadow: &mut impl Shadow<BYTES>,
    access: &Access,
    stamp: Stamp,
    examined: &mut Examined,
) {
    let Access { mask, addresses, bytes, .. } = access;
    let size = *bytes as usize;
    let row = (BYTES / size).max(1);
    let mut lane = 0;
    while lane < 32 {
        if mask >> lane & 1 == 0 {
            lane += 1;
            continue;
        }
        let address = addresses[lane];
        if address % size as u64 != 0 {
            // The executor refuses it.
            return;
        }
        if row > 1 && address % BYTES as u64 == 0 && fills(access, lane, row) {
            if let Some(granule) = shadow.granule(address) {
                examined.granule_at(address);
                granule.touch(examined.unit, 0, BYTES, stamp.by_row(lane, *bytes), examined);
            }
            lane += row;
            continue;
        }
        let first_lane = lane;
        while lane < 31 && mask >> (lane + 1) & 1 != 0 && addresses[lane + 1] == address {
            lane += 1;
        }
        for offset in (0..size).step_by(BYTES) {
            let address = address + offset as u64;
            if let Some(granule) = shadow.granule(address) {
                let first = address as usize % BYTES;
                examined.granule_at(address - first as u64);
                // Of lanes that read one place, two stand for all: a writer is not both.
                if lane != first_lane {
                    granule.touch(examined.unit, first, size.min(BYTES), stamp.by(first_lane), examined);
                }
                granule.touch(examined.unit, first, size.min(BYTES), stamp.by(lane), examined);
            }
        }
        lane += 1;
    }
}

/// Whether `count` lanes from `lane` on access bytes side by side.
#[inline(always)]
fn fills(access: &Access, lane: usize, count: usize) -> bool {
    if lane + count > 32 {
        return false;
    }
    let wanted = FULL >> (32 - count);
    let mut different = u64::from(access.mask >> lane & wanted ^ wanted);
    let mut expected = access.addresses[lane];
    for address in &access.addresses[lane..lane + count] {
        different |= address ^ expected;
        expected = expected.wrapping_add(access.bytes.into());
    }
    different == 0
}
