//! A warp: its diverged groups of lanes, and where they meet again.
//!
//! The lanes of a warp that run together are a [`Fragment`]. At a branch that splits one, both sides become fragments
//! under a [`Join`] at the branch's immediate post-dominator; the join becomes a fragment again when every lane under
//! it has arrived or left the kernel. Fragments take turns, so that a group of lanes that waits for another in a loop
//! does not stop it.

use super::async_copy::Copies;
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

/// Where diverged lanes meet.
#[derive(Clone, Copy, Debug)]
struct Join {
    position: u32,
    /// Lanes that have not left the kernel; none for a free entry.
    expected: u32,
    arrived: u32,
    parent: u32,
}

/// The control state of one warp.
#[derive(Debug, Default)]
pub(super) struct Warp {
    /// Lanes that have not left the kernel.
    pub live: u32,
    pub fragments: VecDeque<Fragment>,
    joins: Vec<Join>,
    pub copies: Copies,
}

impl Warp {
    /// Starts the lanes of `mask` at the first instruction.
    pub(super) fn start(&mut self, mask: u32) {
        self.live = mask;
        self.joins.clear();
        self.copies.clear();
        self.fragments.clear();
        if mask != 0 {
            self.fragments.push_back(Fragment { position: 0, mask, parent: NONE, state: State::Runnable });
        }
    }

    /// Takes the next fragment that can run.
    pub(super) fn next(&mut self) -> Option<Fragment> {
        let index = self.fragments.iter().position(|f| f.state == State::Runnable)?;
        self.fragments.remove(index)
    }

    pub(super) fn has_runnable(&self) -> bool {
        self.fragments.iter().any(|f| f.state == State::Runnable)
    }

    /// The position of a join, `NONE` for none.
    pub(super) fn join_position(&self, join: u32) -> u32 {
        self.joins.get(join as usize).map_or(NONE, |join| join.position)
    }

    /// The join for lanes that part under `fragment` and meet at `position`.
    pub(super) fn join_for(&mut self, fragment: &Fragment, position: u32) -> u32 {
        if position == NONE || position == self.join_position(fragment.parent) {
            return fragment.parent;
        }
        let join = Join { position, expected: fragment.mask, arrived: 0, parent: fragment.parent };
        match self.joins.iter().position(|j| j.expected == 0) {
            Some(free) => {
                self.joins[free] = join;
                free as u32
            }
            None => {
                self.joins.push(join);
                self.joins.len() as u32 - 1
            }
        }
    }

    /// Lanes of `mask` have reached their join; the fragment that goes on from there, if they were the last.
    pub(super) fn arrive(&mut self, join: u32, mask: u32) -> Option<Fragment> {
        let join = &mut self.joins[join as usize];
        join.arrived |= mask;
        (join.arrived == join.expected).then(|| {
            let fragment =
                Fragment { position: join.position, mask: join.arrived, parent: join.parent, state: State::Runnable };
            join.expected = 0;
            fragment
        })
    }

    /// Lanes of `mask`, under `join`, leave the kernel. Those that waited only for them go on.
    pub(super) fn leave(&mut self, mut join: u32, mask: u32) {
        self.live &= !mask;
        while join != NONE {
            let entry = &mut self.joins[join as usize];
            entry.expected &= !mask;
            let (position, arrived, parent) = (entry.position, entry.arrived, entry.parent);
            if entry.expected != 0 && entry.expected == arrived {
                entry.expected = 0;
                self.fragments.push_back(Fragment { position, mask: arrived, parent, state: State::Runnable });
            }
            join = parent;
        }
        for fragment in &mut self.fragments {
            if fragment.state == State::AtMeeting {
                fragment.state = State::Runnable;
            }
        }
    }

    /// Lets the lanes that wait at `join`, or at a join around it, go on by themselves. The fragment they wait for has
    /// used up a turn: it may spin until one of them lets go of a lock.
    pub(super) fn release_waiting(&mut self, mut join: u32) {
        while join != NONE {
            let entry = &mut self.joins[join as usize];
            let (position, mask, parent) = (entry.position, entry.arrived, entry.parent);
            if mask != 0 {
                entry.expected &= !mask;
                entry.arrived = 0;
                self.fragments.push_back(Fragment { position, mask, parent, state: State::Runnable });
            }
            join = parent;
        }
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
