//! What the checker has to know of each instruction before it runs: its operands with their sizes.

use crate::isa::*;

/// An operand that is a register or a predicate of the warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// Read; two slots where `wide`.
    Source {
        reg: Reg,
        wide: bool,
    },
    Destination {
        reg: Reg,
        wide: bool,
    },
    SourcePred(Pred),
    DestinationPred(Pred),
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Nothing,
    /// Nothing, but it may read lanes that are not active.
    Lanes,
    Memory,
    /// A call or a return, which keep registers in memory of their own.
    Call,
}

/// One instruction.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub touch: Touch,
    /// In the order of [`Op::visit`]: sources before destinations. The guard is not among them.
    pub operands: Box<[Operand]>,
}

/// The instructions of a program.
#[derive(Debug)]
pub(in crate::exec) struct Plans(Vec<Plan>);

impl Plans {
    pub(in crate::exec) fn of(program: &Program) -> Self {
        let plan = |instruction: &Instruction| {
            let mut op = instruction.op.clone();
            let mut collect = Collect { wide: wide_registers(&op), operands: Vec::new() };
            op.visit(&mut collect);
            let memory = matches!(
                op,
                Op::Load { .. }
                    | Op::Store { .. }
                    | Op::Atomic { .. }
                    | Op::LoadMatrix { .. }
                    | Op::StoreMatrix { .. }
                    | Op::LoadFragment(_)
                    | Op::StoreFragment(_)
                    | Op::CopyAsync { .. }
                    | Op::Mbarrier(_)
                    | Op::StackAllocate { .. }
                    | Op::StackRestore { .. }
            );
            let touch = match op {
                _ if memory => Touch::Memory,
                Op::CallFunction { .. } | Op::Return => Touch::Call,
                Op::Shuffle { .. } => Touch::Lanes,
                _ => Touch::Nothing,
            };
            Plan { touch, operands: collect.operands.into() }
        };
        Plans(program.code.iter().map(plan).collect())
    }

    #[inline(always)]
    pub(super) fn at(&self, position: u32) -> &Plan {
        &self.0[position as usize]
    }
}

/// Lists operands that are no constants.
struct Collect {
    /// A bit for each register operand still to come: whether it has two slots.
    wide: u32,
    operands: Vec<Operand>,
}

impl Collect {
    fn next_is_wide(&mut self) -> bool {
        let wide = self.wide & 1 != 0;
        self.wide >>= 1;
        wide
    }
}

impl Visitor for Collect {
    fn source(&mut self, reg: &mut Reg) {
        let wide = self.next_is_wide();
        if reg.bank_index().is_none() {
            self.operands.push(Operand::Source { reg: *reg, wide });
        }
    }
    fn destination(&mut self, reg: &mut Reg) {
        let wide = self.next_is_wide();
        self.operands.push(Operand::Destination { reg: *reg, wide });
    }
    fn source_pred(&mut self, pred: &mut Pred) {
        if *pred != Pred::TRUE {
            self.operands.push(Operand::SourcePred(*pred));
        }
    }
    fn destination_pred(&mut self, pred: &mut Pred) {
        self.operands.push(Operand::DestinationPred(*pred));
    }
}

/// Which register operands have 64 bits: bit `i` for the `i`-th that [`Op::visit`] shows.
fn wide_registers(op: &Op) -> u32 {
    use Width::{W32, W64};
    let base = |address: &Address| u32::from(address.wide);
    match op {
        Op::Mov64 { .. } | Op::F64Unary { .. } | Op::F64Binary { .. } | Op::F64Fma { .. } => u32::MAX,
        Op::AddCarry { width: W64, .. } | Op::Selp { width: W64, .. } => u32::MAX,
        // Sources a, b; destination.
        Op::Pack32x2 { .. } => 0b100,
        Op::Pack16x4 { .. } => 0b10000,
        Op::Unpack32x2 { .. } | Op::Unpack16x4 { .. } => 0b1,
        Op::Special { special: Special::Clock64 | Special::GlobalTimer, .. } => 0b1,
        Op::IntUnary { width: W64, op, .. } => match op {
            IntUnary::Not | IntUnary::Neg | IntUnary::Abs | IntUnary::Cnot | IntUnary::Brev => 0b11,
            _ => 0b1,
        },
        Op::IntBinary { width: W64, op: IntBinary::Shl | IntBinary::ShrU | IntBinary::ShrS, .. } => 0b101,
        Op::IntBinary { width: W64, .. } => 0b111,
        Op::IntBinary { width: W32, op: IntBinary::MulWideU | IntBinary::MulWideS, .. } => 0b100,
        // Sources c, a, b; destination.
        Op::IntTernary { width: W64, op: IntTernary::BfeU | IntTernary::BfeS, .. } => 0b1010,
        Op::IntTernary { width: W64, .. } => 0b1111,
        Op::IntTernary { width: W32, op: IntTernary::MadWideU | IntTernary::MadWideS, .. } => 0b1001,
        // Sources c, e, a, b; destination.
        Op::Bfi { width: W64, .. } => 0b11100,
        Op::TestFloat { double: true, .. } | Op::IsSpace { .. } => 0b1,
        Op::Cvt { cvt, .. } => u32::from(cvt.source == W64) | u32::from(cvt.destination == W64) << 1,
        Op::Setp { ty: CompareType::U64 | CompareType::S64 | CompareType::F64, .. } => 0b11,
        Op::Load { kind, address, .. } | Op::Store { kind, address, .. } => {
            base(address) | if kind.width == W64 { 0b11110 } else { 0 }
        }
        Op::LoadMatrix { address, .. } | Op::StoreMatrix { address, .. } => base(address),
        Op::MatrixProduct(product) if product.a.fragment.element == Element::F64 => u32::MAX,
        // The address, the stride, then the matrix.
        Op::LoadFragment(access) | Op::StoreFragment(access) => {
            let matrix = if access.operand.fragment.element == Element::F64 { !0b11 } else { 0 };
            base(&access.address) | matrix
        }
        Op::Atomic { ty, address, .. } => base(address) | if ty.bytes() >= 8 { !1 } else { 0 },
        // The address, the operand, the state.
        Op::Mbarrier(object) => base(&object.address) | u32::from(object.action == MbarrierAction::Test) << 1 | 0b100,
        Op::CopyAsync { to, from, .. } => base(to) | base(from) << 1,
        Op::MatchAny { width: W64, .. } | Op::MatchAll { width: W64, .. } => 0b1,
        Op::CallFunction { .. } | Op::StackAllocate { .. } | Op::StackRestore { .. } => u32::MAX,
        Op::Call(Builtin::Printf { .. } | Builtin::Malloc { .. }) => 0b11,
        Op::Call(Builtin::Free { .. }) => 0b1,
        // Message, file, line, function.
        Op::Call(Builtin::AssertFail { .. }) => 0b1011,
        _ => 0,
    }
}
