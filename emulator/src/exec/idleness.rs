//! Tells blocks that do nothing but wait for the host or for another launch from those that work, or wait a little for
//! blocks of their own grid: after one more turn the first kind looks as it did before it.

use super::lanes::Slot;
use super::warp::Warp;

/// Turns in a row without a write before a block is looked at: most waits are shorter.
const FIRST_LOOK: u32 = 8;

/// What a block looked like after an earlier turn.
#[derive(Debug, Default)]
pub(super) struct Idleness {
    /// Turns in a row that wrote nothing.
    turns: u32,
    /// Registers and places at the end of the last turn that was looked at, in short.
    state: u64,
    /// Whether the block did nothing but wait in its last turn.
    idle: bool,
    /// Whether the grid counts the block as idle.
    pub counted: bool,
}

impl Idleness {
    /// A turn of the block ends, which was `harmless` if it wrote nothing. Whether it did nothing but wait.
    pub(super) fn after_turn(&mut self, registers: &[Slot], warps: &[Warp], harmless: bool) -> bool {
        self.turns = if harmless { self.turns + 1 } else { 0 };
        // Every look costs as much as a turn: two in a row now and then, until the block is found to be idle.
        let second = self.turns > FIRST_LOOK && (self.turns - 1).is_power_of_two();
        if self.idle || second || self.turns >= FIRST_LOOK && self.turns.is_power_of_two() {
            let state = state(registers, warps);
            let same = harmless && state == std::mem::replace(&mut self.state, state);
            if self.idle && !same {
                self.turns = 0;
            }
            self.idle = same && (self.idle || second);
        }
        self.idle
    }
}

/// A number that is another one for other registers and places.
fn state(registers: &[Slot], warps: &[Warp]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| (state ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let places = warps.iter().flat_map(|warp| &warp.fragments);
    let start = places.fold(0, |state, place| mix(state, u64::from(place.position) << 32 | u64::from(place.mask)));
    let pairs = registers.iter().flat_map(|slot| slot.0.chunks_exact(2));
    pairs.fold(start, |state, pair| mix(state, u64::from(pair[0]) << 32 | u64::from(pair[1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_idle_when_two_turns_leave_it_the_same() {
        let (mut registers, warps) = (vec![Slot([0; 32]); 3], Vec::new());
        let mut idleness = Idleness::default();
        for turn in 0..100 {
            registers[1].0[5] = turn;
            assert!(!idleness.after_turn(&registers, &warps, true), "turn {turn}: a register changes");
        }
        assert!((0..100).any(|_| idleness.after_turn(&registers, &warps, true)));
        assert!(idleness.after_turn(&registers, &warps, true));
        assert!(!idleness.after_turn(&registers, &warps, false), "it wrote");
        assert!((0..200).any(|_| idleness.after_turn(&registers, &warps, true)));
        registers[2].0[31] = 1;
        assert!(!idleness.after_turn(&registers, &warps, true), "it went on");
    }
}
