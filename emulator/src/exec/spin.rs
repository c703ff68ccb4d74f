//! Finds loops that only wait: a fragment that comes back to the same place with the same registers, and has written
//! nothing in between, goes on so until somebody else writes.

use super::half::Lanes;
use super::lanes::File;
use crate::isa::Program;

/// The first jump after which a fragment is looked at; later ones are twice as far each.
const FIRST_LOOK: u32 = 8;
/// Jumps after a look in which the same state may come back.
const LONGEST_CYCLE: u32 = 4;

/// What a fragment looked like a few jumps ago.
#[derive(Debug, Default)]
pub(super) struct Watch {
    jumps: u32,
    /// The jump at which the state was noted.
    noted: u32,
    target: u32,
    mask: u32,
    effects: u64,
    registers: Vec<Lanes>,
    predicates: Vec<u32>,
    /// Writes to memory and other acts that others see, so far.
    pub acts: u64,
}

impl Watch {
    /// Another fragment begins its turn.
    pub(super) fn restart(&mut self) {
        (self.jumps, self.noted) = (0, 0);
    }

    /// The lanes of `mask` jump back to `target`; whether they are only waiting.
    #[inline(always)]
    pub(super) fn jumps_back(&mut self, file: &File, program: &Program, target: u32, mask: u32) -> bool {
        self.jumps += 1;
        if self.jumps < FIRST_LOOK {
            return false;
        }
        let look = self.jumps.is_power_of_two() || self.jumps - self.noted <= LONGEST_CYCLE;
        look && self.look(file, program, target, mask)
    }

    #[inline(never)]
    fn look(&mut self, file: &File, program: &Program, target: u32, mask: u32) -> bool {
        let registers = file.registers(program);
        let predicates = file.predicates(program);
        if self.jumps.is_power_of_two() {
            (self.noted, self.target, self.mask, self.effects) = (self.jumps, target, mask, self.acts);
            self.registers.clear();
            self.registers.extend_from_slice(registers);
            self.predicates.clear();
            self.predicates.extend_from_slice(predicates);
            return false;
        }
        (self.target, self.mask, self.effects) == (target, mask, self.acts)
            && self.predicates == predicates
            && self.registers == registers
    }
}
