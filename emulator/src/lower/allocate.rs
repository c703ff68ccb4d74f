//! Liveness and register allocation: virtual registers to slots of a warp's file, so that the file stays in cache.
//!
//! A lane's registers are private to it and writes are masked, so ordinary per-thread liveness holds under divergence.

use super::build::Draft;
use super::flow::Graph;
use crate::isa::{Instruction, Pred, PredSource, Program, Reg, Visitor, Width};

/// Registers and predicates share one numbering during analysis: registers first.
struct Numbering {
    registers: u32,
}

impl Numbering {
    fn register(&self, reg: Reg) -> Option<u32> {
        reg.bank_index().is_none().then_some(reg.0)
    }

    fn predicate(&self, pred: Pred) -> Option<u32> {
        (pred != Pred::TRUE).then_some(self.registers + pred.0)
    }
}

/// Collects the reads and writes of one instruction.
struct Accesses {
    numbering: Numbering,
    reads: Vec<u32>,
    writes: Vec<u32>,
}

impl Visitor for Accesses {
    fn source(&mut self, reg: &mut Reg) {
        self.reads.extend(self.numbering.register(*reg));
    }
    fn destination(&mut self, reg: &mut Reg) {
        self.writes.extend(self.numbering.register(*reg));
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        self.reads.extend(self.numbering.predicate(*pred));
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.writes.extend(self.numbering.predicate(*pred));
    }
}

impl Accesses {
    /// Fills `reads` and `writes`; whether the writes reach every active lane.
    fn look(&mut self, instruction: &mut Instruction) -> bool {
        self.reads.clear();
        self.writes.clear();
        self.reads.extend(self.numbering.predicate(instruction.guard.pred));
        instruction.op.visit(self);
        instruction.guard == PredSource::TRUE
    }
}

/// The span of positions over which a value must keep its slot: instruction `i` reads at `2 i` and writes at `2 i + 1`.
#[derive(Clone, Copy, Debug)]
struct Interval {
    start: u32,
    end: u32,
}

const UNUSED: Interval = Interval { start: u32::MAX, end: 0 };

impl Interval {
    fn cover(&mut self, position: u32) {
        self.start = self.start.min(position);
        self.end = self.end.max(position);
    }
}

struct BitSet(Vec<u64>);

impl BitSet {
    fn new(bits: usize) -> Self {
        BitSet(vec![0; bits.div_ceil(64)])
    }
    fn insert(&mut self, bit: u32) {
        self.0[bit as usize / 64] |= 1 << (bit % 64);
    }
    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }
}

/// Values that live across blocks, per block.
struct Liveness {
    intervals: Vec<Interval>,
    /// Values that may be read before they are written.
    at_entry: Vec<u32>,
}

impl Liveness {
    fn of(draft: &mut Draft, graph: &Graph) -> Self {
        let registers = draft.widths.len() as u32;
        let total = (registers + draft.predicates) as usize;
        let mut accesses = Accesses { numbering: Numbering { registers }, reads: Vec::new(), writes: Vec::new() };
        let blocks = graph.successors.len();
        let (mut exposed, mut killed) = (Vec::new(), Vec::new());
        // Numbers of the values that some block reads before writing them: only these cross blocks.
        let mut crossing = vec![u32::MAX; total];
        let mut names = Vec::new();
        let mut written_in = vec![u32::MAX; total];
        for block in 0..blocks {
            let mut reads_first = Vec::new();
            for instruction in &mut draft.code[graph.starts[block] as usize..graph.starts[block + 1] as usize] {
                let unconditional = accesses.look(instruction);
                let partial = if unconditional { &[][..] } else { &accesses.writes };
                for value in accesses.reads.iter().chain(partial) {
                    if written_in[*value as usize] != block as u32 {
                        reads_first.push(*value);
                        if crossing[*value as usize] == u32::MAX {
                            crossing[*value as usize] = names.len() as u32;
                            names.push(*value);
                        }
                    }
                }
                if unconditional {
                    accesses.writes.iter().for_each(|w| written_in[*w as usize] = block as u32);
                }
            }
            exposed.push(reads_first);
        }
        for block in 0..blocks {
            let mut set = BitSet::new(names.len());
            for instruction in &mut draft.code[graph.starts[block] as usize..graph.starts[block + 1] as usize] {
                if accesses.look(instruction) {
                    let crossing = accesses.writes.iter().map(|w| crossing[*w as usize]);
                    crossing.filter(|c| *c != u32::MAX).for_each(|c| set.insert(c));
                }
            }
            killed.push(set);
        }
        let (live_in, live_out) = flow_backwards(graph, &exposed, &killed, &crossing, names.len());
        let mut intervals = vec![UNUSED; total];
        for block in 0..blocks {
            let (start, end) = (graph.starts[block], graph.starts[block + 1]);
            live_in[block].iter().for_each(|c| intervals[names[c as usize] as usize].cover(2 * start));
            live_out[block].iter().for_each(|c| intervals[names[c as usize] as usize].cover(2 * end - 1));
        }
        for (position, instruction) in draft.code.iter_mut().enumerate() {
            accesses.look(instruction);
            accesses.reads.iter().for_each(|r| intervals[*r as usize].cover(2 * position as u32));
            accesses.writes.iter().for_each(|w| intervals[*w as usize].cover(2 * position as u32 + 1));
        }
        let at_entry = live_in[0].iter().map(|c| names[c as usize]).collect();
        Liveness { intervals, at_entry }
    }
}

