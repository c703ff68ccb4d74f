//! A warp: its diverged groups of lanes, and where they meet again.
//!
//! The lanes of a warp that run together are a [`Fragment`]. At a branch that splits one, both sides become fragments
//! under a [`Join`] at the branch's immediate post-dominator; the join becomes a fragment again when every lane under
//! it has arrived or left the kernel. Fragments take turns, so that a group of lanes that waits for another in a loop
//! does not stop it.

use super::async_copy::Copies;
use super::call::Activation;
use super::lanes::File;
use super::random::Random;
use std::collections::VecDeque;

/// Marks the absence of a join, and of a position.
pub(super) const NONE: u32 = u32::MAX;

/// What keeps a fragment from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Runnable,
    /// Waits at a block barrier.
    AtBarrier {
        id: u32,
        count: Option<u32>,
    },
    /// Waits for other lanes of the warp to reach the same instruction.
    AtMeeting,
}

/// Lanes that run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub position: u32,
    pub mask: u32,
    /// The join that it belongs to, or `NONE`.
    pub parent: u32,
    pub state: State,
}

/// Where diverged lanes meet, or where those that called a function come back to.
#[derive(Debug, Default)]
struct Join {
    position: u32,
    /// Lanes that have not left the kernel; none for a free entry.
    expected: u32,
    arrived: u32,
    parent: u32,
    /// Lanes come back from a call: they arrive by returning only, and get their registers back.
    returning: bool,
    activation: Activation,
}

/// The control state of one warp.
#[derive(Debug, Default)]
pub(super) struct Warp {
    /// Lanes that have not left the kernel.
    pub live: u32,
    pub fragments: VecDeque<Fragment>,
    joins: Vec<Join>,
    /// Entries of `joins` that are free.
    free: Vec<u32>,
    pub copies: Copies,
    pub random: Random,
}

impl Warp {
    /// Starts the lanes of `mask` at the first instruction; `random` makes the warp's choices.
    pub(super) fn start(&mut self, mask: u32, random: Random) {
        self.live = mask;
        self.random = random;
        self.joins.clear();
        self.free.clear();
        self.copies.clear();
        self.fragments.clear();
        if mask != 0 {
            self.fragments.push_back(Fragment { position: 0, mask, parent: NONE, state: State::Runnable });
        }
    }

    /// Takes the next fragment that can run.
    pub(super) fn next(&mut self) -> Option<Fragment> {
        let mut skip = 0;
        if self.random.varies() && self.fragments.len() > 1 {
            skip = self.random.below(self.runnable().max(1) as u32);
        }
        let mut runnable = (0..self.fragments.len()).filter(|index| self.fragments[*index].state == State::Runnable);
        let index = runnable.nth(skip as usize)?;
        self.fragments.remove(index)
    }

    /// Jumps backwards that a fragment makes before others have their turn: `most`, or as few as one.
    pub(super) fn turn(&mut self, most: u32) -> u32 {
        if self.random.varies() { (most >> self.random.below(most.ilog2() + 1)).max(1) } else { most }
    }

    /// Fragments that can run.
    pub(super) fn runnable(&self) -> usize {
        self.fragments.iter().filter(|f| f.state == State::Runnable).count()
    }

    pub(super) fn has_runnable(&self) -> bool {
        self.fragments.iter().any(|f| f.state == State::Runnable)
    }

    /// Where lanes under a join reach it by going there, `NONE` for nowhere.
    pub(super) fn join_position(&self, join: u32) -> u32 {
        self.joins.get(join as usize).filter(|join| !join.returning).map_or(NONE, |join| join.position)
    }

    /// The join for lanes that part under `fragment` and meet at `position`.
    pub(super) fn join_for(&mut self, fragment: &Fragment, position: u32) -> u32 {
        if position == NONE || position == self.join_position(fragment.parent) {
            return fragment.parent;
        }
        self.new_join(fragment, position, false)
    }

    /// The join for the lanes of `caller`, which call a function and come back to where it stands. `keep` fills the
    /// activation.
    pub(super) fn call_join(&mut self, caller: &Fragment, keep: impl FnOnce(&mut Activation)) -> u32 {
        let join = self.new_join(caller, caller.position, true);
        keep(&mut self.joins[join as usize].activation);
        join
    }

