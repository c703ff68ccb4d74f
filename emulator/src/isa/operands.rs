//! What operations are made of: registers, predicates, types, modes.

/// A register operand: a virtual register during lowering, a slot of the warp's file afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

impl Reg {
    const BANK: u32 = 1 << 31;

    /// Slot `index` of the launch's read-only bank.
    pub fn bank(index: u32) -> Reg {
        Reg(index | Self::BANK)
    }

    /// The bank slot, or `None` for a register of the warp.
    #[inline(always)]
    pub fn bank_index(self) -> Option<u32> {
        if self.0 & Self::BANK != 0 { Some(self.0 & !Self::BANK) } else { None }
    }
}

/// A predicate register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pred(pub u32);

impl Pred {
    /// The predicate that is always true and is never written.
    pub const TRUE: Pred = Pred(0);
}

/// A predicate as a source: the register, complemented where `negate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredSource {
    pub pred: Pred,
    pub negate: bool,
}

impl PredSource {
    pub const TRUE: PredSource = PredSource { pred: Pred::TRUE, negate: false };
    pub const FALSE: PredSource = PredSource { pred: Pred::TRUE, negate: true };

    pub fn of(pred: Pred) -> Self {
        PredSource { pred, negate: false }
    }

    pub fn complement(self) -> Self {
        PredSource { negate: !self.negate, ..self }
    }
}

/// Bits of a register operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    W16,
    W32,
    W64,
}

impl Width {
    pub fn bytes(self) -> u32 {
        match self {
            Width::W16 => 2,
            Width::W32 => 4,
            Width::W64 => 8,
        }
    }
}

/// What a bank slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankEntry {
    Const32(u32),
    /// Two slots.
    Const64(u64),
    /// A kernel parameter's value: two slots where `kind.width` is 64 bits.
    Param {
        offset: u32,
        kind: MemoryKind,
    },
    /// A special register that is the same for the whole launch.
    Launch(LaunchSpecial),
    /// `%gridid` in 64 bits: two slots.
    GridNumber,
}

/// Special registers that a launch fixes; the axis is 0, 1, 2 for x, y, z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaunchSpecial {
    BlockSize(u8),
    GridSize(u8),
    /// Warps that a multiprocessor holds.
    WarpsPerMultiprocessor,
    Multiprocessors,
    /// A register that the driver sets: `%envreg0` and so on.
    Environment(u8),
    /// Counts launches.
    GridNumber,
    DynamicSharedBytes,
    /// Without what the system reserves.
    TotalSharedBytes,
    /// With it.
    AggregateSharedBytes,
    /// So many bytes into the shared memory that the system reserves.
    ReservedShared(u32),
}

/// Special registers that differ from block to block, warp to warp or lane to lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    Thread(u8),
    Block(u8),
    Lane,
    Warp,
    Multiprocessor,
    LaneMaskEq,
    LaneMaskLt,
    LaneMaskLe,
    LaneMaskGt,
    LaneMaskGe,
    Clock,
    ClockHigh,
    /// 64 bits.
    Clock64,
    /// 64 bits, nanoseconds.
    GlobalTimer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntUnary {
    Not,
    Neg,
    Abs,
    /// Logical negation: 1 for zero.
    Cnot,
    Clz,
    Popc,
    Brev,
    /// Position of the highest set bit.
    BfindU,
    BfindS,
    /// Shift that would bring it to the top.
    BfindShiftU,
    BfindShiftS,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntBinary {
    Add,
    Sub,
    AddSatS,
    SubSatS,
    MulLo,
    MulHiU,
    MulHiS,
    /// Sources of the width, destination twice as wide.
    MulWideU,
    MulWideS,
    DivU,
    DivS,
    RemU,
    RemS,
    MinU,
    MinS,
    MaxU,
    MaxS,
    And,
    Or,
    Xor,
    /// The shift count is 32 bits wide and clamps.
    Shl,
    ShrU,
    ShrS,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntTernary {
    MadLo,
    MadHiU,
    MadHiS,
    /// Factors of the width; addend and destination twice as wide.
    MadWideU,
    MadWideS,
    /// 24-bit factors.
    Mad24LoU,
    Mad24LoS,
    SadU,
    SadS,
    /// Field of `a` at position `b`, length `c`.
    BfeU,
    BfeS,
    /// Funnel shift of the pair (`b`:`a`) by `c`.
    ShfLeftWrap,
    ShfLeftClamp,
    ShfRightWrap,
    ShfRightClamp,
    /// The bytes of (`b`:`a`) chosen by `c`.
    Prmt,
    PrmtF4e,
    PrmtB4e,
    PrmtRc8,
    PrmtEcl,
    PrmtEcr,
    PrmtRc16,
    Dp4aUU,
    Dp4aUS,
    Dp4aSU,
    Dp4aSS,
    /// The halves of `a` times the two lower bytes of `b`.
    Dp2aUU,
    Dp2aUS,
    Dp2aSU,
    Dp2aSS,
    /// Bits 16 to 47 of the product of 24-bit factors.
    Mad24HiU,
    Mad24HiS,
    /// The position in `a` of the set bit that is number `c`, counted from `b`; all ones where there is none.
    Fns,
}

/// What is done with the parts of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedOp {
    Add,
    Sub,
    /// Half of the sum, rounded away from zero.
    Average,
    /// Magnitude of the difference.
    Difference,
    Min,
    Max,
    /// 1 or 0.
    Compare(Comparison),
}

/// An operation on 16-bit or 8-bit parts of 32-bit registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    pub op: PackedOp,
    /// Of a part: 8 or 16.
    pub bits: u8,
    /// Whether the parts of each operand have a sign.
    pub signed: [bool; 2],
    pub signed_result: bool,
    /// Results are clamped to the range of a part.
    pub saturate: bool,
    /// The results are added to a third operand.
    pub accumulate: bool,
    /// Negative results become zero.
    pub relu: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    Nearest,
    Zero,
    Down,
    Up,
}