/// The registers that may be read before they are written.
pub(super) fn read_before_written(draft: &mut Draft, graph: &Graph) -> Vec<u32> {
    let registers = draft.widths.len() as u32;
    let values = Liveness::of(draft, graph).at_entry.into_iter();
    values.filter(|value| *value < registers).collect()
}

/// Solves `in = exposed | (out - killed)`, `out = union of in over successors`.
fn flow_backwards(
    graph: &Graph,
    exposed: &[Vec<u32>],
    killed: &[BitSet],
    crossing: &[u32],
    bits: usize,
) -> (Vec<BitSet>, Vec<BitSet>) {
    let blocks = graph.successors.len();
    let mut live_in: Vec<BitSet> = (0..blocks).map(|_| BitSet::new(bits)).collect();
    let mut live_out: Vec<BitSet> = (0..blocks).map(|_| BitSet::new(bits)).collect();
    for (set, values) in live_in.iter_mut().zip(exposed) {
        values.iter().for_each(|v| set.insert(crossing[*v as usize]));
    }
    let mut changed = true;
    while changed {
        changed = false;
        for block in (0..blocks).rev() {
            for successor in &graph.successors[block] {
                for word in 0..live_out[block].0.len() {
                    live_out[block].0[word] |= live_in[*successor as usize].0[word];
                }
            }
            for word in 0..live_in[block].0.len() {
                let new = live_in[block].0[word] | (live_out[block].0[word] & !killed[block].0[word]);
                changed |= std::mem::replace(&mut live_in[block].0[word], new) != new;
            }
        }
    }
    (live_in, live_out)
}

/// Free slots, lowest first.
#[derive(Default)]
struct Pool {
    taken: Vec<bool>,
}

impl Pool {
    fn take(&mut self, count: usize) -> u32 {
        let run = (0..self.taken.len())
            .find(|first| (0..count).all(|offset| self.taken.get(first + offset).is_none_or(|taken| !taken)));
        let first = run.unwrap_or(self.taken.len());
        if self.taken.len() < first + count {
            self.taken.resize(first + count, false);
        }
        self.taken[first..first + count].fill(true);
        first as u32
    }

    fn give_back(&mut self, first: u32, count: usize) {
        self.taken[first as usize..first as usize + count].fill(false);
    }
}

/// Linear scan over the intervals of one class; `slots_of` gives the size of a value.
fn scan(intervals: &[Interval], slots_of: impl Fn(usize) -> usize, pool: &mut Pool) -> Vec<u32> {
    let mut order: Vec<usize> = (0..intervals.len()).filter(|v| intervals[*v].start != u32::MAX).collect();
    order.sort_by_key(|v| intervals[*v].start);
    let mut active = std::collections::BinaryHeap::new();
    let mut assigned = vec![0; intervals.len()];
    for value in order {
        while let Some(&std::cmp::Reverse((end, old))) = active.peek() {
            if end >= intervals[value].start {
                break;
            }
            active.pop();
            pool.give_back(assigned[old], slots_of(old));
        }
        assigned[value] = pool.take(slots_of(value));
        active.push(std::cmp::Reverse((intervals[value].end, value)));
    }
    assigned
}

/// Rewrites operands to slots.
struct Rewrite {
    registers: Vec<u32>,
    predicates: Vec<u32>,
}

impl Visitor for Rewrite {
    fn source(&mut self, reg: &mut Reg) {
        if reg.bank_index().is_none() {
            *reg = Reg(self.registers[reg.0 as usize]);
        }
    }
    fn destination(&mut self, reg: &mut Reg) {
        self.source(reg);
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        if *pred != Pred::TRUE {
            *pred = Pred(self.predicates[pred.0 as usize]);
        }
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.source_pred(pred);
    }
}

/// Allocates slots and gives the finished program.
pub(super) fn program(mut draft: Draft, graph: &Graph) -> Program {
    let registers = draft.widths.len();
    let liveness = Liveness::of(&mut draft, graph);
    let slots_of = |value: usize| if draft.widths[value] == Width::W64 { 2 } else { 1 };
    let (mut slots, mut flags) = (Pool::default(), Pool::default());
    // The constant predicate keeps number 0.
    flags.take(1);
    let mut rewrite = Rewrite {
        registers: scan(&liveness.intervals[..registers], slots_of, &mut slots),
        predicates: scan(&liveness.intervals[registers..], |_| 1, &mut flags),
    };
    let uninitialised = liveness
        .at_entry
        .iter()
        .filter(|v| (**v as usize) < registers)
        .flat_map(|v| {
            let first = rewrite.registers[*v as usize];
            first..first + slots_of(*v as usize) as u32
        })
        .collect();
    for instruction in &mut draft.code {
        instruction.op.visit(&mut rewrite);
        rewrite.source_pred(&mut instruction.guard.pred);
    }
    Program {
        code: draft.code,
        slots: slots.taken.len() as u32,
        predicates: flags.taken.len() as u32,
        bank: draft.bank,
        bank_slots: draft.bank_slots,
        uninitialised,
        shared_bytes: draft.shared_bytes,
        dynamic_shared_offset: draft.dynamic_shared_offset,
        local_bytes: draft.local_bytes,
        parameter_bytes: draft.parameter_bytes,
    }
}
