//! Forwards plain copies to their readers and drops what nothing reads.

use super::allocate;
use super::build::Draft;
use super::flow::Graph;
use crate::isa::{Instruction, Op, Pred, PredSource, Reg, Visitor};

/// Replaces every register that is only ever a copy by what it copies, then removes dead operations.
///
/// A value that may be read before it is written keeps its copies: around a loop, a copy of it holds what it was in the
/// round before. Of others, every read comes after the one write, and so does every write after it of what was copied.
pub(super) fn forward_copies(draft: &mut Draft) {
    let graph = Graph::of(&draft.code);
    let mut definitions = Definitions::of(draft);
    for value in allocate::read_before_written(draft, &graph) {
        definitions.counts[value as usize] = u32::MAX;
    }
    let copies = Copies::of(draft, &definitions);
    let mut forward = Forward { copies };
    for instruction in &mut draft.code {
        instruction.op.visit(&mut forward);
    }
    remove_dead(draft);
}

/// How often each virtual register is written; never once, for one that may be read before it is written.
struct Definitions {
    counts: Vec<u32>,
}

impl Visitor for Definitions {
    fn source(&mut self, _: &mut Reg) {}
    fn destination(&mut self, reg: &mut Reg) {
        self.counts[reg.0 as usize] += 1;
    }
    fn source_pred(&mut self, _: &mut Pred) {}
    fn destination_pred(&mut self, _: &mut Pred) {}
}

impl Definitions {
    fn of(draft: &mut Draft) -> Self {
        let mut definitions = Definitions { counts: vec![0; draft.widths.len()] };
        for instruction in &mut draft.code {
            instruction.op.visit(&mut definitions);
        }
        definitions
    }

    fn is_single(&self, reg: Reg) -> bool {
        reg.bank_index().is_some() || self.counts[reg.0 as usize] == 1
    }
}

/// What each register may be replaced by.
struct Copies {
    of: Vec<Option<Reg>>,
}

impl Copies {
    fn of(draft: &Draft, definitions: &Definitions) -> Self {
        let mut of = vec![None; draft.widths.len()];
        for instruction in &draft.code {
            if let Instruction { op: Op::Mov32 { d, a } | Op::Mov64 { d, a }, guard: PredSource::TRUE, .. } =
                instruction
                && definitions.is_single(*d)
                && definitions.is_single(*a)
                && a != d
            {
                of[d.0 as usize] = Some(*a);
            }
        }
        let mut copies = Copies { of };
        // Shortens chains, so that following one to its end stays cheap.
        for reg in 0..copies.of.len() {
            if copies.of[reg].is_some() {
                copies.of[reg] = Some(copies.resolve(Reg(reg as u32))).filter(|end| end.0 != reg as u32);
            }
        }
        copies
    }

    fn resolve(&self, mut reg: Reg) -> Reg {
        // Copies of single definitions cannot form a cycle that is reached, but text may hold one.
        for _ in 0..self.of.len() {
            match reg.bank_index().is_none().then(|| self.of[reg.0 as usize]).flatten() {
                Some(next) => reg = next,
                None => break,
            }
        }
        reg
    }
}

struct Forward {
    copies: Copies,
}

impl Visitor for Forward {
    fn source(&mut self, reg: &mut Reg) {
        *reg = self.copies.resolve(*reg);
    }
    fn destination(&mut self, _: &mut Reg) {}
    fn source_pred(&mut self, _: &mut Pred) {}
    fn destination_pred(&mut self, _: &mut Pred) {}
}

