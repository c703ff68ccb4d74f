//! Who knows of whose accesses: vector clocks of a block's warps, lane by lane where a warp synchronised in part.
//!
//! Every event of a block has a *time*, counted up through the block. A warp knows, for each warp of its block, the
//! time before which all of that warp's accesses happened before its own next one; barriers, fences and what is passed
//! on through flags move these bounds. Within a warp the bound is the last synchronisation of all its lanes, and a
//! matrix of lanes where only some of them met. Of other blocks it knows what it was told through global memory.
//!
//! Clocks are those of Mattern and Fidge; the accesses keep single times instead of clocks (FastTrack, Flanagan and
//! Freund, 2009).

use super::shadow::Stamp;
use crate::exec::lanes::lanes_of;
use std::collections::HashMap;
use std::sync::Arc;

/// A moment of a block. 0 is before everything.
pub(super) type Time = u32;
/// Where times end: twice that many have room in a [`Stamp`].
pub(super) const END: Time = 1 << 31;
/// For each warp of a block, the time before which everything is known.
type Bounds = [Time; 32];
/// What is known of other blocks.
type Others = HashMap<u32, Bounds>;

/// Number of a block's barriers.
const BARRIERS: usize = 16;

/// What happened before.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    warps: Bounds,
    others: Option<Arc<Others>>,
}

fn raise(bounds: &mut Bounds, other: &Bounds) {
    bounds.iter_mut().zip(other).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
}

fn raise_others(mine: &mut Option<Arc<Others>>, theirs: &Option<Arc<Others>>) {
    let Some(theirs) = theirs else { return };
    match mine {
        None => *mine = Some(theirs.clone()),
        Some(mine) if Arc::ptr_eq(mine, theirs) => {}
        Some(mine) => {
            let mine = Arc::make_mut(mine);
            theirs.iter().for_each(|(block, bounds)| raise(mine.entry(*block).or_default(), bounds));
        }
    }
}

impl Clock {
    /// Whether nothing happened before.
    fn is_empty(&self) -> bool {
        self.warps == [0; 32]
    }

    fn join(&mut self, other: &Clock) {
        raise(&mut self.warps, &other.warps);
        raise_others(&mut self.others, &other.others);
    }
}

/// What was published at addresses of global memory, for other blocks.
#[derive(Debug, Default)]
pub(super) struct Published(HashMap<u64, Option<Arc<Others>>>);

/// What fences of a warp, and of those that it synchronised with, made ready to be published.
#[derive(Clone, Debug, Default)]
struct Fenced {
    block: Clock,
    device: Clock,
}

impl Fenced {
    fn join(&mut self, other: &Fenced) {
        self.block.join(&other.block);
        self.device.join(&other.device);
    }
}

/// The knowledge of one warp.
#[derive(Clone, Debug, Default)]
struct WarpClock {
    /// Lanes that have not left the kernel.
    live: u32,
    known: Clock,
    /// The smallest bound of the block's warps.
    floor: Time,
    /// `finer[a][b]`: what lane a knows of lane b.
    finer: Option<Box<[Bounds; 32]>>,
    fenced: Fenced,
}

/// The clocks of one block.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    block: u32,
    next: Time,
    warps: Vec<WarpClock>,
    /// What arrived at barriers that nobody has passed since.
    arrivals: [Option<Box<(Clock, Fenced)>>; BARRIERS],
    /// What warps did that have left the kernel: barriers of all threads wait for them no more, as if they had arrived.
    left: (Clock, Fenced),
    /// Barriers that wait for a number of threads, each a bit.
    counted: u16,
    /// What was published inside the block: by shared address, and by global address.
    published: [HashMap<u64, Clock>; 2],
}

/// Which memory a flag lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Shared,
    Global,
}

impl Clocks {
    /// Block `block` begins with warps of the lanes `live`.
    pub(super) fn start(&mut self, block: u32, live: impl Iterator<Item = u32>) {
        self.block = block;
        self.next = 1;
        self.warps.clear();
        let known = Clock { warps: [1; 32], others: None };
        self.warps.extend(live.map(|live| WarpClock { live, known: known.clone(), floor: 1, ..WarpClock::default() }));
        self.arrivals = Default::default();
        (self.left, self.counted) = Default::default();
        self.published.iter_mut().for_each(HashMap::clear);
    }

    pub(super) fn block(&self) -> u32 {
        self.block
    }

    /// The time of a new event; `None` when no more can be told apart.
    pub(super) fn tick(&mut self) -> Option<Time> {
        let time = self.next;
        self.next = (time + 1).min(END);
        (time < END).then_some(time)
    }

    /// Everything of the block before this time is known to the warp.
    pub(super) fn floor(&self, warp: usize) -> Time {
        self.warps[warp].floor
    }

    /// Lanes leave the kernel.
    pub(super) fn leave(&mut self, warp: usize, mask: u32) {
        self.warps[warp].live &= !mask;
        if self.warps[warp].live == 0 {
            let clock = self.everything(warp);
            self.left.0.join(&clock);
            self.left.1.join(&self.warps[warp].fenced);
        }
    }

    /// Barrier `id` waits for a number of threads, or for all that there are.
    pub(super) fn barrier(&mut self, id: usize, counted: bool) {
        self.counted = self.counted & !(1 << id) | u16::from(counted) << id;
    }

