//! The single list of operations: what lowering emits and the executor matches exhaustively.
//!
//! Operands are typed and resolved. A warp's registers are *slots* of 32 lanes x 32 bits; a 64-bit register is two
//! adjacent slots read as 32 lanes x 64 bits; a 16-bit register is a slot whose upper halves are zero; a predicate is
//! one bit a lane. Constants, kernel parameters and launch-uniform special registers live in a *bank* of read-only
//! slots shared by all warps of a launch, so that every source operand is a register.

mod matrix;
mod mbarrier;
mod operands;
mod program;

pub use matrix::*;
pub use mbarrier::*;
pub use operands::*;
pub use program::*;

/// One operation. `d` are destinations; sources are `a`, `b`, `c` in the order of PTX.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Mov32 {
        d: Reg,
        a: Reg,
    },
    Mov64 {
        d: Reg,
        a: Reg,
    },
    MovPred {
        d: Pred,
        a: PredSource,
    },
    /// `d` = a 16-bit pair or 32-bit pair, low part first.
    Pack16x2 {
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Pack32x2 {
        d: Reg,
        a: Reg,
        b: Reg,
    },
    Pack16x4 {
        d: Reg,
        a: [Reg; 4],
    },
    Unpack16x2 {
        d: [Reg; 2],
        a: Reg,
    },
    Unpack32x2 {
        d: [Reg; 2],
        a: Reg,
    },
    Unpack16x4 {
        d: [Reg; 4],
        a: Reg,
    },
    Special {
        d: Reg,
        special: Special,
    },

    IntUnary {
        op: IntUnary,
        width: Width,
        d: Reg,
        a: Reg,
    },
    IntBinary {
        op: IntBinary,
        width: Width,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    IntTernary {
        op: IntTernary,
        width: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    /// `d` = the parts of `a` and `b` combined, or `c` plus the sum of those.
    Packed {
        packed: Packed,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    Lop3 {
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
        table: u8,
    },
    /// Inserts `a` into `b` at position `c`, length `e`.
    Bfi {
        width: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
        e: Reg,
    },
    /// Mask of `b` bits from position `a` (`bmsk`).
    Bmsk {
        d: Reg,
        a: Reg,
        b: Reg,
        clamp: bool,
    },
    /// Adds, with the carry flag as an explicit predicate, or subtracts: adds the complement. So after a subtraction the
    /// flag is set where nothing was borrowed, as `addc` behind `subc` finds it in hardware; the manual's "borrow" is
    /// what `subc` makes of it.
    AddCarry {
        width: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        carry_in: PredSource,
        carry_out: Pred,
        subtract: bool,
    },
    PredLogic {
        op: BoolOp,
        d: Pred,
        a: PredSource,
        b: PredSource,
    },

    F32Unary {
        op: FloatUnary,
        mode: FloatMode,
        d: Reg,
        a: Reg,
    },
    F32Binary {
        op: FloatBinary,
        mode: FloatMode,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    F32Fma {
        mode: FloatMode,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    F64Unary {
        op: FloatUnary,
        rounding: Rounding,
        d: Reg,
        a: Reg,
    },
    F64Binary {
        op: FloatBinary,
        rounding: Rounding,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    F64Fma {
        rounding: Rounding,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    HalfUnary {
        op: FloatUnary,
        kind: HalfKind,
        mode: FloatMode,
        d: Reg,
        a: Reg,
    },
    HalfBinary {
        op: FloatBinary,
        kind: HalfKind,
        mode: FloatMode,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    HalfFma {
        kind: HalfKind,
        mode: FloatMode,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },
    TestFloat {
        class: FloatClass,
        double: bool,
        d: Pred,
        a: Reg,
    },

    Cvt {
        cvt: Cvt,
        d: Reg,
        a: Reg,
    },
    /// `d` = pair of 16-bit floats, `a` in the upper half.
    CvtPack {
        format: HalfFormat,
        rounding: Rounding,
        relu: bool,
        /// What is too large becomes the largest finite number.
        finite: bool,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    /// 16-bit `d` = pair of 8-bit floats nearest to fp32 numbers, `a` in the upper half; what is too large becomes the
    /// largest finite number.
    CvtBytes {
        format: ByteFormat,
        relu: bool,
        d: Reg,
        a: Reg,
        b: Reg,
    },
    /// `d` = pair of fp16 numbers from a 16-bit pair of 8-bit floats.
    ExpandBytes {
        format: ByteFormat,
        relu: bool,
        d: Reg,
        a: Reg,
    },
    /// `d` = 32-bit integers with sign, clamped to `bits` of which `signed` says whether one is a sign: `b` lowest, then
    /// `a`, then what fits of `c`.
    PackIntegers {
        bits: u8,
        signed: bool,
        d: Reg,
        a: Reg,
        b: Reg,
        c: Reg,
    },

    /// `d` = (a cmp b) combine `c`; `complement` = !(a cmp b) combine `c`.
    Setp {
        ty: CompareType,
        comparison: Comparison,
        flush: bool,
        d: Pred,
        complement: Option<Pred>,
        a: Reg,
        b: Reg,
        combine: BoolOp,
        c: PredSource,
    },
    /// The two halves compared, each into its predicate.
    SetpHalf2 {
        format: HalfFormat,
        comparison: Comparison,
        flush: bool,
        d: [Pred; 2],
        a: Reg,
        b: Reg,
        combine: BoolOp,
        c: PredSource,
    },
    Selp {
        width: Width,
        d: Reg,
        a: Reg,
        b: Reg,
        p: PredSource,
    },

    /// `strong` accesses (volatile, relaxed, acquire, release) may meet those of other threads.
    Load {
        strong: bool,
        space: Space,
        kind: MemoryKind,
        count: u8,
        d: [Reg; 4],
        address: Address,
    },
    Store {
        strong: bool,
        space: Space,
        kind: MemoryKind,
        count: u8,
        a: [Reg; 4],
        address: Address,
    },
    /// `d` is `None` for `red`. Operands of 128 bits are two registers of 64, the lower half first; of any other only
    /// the first counts.
    Atomic {
        space: Space,
        op: AtomicOp,
        ty: AtomicType,
        d: Option<[Reg; 2]>,
        address: Address,
        b: [Reg; 2],
        c: [Reg; 2],
    },
    IsSpace {
        space: Space,
        d: Pred,
        a: Reg,
    },

    Shuffle {
        mode: ShuffleMode,
        d: Reg,
        p: Option<Pred>,
        a: Reg,
        b: Reg,
        c: Reg,
        members: Reg,
    },
    Vote {
        mode: VoteMode,
        d: Pred,
        p: PredSource,
        members: Reg,
    },
    Ballot {
        d: Reg,
        p: PredSource,
        members: Reg,
    },
    MatchAny {
        width: Width,
        d: Reg,
        a: Reg,
        members: Reg,
    },
    MatchAll {
        width: Width,
        d: Reg,
        p: Option<Pred>,
        a: Reg,
        members: Reg,
    },
    Redux {
        op: ReduxOp,
        d: Reg,
        a: Reg,
        members: Reg,
    },
    ActiveMask {
        d: Reg,
    },
    /// One lane of the members is chosen: its number, and the predicate on it.
    Elect {
        d: Reg,
        p: Pred,
        members: Reg,
    },
    WarpBarrier {
        members: Reg,
    },
    /// Lanes of a warp execute an `aligned` barrier together.
    Barrier {
        aligned: bool,
        kind: BarrierKind,
        id: Reg,
        count: Option<Reg>,
    },
    /// An operation on an mbarrier object.
    Mbarrier(Box<Mbarrier>),
    /// Orders memory accesses before other threads: those of the block, or of the whole device.
    Fence {
        device: bool,
    },

    LoadMatrix {
        count: u8,
        transpose: bool,
        d: [Reg; 4],
        address: Address,
    },
    StoreMatrix {
        count: u8,
        transpose: bool,
        a: [Reg; 4],
        address: Address,
    },
    /// Copies `bytes` from global to shared; `source_bytes` of them are read, the rest become zero.
    CopyAsync {
        bytes: u8,
        to: Address,
        from: Address,
        source_bytes: Option<Reg>,
    },
    CopyCommit,
    /// Waits until at most `pending` of the newest groups are unfinished; `u32::MAX` with uncommitted copies too.
    CopyWait {
        pending: u32,
        all: bool,
    },
    Mma(Box<Mma>),
    MatrixProduct(Box<MatrixProduct>),
    QuadPairProduct(Box<QuadPairProduct>),
    LoadFragment(Box<FragmentAccess>),
    StoreFragment(Box<FragmentAccess>),
    /// `d` = the transpose of the 8x8 block of 16-bit numbers in `a`.
    TransposeMatrix {
        d: Reg,
        a: Reg,
    },

    /// `reconverge` is where lanes that part here meet again; `u32::MAX` where they do not.
    Branch {
        target: u32,
        reconverge: u32,
    },
    BranchIndexed {
        index: Reg,
        targets: Box<[u32]>,
        reconverge: u32,
    },
    /// Calls a function of the program whose frame begins at `top`, bytes into local memory. Lanes return to the next
    /// operation; `saved` are restored then.
    CallFunction {
        target: CallTarget,
        top: Reg,
        saved: Box<RegisterSet>,
    },
    /// Ends a function that was called.
    Return,
    /// Takes `bytes` of the thread's stack, of which everything from `a` on is free: `d` is where they begin, a multiple of
    /// `alignment`, and `top` what is free then.
    StackAllocate {
        d: Reg,
        top: Reg,
        a: Reg,
        bytes: Reg,
        alignment: u32,
    },
    /// Gives back what of the stack lies between `b`, which becomes `top`, and `a`.
    StackRestore {
        top: Reg,
        a: Reg,
        b: Reg,
    },
    Exit,
    Trap,
    /// Lets others run.
    Yield,
    Call(Builtin),
}

/// Sees every operand of an operation, sources before destinations.
pub trait Visitor {
    fn source(&mut self, reg: &mut Reg);
    fn destination(&mut self, reg: &mut Reg);
    fn source_pred(&mut self, pred: &mut Pred);
    fn destination_pred(&mut self, pred: &mut Pred);
}

impl Op {
    /// Shows every register and predicate operand to `v`, sources first.
    pub fn visit(&mut self, v: &mut impl Visitor) {
        use Op::*;
        match self {
            Mov32 { d, a } | Mov64 { d, a } => unary(v, d, a),
            MovPred { d, a } => {
                v.source_pred(&mut a.pred);
                v.destination_pred(d);
            }
            Pack16x2 { d, a, b } | Pack32x2 { d, a, b } => binary(v, d, a, b),
            Pack16x4 { d, a } => {
                a.iter_mut().for_each(|a| v.source(a));
                v.destination(d);
            }
            Unpack16x2 { d, a } | Unpack32x2 { d, a } => {
                v.source(a);
                d.iter_mut().for_each(|d| v.destination(d));
            }
            Unpack16x4 { d, a } => {
                v.source(a);
                d.iter_mut().for_each(|d| v.destination(d));
            }
            Special { d, .. } | ActiveMask { d } => v.destination(d),
            IntUnary { d, a, .. }
            | F32Unary { d, a, .. }
            | F64Unary { d, a, .. }
            | HalfUnary { d, a, .. }
            | ExpandBytes { d, a, .. }
            | Cvt { d, a, .. } => unary(v, d, a),
            IntBinary { d, a, b, .. }
            | Bmsk { d, a, b, .. }
            | F32Binary { d, a, b, .. }
            | F64Binary { d, a, b, .. }
            | HalfBinary { d, a, b, .. }
            | CvtBytes { d, a, b, .. }
            | CvtPack { d, a, b, .. } => binary(v, d, a, b),
            IntTernary { d, a, b, c, .. }
            | Lop3 { d, a, b, c, .. }
            | PackIntegers { d, a, b, c, .. }
            | Packed { d, a, b, c, .. }
            | F32Fma { d, a, b, c, .. }
            | F64Fma { d, a, b, c, .. }
            | HalfFma { d, a, b, c, .. } => {
                v.source(c);
                binary(v, d, a, b);
            }
            Bfi { d, a, b, c, e, .. } => {
                v.source(c);
                v.source(e);
                binary(v, d, a, b);
            }
            AddCarry { d, a, b, carry_in, carry_out, .. } => {
                v.source_pred(&mut carry_in.pred);
                binary(v, d, a, b);
                v.destination_pred(carry_out);
            }
            PredLogic { d, a, b, .. } => {
                v.source_pred(&mut a.pred);
                v.source_pred(&mut b.pred);
                v.destination_pred(d);
            }
            TestFloat { d, a, .. } | IsSpace { d, a, .. } => {
                v.source(a);
                v.destination_pred(d);
            }
            Setp { d, complement, a, b, c, .. } => {
                v.source(a);
                v.source(b);
                v.source_pred(&mut c.pred);
                v.destination_pred(d);
                complement.iter_mut().for_each(|q| v.destination_pred(q));
            }
            SetpHalf2 { d, a, b, c, .. } => {
                v.source(a);
                v.source(b);
                v.source_pred(&mut c.pred);
                d.iter_mut().for_each(|d| v.destination_pred(d));
            }
            Selp { d, a, b, p, .. } => {
                v.source_pred(&mut p.pred);
                binary(v, d, a, b);
            }
            _ => self.visit_memory_and_control(v),
        }
    }

    /// The second half of [`Op::visit`]: memory, warp-wide operations and control.
    fn visit_memory_and_control(&mut self, v: &mut impl Visitor) {
        use Op::*;
        match self {
            Load { count, d, address, .. } | LoadMatrix { count, d, address, .. } => {
                v.source(&mut address.base);
                d.iter_mut().take(*count as usize).for_each(|d| v.destination(d));
            }
            Store { count, a, address, .. } | StoreMatrix { count, a, address, .. } => {
                v.source(&mut address.base);
                a.iter_mut().take(*count as usize).for_each(|a| v.source(a));
            }
            Atomic { ty, d, address, b, c, .. } => {
                let registers = ty.registers();
                v.source(&mut address.base);
                b.iter_mut().take(registers).for_each(|b| v.source(b));
                c.iter_mut().take(registers).for_each(|c| v.source(c));
                d.iter_mut().flat_map(|d| d.iter_mut().take(registers)).for_each(|d| v.destination(d));
            }
            Mbarrier(object) => {
                v.source(&mut object.address.base);
                v.source(&mut object.a);
                object.d.iter_mut().for_each(|d| v.destination(d));
                object.p.iter_mut().for_each(|p| v.destination_pred(p));
            }
            Shuffle { d, p, a, b, c, members, .. } => {
                v.source(c);
                v.source(members);
                binary(v, d, a, b);
                p.iter_mut().for_each(|p| v.destination_pred(p));
            }
            Vote { d, p, members, .. } => {
                v.source(members);
                v.source_pred(&mut p.pred);
                v.destination_pred(d);
            }
            Ballot { d, p, members } => {
                v.source(members);
                v.source_pred(&mut p.pred);
                v.destination(d);
            }
            MatchAny { d, a, members, .. } | Redux { d, a, members, .. } => binary(v, d, a, members),
            MatchAll { d, p, a, members, .. } => {
                binary(v, d, a, members);
                p.iter_mut().for_each(|p| v.destination_pred(p));
            }
            Elect { d, p, members } => {
                unary(v, d, members);
                v.destination_pred(p);
            }
            WarpBarrier { members } => v.source(members),
            Barrier { kind, id, count, .. } => {
                v.source(id);
                count.iter_mut().for_each(|c| v.source(c));
                match kind {
                    BarrierKind::Sync | BarrierKind::Arrive => {}
                    BarrierKind::Popc { d, p } => {
                        v.source_pred(&mut p.pred);
                        v.destination(d);
                    }
                    BarrierKind::And { d, p } | BarrierKind::Or { d, p } => {
                        v.source_pred(&mut p.pred);
                        v.destination_pred(d);
                    }
                }
            }
            CopyAsync { to, from, source_bytes, .. } => {
                v.source(&mut to.base);
                v.source(&mut from.base);
                source_bytes.iter_mut().for_each(|b| v.source(b));
            }
            Mma(mma) => {
                let (a, b, c) = mma.shape.registers();
                mma.a.iter_mut().take(a).for_each(|r| v.source(r));
                mma.b.iter_mut().take(b).for_each(|r| v.source(r));
                mma.c.iter_mut().take(c).for_each(|r| v.source(r));
                mma.d.iter_mut().take(c).for_each(|r| v.destination(r));
            }
            MatrixProduct(product) => {
                for operand in [&mut product.a, &mut product.b, &mut product.c] {
                    operand.registers.iter_mut().for_each(|r| v.source(r));
                }
                product.sparsity.iter_mut().for_each(|sparsity| v.source(&mut sparsity.metadata));
                product.d.registers.iter_mut().for_each(|r| v.destination(r));
            }
            QuadPairProduct(product) => {
                let sources = product.a.iter_mut().chain(&mut product.b).chain(&mut product.c);
                sources.for_each(|r| v.source(r));
                product.d.iter_mut().for_each(|r| v.destination(r));
            }
            LoadFragment(access) => {
                v.source(&mut access.address.base);
                v.source(&mut access.stride);
                access.operand.registers.iter_mut().for_each(|r| v.destination(r));
            }
            StoreFragment(access) => {
                v.source(&mut access.address.base);
                v.source(&mut access.stride);
                access.operand.registers.iter_mut().for_each(|r| v.source(r));
            }
            TransposeMatrix { d, a } => unary(v, d, a),
            BranchIndexed { index, .. } => v.source(index),
            CallFunction { target, top, .. } => {
                if let CallTarget::Pointer { pointer, .. } = target {
                    v.source(pointer);
                }
                v.source(top);
            }
            StackAllocate { d, top, a, bytes, .. } => {
                binary(v, d, a, bytes);
                v.destination(top);
            }
            StackRestore { top, a, b } => binary(v, top, a, b),
            Call(Builtin::Printf { d, format, arguments }) => binary(v, d, format, arguments),
            Call(Builtin::Malloc { d, bytes }) => unary(v, d, bytes),
            Call(Builtin::Free { pointer }) => v.source(pointer),
            Call(Builtin::AssertFail { message, file, line, function }) => {
                [message, file, line, function].into_iter().for_each(|r| v.source(r));
            }
            Fence { .. } | CopyCommit | CopyWait { .. } | Branch { .. } | Return | Exit | Trap | Yield => {}
            other => unreachable!("{other:?} belongs to the first half"),
        }
    }
}

fn unary(v: &mut impl Visitor, d: &mut Reg, a: &mut Reg) {
    v.source(a);
    v.destination(d);
}

fn binary(v: &mut impl Visitor, d: &mut Reg, a: &mut Reg, b: &mut Reg) {
    v.source(a);
    v.source(b);
    v.destination(d);
}

/// How an operation takes part in the control flow of its warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Each lane for itself, then the next instruction.
    Plain,
    /// Lanes wait for each other, then the next instruction.
    Meeting,
    /// It decides what is executed next.
    Control,
}

impl Op {
    /// The class of the operation, which every instruction carries so that the executor need not look for it.
    pub fn flow(&self) -> Flow {
        use Op::*;
        match self {
            Shuffle { .. }
            | Vote { .. }
            | Ballot { .. }
            | MatchAny { .. }
            | MatchAll { .. }
            | Redux { .. }
            | Elect { .. }
            | WarpBarrier { .. }
            | Mma(_)
            | MatrixProduct(_)
            | QuadPairProduct(_)
            | LoadFragment(_)
            | StoreFragment(_)
            | TransposeMatrix { .. }
            | LoadMatrix { .. }
            | StoreMatrix { .. } => Flow::Meeting,
            Branch { .. } | BranchIndexed { .. } | CallFunction { .. } | Return | Exit | Yield | Barrier { .. } => {
                Flow::Control
            }
            _ => Flow::Plain,
        }
    }
}
