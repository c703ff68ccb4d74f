//! Liveness and register allocation: virtual registers to slots of a warp's file, so that the file stays in cache.
//!
//! A lane's registers are private to it and writes are masked, so ordinary per-thread liveness holds under divergence:
//! as long as registers of 64 bits share no slots with narrower ones, in which the lanes lie elsewhere.

use super::build::Draft;
use super::flow::Graph;
use crate::isa::{Function, Instruction, Op, Pred, PredSource, Program, Reg, RegisterSet, Visitor, Width};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

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
    /// For the kernel, then for each function, the values that may be read before they are written.
    at_entry: Vec<Vec<u32>>,
    /// For each position of a call the values that are read after it.
    across_calls: HashMap<usize, Vec<u32>>,
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
        let values = |set: &BitSet| set.iter().map(|c| names[c as usize]).collect::<Vec<_>>();
        let entries = std::iter::once(0).chain(draft.callees.iter().map(|callee| callee.start));
        let at_entry = entries.map(|start| values(&live_in[graph.block_at(start)])).collect();
        let mut across_calls = HashMap::new();
        for (end, live) in graph.starts[1..].iter().zip(&live_out) {
            let last = *end as usize - 1;
            if matches!(draft.code[last].op, Op::CallFunction { .. }) {
                across_calls.insert(last, values(live));
            }
        }
        Liveness { intervals, at_entry, across_calls }
    }
}

/// The registers that may be read before they are written.
pub(super) fn read_before_written(draft: &mut Draft, graph: &Graph) -> Vec<u32> {
    let registers = draft.widths.len() as u32;
    let values = Liveness::of(draft, graph).at_entry.into_iter().flatten();
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

/// Numbers to give out, lowest first.
#[derive(Default)]
struct Pool {
    /// Numbers that were given back.
    free: BinaryHeap<Reverse<u32>>,
    /// Numbers from here on were never given out.
    fresh: u32,
}

impl Pool {
    fn take(&mut self) -> u32 {
        self.free.pop().map_or_else(
            || {
                self.fresh += 1;
                self.fresh - 1
            },
            |Reverse(number)| number,
        )
    }

    fn give_back(&mut self, number: u32) {
        self.free.push(Reverse(number));
    }

    /// How many numbers were ever out at once.
    fn size(&self) -> u32 {
        self.fresh
    }
}

/// Linear scan over the intervals of the values of one class: a number for each of them.
fn scan(intervals: &[Interval], in_class: impl Fn(usize) -> bool, pool: &mut Pool) -> Vec<u32> {
    let used = |value: &usize| intervals[*value].start != u32::MAX && in_class(*value);
    let mut order: Vec<usize> = (0..intervals.len()).filter(used).collect();
    order.sort_by_key(|value| intervals[*value].start);
    let mut active = BinaryHeap::new();
    let mut assigned = vec![0; intervals.len()];
    for value in order {
        while let Some(&Reverse((end, old))) = active.peek() {
            if end >= intervals[value].start {
                break;
            }
            active.pop();
            pool.give_back(assigned[old]);
        }
        assigned[value] = pool.take();
        active.push(Reverse((intervals[value].end, value)));
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
    let (mut singles, mut pairs, mut flags) = (Pool::default(), Pool::default(), Pool::default());
    // The constant predicate keeps number 0.
    flags.take();
    let is_pair = |value: usize| draft.widths[value] == Width::W64;
    let single_numbers = scan(&liveness.intervals[..registers], |value| !is_pair(value), &mut singles);
    let pair_numbers = scan(&liveness.intervals[..registers], is_pair, &mut pairs);
    let first_pair = singles.size();
    let slot_of = |value| if is_pair(value) { first_pair + 2 * pair_numbers[value] } else { single_numbers[value] };
    let mut rewrite = Rewrite {
        registers: (0..registers).map(slot_of).collect(),
        predicates: scan(&liveness.intervals[registers..], |_| true, &mut flags),
    };
    let set_of = |values: &[u32]| {
        let mut set = RegisterSet::default();
        for value in values.iter().map(|value| *value as usize) {
            match value.checked_sub(registers) {
                Some(predicate) => set.predicates.push(Pred(rewrite.predicates[predicate])),
                None if is_pair(value) => set.pairs.push(Reg(rewrite.registers[value])),
                None => set.singles.push(Reg(rewrite.registers[value])),
            }
        }
        set
    };
    for (position, values) in &liveness.across_calls {
        if let Op::CallFunction { saved, .. } = &mut draft.code[*position].op {
            **saved = set_of(values);
        }
    }
    let mut at_entry = liveness.at_entry.iter().map(|values| set_of(values));
    let kernel = at_entry.next().unwrap_or_default();
    let pair_slots = kernel.pairs.iter().flat_map(|pair| [pair.0, pair.0 + 1]);
    let uninitialised = kernel.singles.iter().map(|reg| reg.0).chain(pair_slots).collect();
    let uninitialised_predicates = kernel.predicates.iter().map(|predicate| predicate.0).collect();
    let functions = draft.callees.into_iter().zip(at_entry).map(|(callee, mut uninitialised)| {
        let read = liveness.intervals[callee.frame.0 as usize].start != u32::MAX;
        let frame = read.then(|| Reg(rewrite.registers[callee.frame.0 as usize]));
        uninitialised.pairs.retain(|reg| Some(*reg) != frame);
        Function {
            name: callee.name,
            address: callee.address,
            position: callee.start,
            frame,
            frame_bytes: callee.frame_bytes,
            area_bytes: callee.area_bytes,
            uninitialised,
        }
    });
    let functions = functions.collect();
    for instruction in &mut draft.code {
        instruction.op.visit(&mut rewrite);
        rewrite.source_pred(&mut instruction.guard.pred);
    }
    let calls = draft.code.iter().any(|instruction| matches!(instruction.op, Op::CallFunction { .. }));
    Program {
        code: draft.code,
        slots: first_pair + 2 * pairs.size(),
        predicates: flags.size(),
        bank: draft.bank,
        bank_slots: draft.bank_slots,
        uninitialised,
        uninitialised_predicates,
        shared_bytes: draft.shared_bytes,
        shared_variables: draft.shared_variables,
        dynamic_shared_offset: draft.dynamic_shared_offset,
        local_bytes: draft.local_bytes,
        uses_stack: draft.uses_stack,
        takes_stack_only: draft.uses_stack && !calls,
        functions,
        parameter_bytes: draft.parameter_bytes,
    }
}
