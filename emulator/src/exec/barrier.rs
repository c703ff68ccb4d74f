//! The barriers of a block: who has arrived, and when they are complete (PTX ISA, "bar, barrier").
//!
//! A barrier counts threads. A warp counts in full once all its lanes that are left have arrived: the count of an
//! instruction is in whole warps. Without a count it expects the whole block, of which warps that have left are no part.

use super::warp::{State, Warp};

/// Number of a block's barriers.
pub(super) const BARRIERS: usize = 16;
/// Threads of a warp.
const WARP: u32 = 32;

/// One use of a barrier, from its first arrival to its completion.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    /// Threads that it waits for; 0 before the first arrival.
    expected: u32,
    /// Whether some arrival gave no count.
    whole_block: bool,
    /// Threads that have arrived without waiting (`bar.arrive`), and the warps that they belong to.
    passed: u32,
    passed_warps: u32,
}

/// The barriers of one block.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    phases: [Phase; BARRIERS],
    /// A bit for each barrier that somebody has arrived at.
    in_use: u32,
}

impl Barriers {
    /// Notes an arrival at barrier `id` that expects `count` threads; what is wrong with it, if anything.
    pub(super) fn note(&mut self, id: u32, count: Option<u32>, warps: &[Warp]) -> Result<(), String> {
        let block = WARP * warps.len() as u32;
        let expected = count.unwrap_or(block);
        if expected > block {
            return Err(format!("barrier {id} expects {expected} threads, but the block has {block}"));
        }
        let phase = &mut self.phases[id as usize];
        if phase.expected != 0 && phase.expected != expected {
            let first = phase.expected;
            return Err(format!(
                "barrier {id} expects {expected} threads here, but {first} where others arrived at it"
            ));
        }
        phase.expected = expected;
        phase.whole_block |= count.is_none();
        self.in_use |= 1 << id;
        Ok(())
    }

    /// Lanes of warp `number` arrive and go on.
    pub(super) fn pass(&mut self, id: u32, warps: &[Warp], (number, lanes): (usize, u32)) {
        let phase = &mut self.phases[id as usize];
        phase.passed += counted(&warps[number], lanes);
        phase.passed_warps |= 1 << number;
    }

    /// Whether barrier `id` is complete; an error where more threads have arrived than it expects.
    pub(super) fn is_complete(&self, id: u32, warps: &[Warp]) -> Result<bool, String> {
        let (phase, arrived) = (&self.phases[id as usize], self.arrived(id, warps));
        if arrived > phase.expected && !phase.whole_block {
            return Err(format!("{arrived} threads have arrived at barrier {id}, which expects {}", phase.expected));
        }
        Ok(arrived >= phase.expected && warps.iter().any(|warp| warp.waiting_at_barrier(id) != 0))
    }

    /// Threads that have arrived at barrier `id`, and those it expects.
    pub(super) fn standing(&self, id: u32, warps: &[Warp]) -> (u32, u32) {
        (self.arrived(id, warps), self.phases[id as usize].expected)
    }

    fn arrived(&self, id: u32, warps: &[Warp]) -> u32 {
        let phase = &self.phases[id as usize];
        let of_warp = |(number, warp): (usize, &Warp)| {
            let gone = warp.live == 0 && phase.whole_block && phase.passed_warps >> number & 1 == 0;
            if gone { WARP } else { counted(warp, warp.waiting_at_barrier(id)) }
        };
        phase.passed + warps.iter().enumerate().map(of_warp).sum::<u32>()
    }

    /// The barriers that somebody has arrived at.
    pub(super) fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Makes barrier `id` ready for its next use.
    pub(super) fn reset(&mut self, id: u32) {
        self.phases[id as usize] = Phase::default();
        self.in_use &= !(1 << id);
    }

    pub(super) fn clear(&mut self) {
        *self = Barriers::default();
    }
}

/// Threads that `lanes` of a warp count for.
fn counted(warp: &Warp, lanes: u32) -> u32 {
    if lanes != 0 && lanes == warp.live { WARP } else { lanes.count_ones() }
}

/// Where a fragment waits at barrier `id`.
pub(super) fn waits_at(state: State, id: u32) -> bool {
    matches!(state, State::AtBarrier { id: other, .. } if other == id)
}
