//! The undefined bits of a warp's registers and predicates.

use super::plan::Operand;
use crate::exec::lanes::lanes_of;
use crate::isa::{Pred, Program, Reg, RegisterSet, Space};

/// Marks the absence of an instruction.
pub(super) const NONE: u32 = u32::MAX;

/// A bit for each undefined bit of a register, lane by lane.
pub(super) type Bits = [u64; 32];

/// Where undefined bits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The instruction that read memory which was never written, or a lane that was not active; `NONE` for a register
    /// that was never written.
    pub load: u32,
    /// The first instruction that did more than move the bits, or `NONE`.
    pub used: u32,
    /// What was read, where something was: a lane, its address and the space.
    pub lane: u8,
    /// The lane that was read though it was not active, instead of memory.
    pub inactive: Option<u8>,
    pub space: Space,
    pub address: u64,
}

impl Origin {
    /// A register that was never written.
    pub(super) const REGISTER: Origin =
        Origin { load: NONE, used: NONE, lane: 0, inactive: None, space: Space::Generic, address: 0 };

    /// What the instruction at `position` gave `lane`, which read a lane that was not active.
    pub(super) fn of_lane(position: u32, lane: u8, inactive: u8) -> Origin {
        Origin { load: position, lane, inactive: Some(inactive), ..Self::REGISTER }
    }

    /// The same, used at `position` if not before.
    pub(super) fn used_at(self, position: u32) -> Origin {
        Origin { used: if self.used == NONE { position } else { self.used }, ..self }
    }
}

/// The undefined bits of a caller's registers, for lanes that have not returned.
#[derive(Debug)]
struct Saved {
    mask: u32,
    /// Registers, whether they have 64 bits, their undefined bits and where these come from.
    registers: Vec<(Reg, bool, Bits, Origin)>,
    predicates: Vec<(Pred, u32, Origin)>,
}

/// One warp.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    slots: Vec<[u32; 32]>,
    slot_origins: Vec<Origin>,
    /// Undefined lanes.
    predicates: Vec<u32>,
    predicate_origins: Vec<Origin>,
    /// A bit for each slot that has undefined bits.
    dirty: Vec<u64>,
    /// Of the calls under way, innermost last.
    calls: Vec<Saved>,
    /// Slots and predicates that have undefined bits.
    pub count: u32,
    /// Predicates that have undefined lanes.
    pub predicate_count: u32,
}

impl Shadow {
    /// Begins a block, for the lanes of `mask`: what may be read unwritten is undefined.
    pub(super) fn start(&mut self, program: &Program, mask: u32) {
        let (slots, predicates) = (program.slots as usize, program.predicates as usize);
        if self.slots.len() != slots || self.predicates.len() != predicates || self.count > 0 {
            self.slots.clear();
            self.slots.resize(slots, [0; 32]);
            self.slot_origins.resize(slots, Origin::REGISTER);
            self.predicates.clear();
            self.predicates.resize(predicates, 0);
            self.predicate_origins.resize(predicates, Origin::REGISTER);
            self.dirty.clear();
            self.dirty.resize(slots.div_ceil(64), 0);
        }
        (self.count, self.predicate_count) = (0, 0);
        self.calls.clear();
        let bits = std::array::from_fn(|lane| u64::from(u32::MAX) * u64::from(mask >> lane & 1));
        for slot in &program.uninitialised {
            self.put(mask, Reg(*slot), false, &bits, Origin::REGISTER);
        }
        for predicate in &program.uninitialised_predicates {
            self.put_predicate(mask, Pred(*predicate), mask, Origin::REGISTER);
        }
    }

    #[inline(always)]
    fn is_dirty(&self, slot: u32) -> bool {
        self.dirty[slot as usize / 64] >> (slot % 64) & 1 != 0
    }

    /// Whether a register has undefined bits.
    #[inline(always)]
    pub(super) fn is_undefined(&self, reg: Reg, wide: bool) -> bool {
        reg.bank_index().is_none() && (self.is_dirty(reg.0) || wide && self.is_dirty(reg.0 + 1))
    }

    /// Whether an operand, read or to be written, has undefined bits.
    #[inline(always)]
    pub(super) fn touches(&self, operand: Operand) -> bool {
        match operand {
            Operand::Source { reg, wide } | Operand::Destination { reg, wide } => self.is_undefined(reg, wide),
            Operand::SourcePred(pred) | Operand::DestinationPred(pred) => self.predicates[pred.0 as usize] != 0,
        }
    }

    /// The undefined bits of a register.
    pub(super) fn get(&self, reg: Reg, wide: bool) -> Bits {
        if !self.is_undefined(reg, wide) {
            return [0; 32];
        }
        let slot = reg.0 as usize;
        if wide {
            // A 64-bit register is two slots read as 32 words of 64 bits.
            let words = self.slots[slot..slot + 2].as_flattened();
            std::array::from_fn(|lane| u64::from(words[2 * lane]) | u64::from(words[2 * lane + 1]) << 32)
        } else {
            self.slots[slot].map(u64::from)
        }
    }