/// Whether the operation does nothing but write its destinations.
fn is_pure(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Mov32 { .. }
            | Mov64 { .. }
            | MovPred { .. }
            | Pack16x2 { .. }
            | Pack32x2 { .. }
            | Pack16x4 { .. }
            | Unpack16x2 { .. }
            | Unpack32x2 { .. }
            | Unpack16x4 { .. }
            | Special { .. }
            | IntUnary { .. }
            | IntBinary { .. }
            | IntTernary { .. }
            | Lop3 { .. }
            | Bfi { .. }
            | Bmsk { .. }
            | AddCarry { .. }
            | PredLogic { .. }
            | F32Unary { .. }
            | F32Binary { .. }
            | F32Fma { .. }
            | F64Unary { .. }
            | F64Binary { .. }
            | F64Fma { .. }
            | HalfUnary { .. }
            | HalfBinary { .. }
            | HalfFma { .. }
            | TestFloat { .. }
            | Cvt { .. }
            | CvtPack { .. }
            | CvtBytes { .. }
            | ExpandBytes { .. }
            | PackIntegers { .. }
            | Packed { .. }
            | Setp { .. }
            | SetpHalf2 { .. }
            | Selp { .. }
            | IsSpace { .. }
    )
}

/// The operands of an operation in one numbering: registers, then predicates.
#[derive(Default)]
struct Operands {
    registers: u32,
    reads: Vec<u32>,
    writes: Vec<u32>,
}

impl Visitor for Operands {
    fn source(&mut self, reg: &mut Reg) {
        self.reads.extend(reg.bank_index().is_none().then_some(reg.0));
    }
    fn destination(&mut self, reg: &mut Reg) {
        self.writes.push(reg.0);
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        self.reads.push(self.registers + pred.0);
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.writes.push(self.registers + pred.0);
    }
}

impl Operands {
    fn look(&mut self, instruction: &mut Instruction) {
        self.reads.clear();
        self.writes.clear();
        self.reads.push(self.registers + instruction.guard.pred.0);
        instruction.op.visit(self);
    }
}

/// Removes operations that only write what nothing reads, and then those that only they needed.
fn remove_dead(draft: &mut Draft) {
    let registers = draft.widths.len() as u32;
    let mut operands = Operands { registers, ..Operands::default() };
    let mut readers = vec![0u32; (registers + draft.predicates) as usize];
    let mut writers = vec![Vec::new(); readers.len()];
    for (position, instruction) in draft.code.iter_mut().enumerate() {
        operands.look(instruction);
        operands.reads.iter().for_each(|value| readers[*value as usize] += 1);
        operands.writes.iter().for_each(|value| writers[*value as usize].push(position));
    }
    let mut keep = vec![true; draft.code.len()];
    let mut pending: Vec<usize> = (0..keep.len()).collect();
    while let Some(position) = pending.pop() {
        operands.look(&mut draft.code[position]);
        let wanted = operands.writes.iter().any(|value| readers[*value as usize] > 0);
        if !keep[position] || wanted || !is_pure(&draft.code[position].op) {
            continue;
        }
        keep[position] = false;
        for value in &operands.reads {
            readers[*value as usize] -= 1;
            if readers[*value as usize] == 0 {
                pending.extend(&writers[*value as usize]);
            }
        }
    }
    if keep.contains(&false) {
        compact(draft, &keep);
    }
}

/// Removes the instructions that are not kept and moves branch targets and functions along.
fn compact(draft: &mut Draft, keep: &[bool]) {
    let code = &mut draft.code;
    let mut position = 0;
    let mut moved: Vec<u32> = Vec::with_capacity(keep.len() + 1);
    for kept in keep {
        moved.push(position);
        position += u32::from(*kept);
    }
    moved.push(position);
    let mut index = 0;
    code.retain(|_| {
        index += 1;
        keep[index - 1]
    });
    for instruction in code {
        match &mut instruction.op {
            Op::Branch { target, .. } => *target = moved[*target as usize],
            Op::BranchIndexed { targets, .. } => targets.iter_mut().for_each(|t| *t = moved[*t as usize]),
            _ => {}
        }
    }
    draft.callees.iter_mut().for_each(|callee| callee.start = moved[callee.start as usize]);
}