    /// Whether the warp, whatever the lane, knows of an access by another warp.
    pub(super) fn knows_of_other_warp(&self, warp: usize, stamp: &Stamp) -> bool {
        let known = &self.warps[warp].known;
        if stamp.block == self.block {
            return stamp.time < known.warps[stamp.warp()];
        }
        known.others.as_ref().and_then(|others| others.get(&stamp.block)).is_some_and(|b| stamp.time < b[stamp.warp()])
    }

    /// Whether `lane` knows of an access by a lane of the same warp.
    pub(super) fn knows_of_lane(&self, warp: usize, lane: usize, stamp: &Stamp) -> bool {
        let clock = &self.warps[warp];
        stamp.lane() == lane
            || stamp.time < clock.known.warps[warp]
            || clock.finer.as_ref().is_some_and(|finer| stamp.time < finer[lane][stamp.lane()])
    }

    /// The lanes of `mask` meet: `bar.warp.sync` and every other instruction at which lanes wait for each other.
    pub(super) fn meet(&mut self, warp: usize, mask: u32) {
        let next = self.next;
        let clock = &mut self.warps[warp];
        if clock.known.warps[warp] == next {
            return;
        }
        if clock.live & !mask == 0 {
            clock.known.warps[warp] = next;
            clock.finer = None;
            return self.lift_floor(warp);
        }
        let finer = finer(clock, warp);
        let mut met = [0; 32];
        lanes_of(mask).for_each(|lane| raise(&mut met, &finer[lane]));
        lanes_of(mask).for_each(|lane| met[lane] = next);
        lanes_of(mask).for_each(|lane| finer[lane] = met);
    }

    fn lift_floor(&mut self, warp: usize) {
        let count = self.warps.len();
        let clock = &mut self.warps[warp];
        clock.floor = clock.known.warps[..count].iter().copied().min().unwrap_or(0);
    }

    /// All that the warp did and knows.
    fn everything(&self, warp: usize) -> Clock {
        let mut clock = self.warps[warp].known.clone();
        clock.warps[warp] = self.next;
        clock
    }

    /// `bar.arrive` at barrier `id`.
    pub(super) fn arrive(&mut self, warp: usize, id: usize) {
        let clock = self.everything(warp);
        let arrived = self.arrivals[id].get_or_insert_default();
        arrived.0.join(&clock);
        arrived.1.join(&self.warps[warp].fenced);
    }

    /// Barrier `id` lets go of the lanes that waited, warp by warp.
    pub(super) fn pass_barrier(&mut self, id: usize, lanes: &[u32]) {
        let (mut joined, mut fenced) = self.arrivals[id].take().map(|arrived| *arrived).unwrap_or_default();
        if self.counted >> id & 1 == 0 {
            joined.join(&self.left.0);
            fenced.join(&self.left.1);
        }
        let waited = || lanes.iter().enumerate().filter(|(_, lanes)| **lanes != 0);
        for (warp, _) in waited() {
            joined.join(&self.everything(warp));
            fenced.join(&self.warps[warp].fenced);
        }
        for (warp, lanes) in waited() {
            let own = self.warps[warp].known.warps[warp];
            self.warps[warp].known = joined.clone();
            self.warps[warp].known.warps[warp] = own;
            self.warps[warp].fenced = fenced.clone();
            self.meet(warp, *lanes);
            self.lift_floor(warp);
        }
    }

    /// `membar`, `fence`: what the warp did until now may be published.
    pub(super) fn fence(&mut self, warp: usize, device: bool) {
        let clock = self.everything(warp);
        let fenced = &mut self.warps[warp].fenced;
        if device {
            fenced.device = clock.clone();
        }
        fenced.block = clock;
    }

    /// A strong write or an atomic at `address`: whoever reads it knows what was fenced before.
    pub(super) fn publish(&mut self, warp: usize, place: Where, address: u64, published: &mut Published) {
        let fenced = &self.warps[warp].fenced;
        if fenced.block.is_empty() {
            return;
        }
        self.published[place as usize].entry(address).or_default().join(&fenced.block);
        if place == Where::Global && !fenced.device.is_empty() {
            let entry = published.0.entry(address).or_default();
            raise_others(entry, &fenced.device.others);
            let others = Arc::make_mut(entry.get_or_insert_default());
            raise(others.entry(self.block).or_default(), &fenced.device.warps);
        }
    }

    /// A strong read or an atomic at `address` by the lanes of `mask`: they learn what was published there.
    pub(super) fn acquire(&mut self, warp: usize, mask: u32, place: Where, address: u64, published: &Published) {
        let mut learned = self.published[place as usize].get(&address).cloned();
        if place == Where::Global
            && let Some(others) = published.0.get(&address)
        {
            let learned = learned.get_or_insert_default();
            raise_others(&mut learned.others, others);
            // What this block did comes back to it.
            let own = others.as_ref().and_then(|others| others.get(&self.block));
            own.into_iter().for_each(|bounds| raise(&mut learned.warps, bounds));
        }
        let Some(learned) = learned else { return };
        let clock = &mut self.warps[warp];
        let own = clock.known.warps[warp];
        clock.known.join(&learned);
        if clock.live & !mask != 0 {
            clock.known.warps[warp] = own;
            let finer = finer(clock, warp);
            for lane in lanes_of(mask) {
                finer[lane].iter_mut().for_each(|bound| *bound = (*bound).max(learned.warps[warp]));
            }
        }
        self.lift_floor(warp);
    }
}

/// The matrix of lanes; until some lanes meet alone, all know the same.
fn finer(clock: &mut WarpClock, warp: usize) -> &mut [Bounds; 32] {
    let bound = clock.known.warps[warp];
    clock.finer.get_or_insert_with(|| Box::new([[bound; 32]; 32]))
}