    /// Where the undefined bits of a register come from.
    pub(super) fn origin(&self, reg: Reg, wide: bool) -> Origin {
        match reg.bank_index() {
            Some(_) => Origin::REGISTER,
            None if wide && !self.is_dirty(reg.0) => self.slot_origins[reg.0 as usize + 1],
            None => self.slot_origins[reg.0 as usize],
        }
    }

    /// Writes the lanes of `mask`.
    pub(super) fn put(&mut self, mask: u32, reg: Reg, wide: bool, bits: &Bits, origin: Origin) {
        let slot = reg.0 as usize;
        if wide {
            let words = self.slots[slot..slot + 2].as_flattened_mut();
            for lane in lanes_of(mask) {
                (words[2 * lane], words[2 * lane + 1]) = (bits[lane] as u32, (bits[lane] >> 32) as u32);
            }
            self.settle(reg.0 + 1, origin);
        } else {
            lanes_of(mask).for_each(|lane| self.slots[slot][lane] = bits[lane] as u32);
        }
        self.settle(reg.0, origin);
    }

    /// Notes whether a slot that was just written has undefined bits.
    fn settle(&mut self, slot: u32, origin: Origin) {
        let undefined = self.slots[slot as usize].iter().any(|bits| *bits != 0);
        let (word, bit) = (slot as usize / 64, 1u64 << (slot % 64));
        self.count -= u32::from(self.is_dirty(slot));
        self.dirty[word] &= !bit;
        if undefined {
            self.count += 1;
            self.dirty[word] |= bit;
            self.slot_origins[slot as usize] = origin;
        }
    }

    /// The lanes whose predicate is undefined.
    #[inline(always)]
    pub(super) fn predicate(&self, pred: Pred) -> u32 {
        self.predicates[pred.0 as usize]
    }

    pub(super) fn predicate_origin(&self, pred: Pred) -> Origin {
        self.predicate_origins[pred.0 as usize]
    }

    /// Writes the lanes of `mask`.
    pub(super) fn put_predicate(&mut self, mask: u32, pred: Pred, undefined: u32, origin: Origin) {
        let entry = &mut self.predicates[pred.0 as usize];
        let was = u32::from(*entry != 0);
        *entry = *entry & !mask | undefined & mask;
        let is = u32::from(*entry != 0);
        self.count = self.count - was + is;
        self.predicate_count = self.predicate_count - was + is;
        if is != 0 && undefined & mask != 0 {
            self.predicate_origins[pred.0 as usize] = origin;
        }
    }

    /// The lanes of `mask` call a function; the registers of `saved` will be theirs again when they return.
    pub(super) fn call(&mut self, mask: u32, saved: &RegisterSet) {
        let registers = registers_of(saved).map(|(reg, wide)| (reg, wide, self.get(reg, wide), self.origin(reg, wide)));
        let predicates = saved.predicates.iter();
        let predicates = predicates.map(|pred| (*pred, self.predicate(*pred), self.predicate_origin(*pred)));
        let saved = Saved { mask, registers: registers.collect(), predicates: predicates.collect() };
        self.calls.push(saved);
    }

    /// The lanes of `mask` begin a function that may read the registers of `unwritten` before it writes them.
    pub(super) fn enter(&mut self, mask: u32, unwritten: &RegisterSet) {
        for (reg, wide) in registers_of(unwritten) {
            self.put(mask, reg, wide, &[if wide { u64::MAX } else { u32::MAX.into() }; 32], Origin::REGISTER);
        }
        unwritten.predicates.iter().for_each(|pred| self.put_predicate(mask, *pred, mask, Origin::REGISTER));
    }

    /// The lanes of `mask` return, each from its innermost call.
    pub(super) fn leave(&mut self, mut mask: u32) {
        for index in (0..self.calls.len()).rev() {
            let lanes = self.calls[index].mask & mask;
            if lanes == 0 {
                continue;
            }
            mask &= !lanes;
            self.calls[index].mask &= !lanes;
            let Saved { registers, predicates, .. } = &mut self.calls[index];
            let (registers, predicates) = (std::mem::take(registers), std::mem::take(predicates));
            for (reg, wide, bits, origin) in &registers {
                self.put(lanes, *reg, *wide, bits, *origin);
            }
            for (pred, undefined, origin) in &predicates {
                self.put_predicate(lanes, *pred, *undefined, *origin);
            }
            (self.calls[index].registers, self.calls[index].predicates) = (registers, predicates);
        }
        self.calls.retain(|call| call.mask != 0);
    }
}

/// The registers of a set, and whether they have 64 bits.
fn registers_of(set: &RegisterSet) -> impl Iterator<Item = (Reg, bool)> + '_ {
    set.singles.iter().map(|reg| (*reg, false)).chain(set.pairs.iter().map(|reg| (*reg, true)))
}
