//! What is known of a launch before it runs: the cost and the operands of each instruction, and which blocks run.

use super::merge::{self, Merged};
use crate::device::Rates;
use crate::isa::{Pred, Program, Reg, Visitor};
use crate::profile::cost::{self, Cost};
use std::ops::Range;

/// Blocks that a device runs at the same time.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::exec) struct Wave {
    /// Their numbers in the grid.
    pub blocks: Range<u64>,
    /// How many waves of the grid its counts of cache traffic stand for; 0 where it only warms the caches.
    pub weight: f64,
}

impl Wave {
    /// Blocks of it.
    pub(in crate::exec) fn size(&self) -> f64 {
        (self.blocks.end - self.blocks.start) as f64
    }
}

/// All waves of a grid of `blocks`, `size` blocks each; or, where `sample` is given, so many of them spread over the
/// grid. The first wave, which finds cold caches, stands for itself. Every later one comes after the wave before it,
/// which fills the caches as the whole grid up to there would, and together they stand for the rest.
pub(in crate::exec) fn waves(blocks: u64, size: u64, sample: Option<u32>) -> Vec<Wave> {
    let count = blocks.div_ceil(size);
    let range = |index: u64| index * size..((index + 1) * size).min(blocks);
    let sampled = u64::from(sample.unwrap_or(u32::MAX).max(1));
    // The last wave may be small and is not sampled.
    if count <= 2 * sampled + 1 {
        return (0..count).map(|index| Wave { blocks: range(index), weight: 1.0 }).collect();
    }
    let rest = (blocks - size) as f64 / size as f64;
    let mut waves = vec![Wave { blocks: range(0), weight: if sampled == 1 { 1.0 + rest } else { 1.0 } }];
    for number in 1..sampled {
        let index = number * (count - 2) / (sampled - 1);
        if waves.last().is_some_and(|wave| wave.blocks.end < index * size) {
            waves.push(Wave { blocks: range(index - 1), weight: 0.0 });
        }
        waves.push(Wave { blocks: range(index), weight: rest / (sampled - 1) as f64 });
    }
    waves
}

/// The operands of a program's instructions: registers by their slot, predicates behind them.
pub(super) struct Operands {
    /// Where an instruction's operands begin in the list, and how many of them are read.
    index: Vec<(u32, u32)>,
    list: Vec<u32>,
    /// Registers and predicates.
    pub count: usize,
}

struct Lister<'a> {
    slots: u32,
    reads: &'a mut Vec<u32>,
    writes: &'a mut Vec<u32>,
}

impl Visitor for Lister<'_> {
    fn source(&mut self, reg: &mut Reg) {
        if reg.bank_index().is_none() {
            self.reads.push(reg.0);
        }
    }
    fn destination(&mut self, reg: &mut Reg) {
        self.writes.push(reg.0);
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        if *pred != Pred::TRUE {
            self.reads.push(self.slots + pred.0);
        }
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.writes.push(self.slots + pred.0);
    }
}

impl Operands {
    fn of(program: &Program) -> Operands {
        let count = (program.slots + program.predicates) as usize;
        let mut operands = Operands { index: Vec::new(), list: Vec::new(), count };
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for instruction in &program.code {
            let mut instruction = instruction.clone();
            let mut lister = Lister { slots: program.slots, reads: &mut reads, writes: &mut writes };
            lister.source_pred(&mut instruction.guard.pred);
            instruction.op.visit(&mut lister);
            operands.index.push((operands.list.len() as u32, reads.len() as u32));
            operands.list.append(&mut reads);
            operands.list.append(&mut writes);
        }
        operands.index.push((operands.list.len() as u32, 0));
        operands
    }

    /// What the instruction at `position` reads, its guard included, and what it writes.
    pub(super) fn at(&self, position: usize) -> (&[u32], &[u32]) {
        let (start, reads) = self.index[position];
        let all = &self.list[start as usize..self.index[position + 1].0 as usize];
        all.split_at(reads as usize)
    }
}

/// What every block of a launch needs to know of its program.
pub(super) struct Plan {
    pub costs: Vec<Cost>,
    /// Clocks that each keeps its unit.
    pub clocks: Vec<f64>,
    pub operands: Operands,
    /// Loads that are part of a wider one.
    pub merged: Vec<Option<Merged>>,
}

impl Plan {
    pub(super) fn of(program: &Program, rates: &Rates) -> Plan {
        let costs: Vec<Cost> = program.code.iter().map(|instruction| cost::of(&instruction.op)).collect();
        let clocks = costs.iter().map(|cost| cost.clocks(rates)).collect();
        let operands = Operands::of(program);
        let merged = merge::loads(program, &operands);
        Plan { costs, clocks, operands, merged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_without_samples_runs_whole() {
        let all = waves(10, 4, None);
        assert_eq!(all.iter().map(|wave| wave.blocks.clone()).collect::<Vec<_>>(), [0..4, 4..8, 8..10]);
        assert!(all.iter().all(|wave| wave.weight == 1.0));
        assert_eq!(waves(10, 4, Some(1)), all, "three waves are too few to leave one out");
    }

    #[test]
    fn samples_stand_for_the_whole_grid() {
        for (blocks, size, sample) in [(1000, 10, 1), (1000, 10, 2), (1003, 10, 3), (64 * 216 + 7, 216, 4)] {
            let sampled = waves(blocks, size, Some(sample));
            let stand_for: f64 = sampled.iter().map(|wave| wave.weight * size as f64).sum();
            assert!((stand_for - blocks as f64).abs() < 1e-6, "{stand_for} of {blocks}");
            let counted = sampled.iter().filter(|wave| wave.weight > 0.0).count();
            assert_eq!(counted, sample as usize);
            assert!(sampled.windows(2).all(|pair| pair[0].blocks.end <= pair[1].blocks.start), "{sampled:?}");
        }
    }
}
