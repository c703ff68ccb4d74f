//! Forwards plain copies to their readers and drops what nothing reads.

use super::build::Draft;
use crate::isa::{Instruction, Op, Pred, PredSource, Reg, Visitor};

/// Replaces every register that is only ever a copy by what it copies, then removes dead operations.
pub(super) fn forward_copies(draft: &mut Draft) {
    let definitions = Definitions::of(draft);
    let copies = Copies::of(draft, &definitions);
    let mut forward = Forward { copies };
    for instruction in &mut draft.code {
        instruction.op.visit(&mut forward);
    }
    while remove_dead(draft) {}
}

/// How often each virtual register is written.
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
        Copies { of }
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

/// Registers and predicates that something reads.
struct Reads {
    registers: Vec<bool>,
    predicates: Vec<bool>,
    /// Whether the operation looked at writes one of them.
    wanted: bool,
    collect: bool,
}

impl Visitor for Reads {
    fn source(&mut self, reg: &mut Reg) {
        if self.collect && reg.bank_index().is_none() {
            self.registers[reg.0 as usize] = true;
        }
    }
    fn destination(&mut self, reg: &mut Reg) {
        self.wanted |= self.registers[reg.0 as usize];
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        self.predicates[pred.0 as usize] |= self.collect;
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.wanted |= self.predicates[pred.0 as usize];
    }
}

/// One sweep; whether anything went.
fn remove_dead(draft: &mut Draft) -> bool {
    let mut reads = Reads {
        registers: vec![false; draft.widths.len()],
        predicates: vec![false; draft.predicates as usize],
        wanted: false,
        collect: true,
    };
    for instruction in &mut draft.code {
        reads.predicates[instruction.guard.pred.0 as usize] = true;
        instruction.op.visit(&mut reads);
    }
    reads.collect = false;
    let keep: Vec<bool> = draft
        .code
        .iter_mut()
        .map(|instruction| {
            reads.wanted = false;
            instruction.op.visit(&mut reads);
            reads.wanted || !is_pure(&instruction.op)
        })
        .collect();
    if keep.iter().all(|k| *k) {
        return false;
    }
    compact(draft, &keep);
    true
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