/// Modifiers of a floating-point operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatMode {
    pub rounding: Rounding,
    /// Subnormal inputs and results count as zero of the same sign.
    pub flush: bool,
    /// The result is clamped to [0, 1], NaN becomes 0.
    pub saturate: bool,
}

impl FloatMode {
    pub const PLAIN: FloatMode = FloatMode { rounding: Rounding::Nearest, flush: false, saturate: false };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatUnary {
    Neg,
    Abs,
    Sqrt,
    Rcp,
    Rsqrt,
    Sin,
    Cos,
    Ex2,
    Lg2,
    Tanh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatBinary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    /// NaN in, NaN out.
    MinNan,
    MaxNan,
    /// Magnitude of the second operand, sign of the first.
    Copysign,
}

/// Formats of 16-bit arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HalfFormat {
    F16,
    Bf16,
}

/// 16-bit arithmetic on one value, or on both halves of a 32-bit register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfKind {
    pub format: HalfFormat,
    pub packed: bool,
    /// Negative results become zero (`.relu`).
    pub relu: bool,
}

/// Types that comparisons distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareType {
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F32,
    F64,
    F16,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// The unordered forms are true where either operand is NaN.
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    /// Both are numbers.
    Num,
    /// Either is NaN.
    Nan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoolOp {
    And,
    Or,
    Xor,
}

/// Classes of a floating-point value that `testp` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatClass {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

/// One end of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CvtType {
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F16,
    Bf16,
    Tf32,
    F32,
    F64,
}

impl CvtType {
    pub fn is_float(self) -> bool {
        matches!(self, CvtType::F16 | CvtType::Bf16 | CvtType::Tf32 | CvtType::F32 | CvtType::F64)
    }
}

/// A conversion of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cvt {
    pub from: CvtType,
    pub to: CvtType,
    /// Width of the source register, which may exceed the type's.
    pub source: Width,
    /// Width of the destination register: narrower results are extended to it.
    pub destination: Width,
    pub rounding: Rounding,
    /// Float to float of the same type: round to an integral value.
    pub integral: bool,
    /// Nearest with ties away from zero; for tf32.
    pub ties_away: bool,
    pub flush: bool,
    /// Floats into [0, 1], integers into their range.
    pub saturate: bool,
    /// What is too large becomes the largest finite number.
    pub finite: bool,
    pub relu: bool,
}

/// Formats of 8-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteFormat {
    /// 4 exponent bits; the largest number is 448.
    E4m3,
    /// 5 exponent bits; the largest finite number is 57,344.
    E5m2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Global,
    Shared,
    Local,
    /// The kernel's parameter block.
    Param,
    Generic,
}