    fn new_join(&mut self, fragment: &Fragment, position: u32, returning: bool) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.joins.push(Join::default());
            self.joins.len() as u32 - 1
        });
        let join = &mut self.joins[index as usize];
        (join.position, join.returning, join.parent) = (position, returning, fragment.parent);
        (join.expected, join.arrived) = (fragment.mask, 0);
        index
    }

    /// Lanes of `mask` have reached their join; the fragment that goes on from there, if they were the last.
    pub(super) fn arrive(&mut self, join: u32, mask: u32, file: &mut File) -> Option<Fragment> {
        self.joins[join as usize].arrived |= mask;
        self.complete(join, file)
    }

    /// The fragment of the lanes that have arrived at a join, if no others are expected.
    fn complete(&mut self, join: u32, file: &mut File) -> Option<Fragment> {
        let entry = &self.joins[join as usize];
        (entry.expected != 0 && entry.arrived == entry.expected).then(|| self.let_go(join, file))
    }

    /// Sends the lanes that have arrived at a join on from there.
    fn let_go(&mut self, join: u32, file: &mut File) -> Fragment {
        let entry = &mut self.joins[join as usize];
        let (position, mask, parent) = (entry.position, entry.arrived, entry.parent);
        entry.expected &= !mask;
        entry.arrived = 0;
        if entry.returning {
            entry.activation.restore(file, mask);
        }
        if entry.expected == 0 {
            self.free.push(join);
        }
        Fragment { position, mask, parent, state: State::Runnable }
    }

    /// Lanes of `mask`, under `join`, leave the kernel. Those that waited only for them go on.
    pub(super) fn leave(&mut self, join: u32, mask: u32, file: &mut File) {
        self.live &= !mask;
        self.forget(join, mask, file, |_| false);
        for fragment in &mut self.fragments {
            if fragment.state == State::AtMeeting {
                fragment.state = State::Runnable;
            }
        }
    }

    /// Lanes of `mask`, under `join`, return from the innermost call; the fragment that goes on behind it, if they were
    /// the last.
    pub(super) fn return_from(&mut self, join: u32, mask: u32, file: &mut File) -> Option<Fragment> {
        let call = self.forget(join, mask, file, |join| join.returning);
        if call == NONE { None } else { self.arrive(call, mask, file) }
    }

    /// Joins from `join` outwards no longer wait for the lanes of `mask`, up to the first that is the `last`.
    fn forget(&mut self, mut join: u32, mask: u32, file: &mut File, last: impl Fn(&Join) -> bool) -> u32 {
        while join != NONE && !last(&self.joins[join as usize]) {
            let entry = &mut self.joins[join as usize];
            let parent = entry.parent;
            entry.expected &= !mask;
            if entry.expected == 0 {
                self.free.push(join);
            } else if let Some(fragment) = self.complete(join, file) {
                self.fragments.push_back(fragment);
            }
            join = parent;
        }
        join
    }

    /// Lets the lanes that wait at `join`, or at a join around it, go on by themselves. The fragment they wait for has
    /// used up a turn: it may spin until one of them lets go of a lock.
    pub(super) fn release_waiting(&mut self, mut join: u32, file: &mut File) {
        while join != NONE {
            let parent = self.joins[join as usize].parent;
            if self.joins[join as usize].arrived != 0 {
                let fragment = self.let_go(join, file);
                self.fragments.push_back(fragment);
            }
            join = parent;
        }
    }

    /// Lets all lanes that wait at joins go on by themselves; false if there are none.
    pub(super) fn release_joins(&mut self, file: &mut File) -> bool {
        let waiting = |join: &Join| join.expected != 0 && join.arrived != 0;
        let joins: Vec<u32> = (0..).zip(&self.joins).filter(|(_, join)| waiting(join)).map(|(join, _)| join).collect();
        for &join in &joins {
            let fragment = self.let_go(join, file);
            self.fragments.push_back(fragment);
        }
        !joins.is_empty()
    }

    /// Lanes of other fragments that wait at `position` to meet.
    pub(super) fn waiting_at(&self, position: u32) -> u32 {
        let waits = |f: &&Fragment| f.state == State::AtMeeting && f.position == position;
        self.fragments.iter().filter(waits).fold(0, |mask, f| mask | f.mask)
    }

    /// Lanes that wait at block barrier `id`.
    pub(super) fn waiting_at_barrier(&self, id: u32) -> u32 {
        let waits = |f: &&Fragment| matches!(f.state, State::AtBarrier { id: other, .. } if other == id);
        self.fragments.iter().filter(waits).fold(0, |mask, f| mask | f.mask)
    }

    /// Lanes that wait to meet others, at the joins of the warp: position and lanes.
    pub(super) fn waiting_at_joins(&self) -> impl Iterator<Item = (u32, u32)> {
        self.joins
            .iter()
            .filter(|join| join.expected != 0 && join.arrived != 0)
            .map(|join| (join.position, join.arrived))
    }

    /// Whether no lane can go on whatever the other warps do: all wait for lanes of this warp.
    pub(super) fn is_stuck(&self) -> bool {
        !self.fragments.is_empty() && self.fragments.iter().all(|fragment| fragment.state == State::AtMeeting)
    }

    /// The lanes that met at the barrier at `position` wait for the rest of the block.
    pub(super) fn enter_barrier(&mut self, position: u32, state: State) {
        for fragment in &mut self.fragments {
            if fragment.state == State::AtMeeting && fragment.position == position {
                fragment.state = state;
            }
        }
    }

    /// Lets those of the lanes `named` that waited at `position` go on behind it. The lanes of fragments under `parent`
    /// are returned instead, to go on with the fragment that met them.
    pub(super) fn release_meeting(&mut self, position: u32, named: u32, parent: u32) -> u32 {
        let mut joined = 0;
        self.fragments.retain_mut(|fragment| {
            if fragment.state != State::AtMeeting || fragment.position != position || fragment.mask & named == 0 {
                return true;
            }
            if fragment.parent == parent {
                joined |= fragment.mask;
                return false;
            }
            fragment.state = State::Runnable;
            fragment.position += 1;
            true
        });
        joined
    }

    /// Makes one fragment of those that stand at the same instruction under the same join.
    pub(super) fn merge(&mut self) {
        let mut index = 0;
        while index < self.fragments.len() {
            let first = self.fragments[index];
            let same =
                |f: &Fragment| f.state == State::Runnable && (f.position, f.parent) == (first.position, first.parent);
            if same(&first) {
                let mask = self.fragments.iter().filter(|f| same(f)).fold(0, |mask, f| mask | f.mask);
                let mut place = 0..;
                self.fragments.retain(|f| place.next() == Some(index) || !same(f));
                self.fragments[index].mask = mask;
            }
            index += 1;
        }
    }
}