/// How one element moves between memory and a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryKind {
    /// 1, 2, 4 or 8.
    pub bytes: u8,
    /// Loads extend the sign to the register's width.
    pub signed: bool,
    pub width: Width,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicOp {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareExchange,
    /// Increment, wrapping to 0 past the operand.
    Inc,
    /// Decrement, wrapping to the operand below 0.
    Dec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicType {
    U32,
    S32,
    U64,
    S64,
    B16,
    F32,
    F64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    /// Exchanged, or compared and exchanged.
    B128,
}

impl AtomicType {
    /// Registers of each operand.
    pub fn registers(self) -> usize {
        if self == AtomicType::B128 { 2 } else { 1 }
    }

    pub fn bytes(self) -> u32 {
        match self {
            AtomicType::B16 | AtomicType::F16 | AtomicType::Bf16 => 2,
            AtomicType::U32 | AtomicType::S32 | AtomicType::F32 | AtomicType::F16x2 | AtomicType::Bf16x2 => 4,
            AtomicType::U64 | AtomicType::S64 | AtomicType::F64 => 8,
            AtomicType::B128 => 16,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteMode {
    All,
    Any,
    Uniform,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduxOp {
    Add,
    MinU,
    MinS,
    MaxU,
    MaxS,
    And,
    Or,
    Xor,
}

/// What a block barrier delivers to the threads it releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierKind {
    Sync,
    /// Counts and goes on.
    Arrive,
    /// Number of threads whose predicate holds.
    Popc {
        d: Reg,
        p: PredSource,
    },
    And {
        d: Pred,
        p: PredSource,
    },
    Or {
        d: Pred,
        p: PredSource,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmaShape {
    /// fp16 x fp16 with fp32 accumulators; A in 4 registers, B in 2.
    M16N8K16F16F32,
    /// fp16 x fp16 with fp32 accumulators; A in 2 registers, B in 1.
    M16N8K8F16F32,
    /// fp16 accumulators in 2 registers.
    M16N8K16F16F16,
    M16N8K8F16F16,
    M16N8K16Bf16F32,
    M16N8K8Bf16F32,
}

/// Rooms for widened fragments of A.
pub const A_ROOMS: usize = 8;
/// Rooms for widened fragments of B.
pub const B_ROOMS: usize = 16;

impl MmaShape {
    /// Format of A and B.
    pub fn format(self) -> HalfFormat {
        match self {
            MmaShape::M16N8K16Bf16F32 | MmaShape::M16N8K8Bf16F32 => HalfFormat::Bf16,
            MmaShape::M16N8K16F16F32 | MmaShape::M16N8K8F16F32 | MmaShape::M16N8K16F16F16 | MmaShape::M16N8K8F16F16 => {
                HalfFormat::F16
            }
        }
    }

    /// Registers of A, of B, of the accumulator.
    pub fn registers(self) -> (usize, usize, usize) {
        match self {
            MmaShape::M16N8K16F16F32 | MmaShape::M16N8K16Bf16F32 => (4, 2, 4),
            MmaShape::M16N8K8F16F32 | MmaShape::M16N8K8Bf16F32 => (2, 1, 4),
            MmaShape::M16N8K16F16F16 => (4, 2, 2),
            MmaShape::M16N8K8F16F16 => (2, 1, 2),
        }
    }
}

/// Where a widened fragment is kept between products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub index: u8,
    /// An earlier product of the same straight line filled the room from registers that still hold the same.
    pub filled: bool,
}

/// Operands of a warp-wide matrix product `d = a * b + c`; entries past the shape's counts repeat the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mma {
    pub a_room: Room,
    pub b_room: Room,
    /// Results of the upper rows do not lie where addends of the lower rows do.
    pub in_place: bool,
    /// Products that may be executed at once: this one and those right behind it.
    pub run: u8,
    /// The next product of the run shares A and depends on nothing of this one: they may be interleaved.
    pub paired: bool,
    pub shape: MmaShape,
    pub d: [Reg; 4],
    pub a: [Reg; 4],
    pub b: [Reg; 2],
    pub c: [Reg; 4],
}

/// An address: a register (64 bits where `wide`) plus bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub base: Reg,
    pub wide: bool,
    pub offset: i32,
}

/// Host functions that device code calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `vprintf(format, arguments)`: the number printed.
    Printf { d: Reg, format: Reg, arguments: Reg },
    /// `__assertfail(message, file, line, function, char_size)`
    AssertFail { message: Reg, file: Reg, line: Reg, function: Reg },
    /// `malloc(bytes)`: an address in the device's heap, 0 where there is no room.
    Malloc { d: Reg, bytes: Reg },
    /// `free(pointer)`
    Free { pointer: Reg },
}

/// What a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// The number of a function of the program.
    Function(u32),
    /// The function whose address is in the register; its returns and parameters take `area_bytes`.
    Pointer { pointer: Reg, area_bytes: u32 },
}

/// Registers of a warp's file, by class: a caller's that are needed when a call returns, or those that a function may read
/// before it writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterSet {
    /// Of up to 32 bits.
    pub singles: Vec<Reg>,
    /// Of 64 bits.
    pub pairs: Vec<Reg>,
    pub predicates: Vec<Pred>,
}
