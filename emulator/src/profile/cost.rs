//! What an operation is on hardware: its class, the unit that executes it, the machine instructions it becomes, and how
//! long its result takes.
//!
//! PTX is not what hardware runs: the assembler drops moves, folds negations and packs, and expands divisions. The
//! number of machine instructions is therefore an estimate, the same for all architectures. Latencies are those of
//! Abdelkhalik et al., "Demystifying the Nvidia Ampere Architecture through Microbenchmarking and Instruction-level
//! Analysis", 2022, arXiv 2208.11174; later architectures differ by a clock or two.

use crate::device::Rates;
use crate::isa::{
    AtomicType, CvtType, Element, FloatBinary, FloatUnary, IntBinary, IntTernary, IntUnary, MatrixProduct, MmaShape,
    Op, Space, Width,
};

/// Kinds of instructions that a profile counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Move,
    Integer,
    Fp32,
    Fp64,
    Half,
    Conversion,
    Special,
    Global,
    Shared,
    Local,
    Parameter,
    Atomic,
    Control,
    Barrier,
    Warp,
    Matrix,
}

/// Names of the classes, in the order of [`Class`].
pub const CLASSES: [&str; 16] = [
    "move",
    "integer",
    "fp32",
    "fp64",
    "half",
    "conversion",
    "special_function",
    "global_memory",
    "shared_memory",
    "local_memory",
    "parameter_memory",
    "atomic",
    "control",
    "barrier",
    "warp",
    "matrix",
];

/// Units of a multiprocessor that instructions wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// The schedulers, which every instruction passes.
    Issue,
    Integer,
    Fp32,
    Fp64,
    Half,
    Special,
    Conversion,
    /// Loads, stores and shuffles: the path to L1 and shared memory.
    Memory,
    Matrix,
}

/// Number of units.
pub const PIPES: usize = 9;
/// Names of the units, in the order of [`Pipe`].
pub const PIPE_NAMES: [&str; PIPES] =
    ["issue", "integer", "fp32", "fp64", "half", "special function", "conversion", "shared memory", "matrix"];

/// One execution of an operation by a warp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    pub class: Class,
    pub pipe: Pipe,
    /// Machine instructions.
    pub slots: f32,
    /// Clocks until the result can be used; of memory accesses without what depends on the address.
    pub latency: f32,
    /// Of a matrix product.
    pub macs: u32,
    pub rate: Rate,
}

impl Cost {
    const fn new(class: Class, pipe: Pipe, slots: f32, latency: f32) -> Cost {
        Cost { class, pipe, slots, latency, macs: 0, rate: Rate::Half }
    }

    /// Clocks for which the operation keeps its unit. Memory accesses keep theirs for as long as their wavefronts take,
    /// which only their addresses tell.
    pub fn clocks(&self, rates: &Rates) -> f64 {
        let lanes = match self.pipe {
            Pipe::Issue | Pipe::Memory => return 0.0,
            Pipe::Matrix => return f64::from(self.macs) / self.rate.macs(rates),
            Pipe::Integer => rates.int32_lanes,
            Pipe::Fp32 => rates.fp32_lanes,
            Pipe::Fp64 => rates.fp64_lanes,
            // Packed pairs: two results a lane.
            Pipe::Half => rates.half_lanes / 2.0,
            Pipe::Special => rates.special_lanes,
            Pipe::Conversion => rates.convert_lanes,
        };
        f64::from(self.slots) * 32.0 / lanes
    }
}

const FREE: Cost = Cost::new(Class::Move, Pipe::Issue, 0.0, 0.0);
const INTEGER: Cost = Cost::new(Class::Integer, Pipe::Integer, 1.0, 4.0);
const FP32: Cost = Cost::new(Class::Fp32, Pipe::Fp32, 1.0, 4.0);
const FP64: Cost = Cost::new(Class::Fp64, Pipe::Fp64, 1.0, 8.0);
const HALF: Cost = Cost::new(Class::Half, Pipe::Half, 1.0, 5.0);
const SPECIAL: Cost = Cost::new(Class::Special, Pipe::Special, 1.0, 18.0);
const CONVERSION: Cost = Cost::new(Class::Conversion, Pipe::Conversion, 1.0, 10.0);
const WARP: Cost = Cost::new(Class::Warp, Pipe::Issue, 1.0, 12.0);
const CONTROL: Cost = Cost::new(Class::Control, Pipe::Issue, 1.0, 10.0);

impl Cost {
    const fn times(self, slots: f32) -> Cost {
        Cost { slots, latency: self.latency + 2.0 * (slots - 1.0), ..self }
    }

    const fn wide(self, width: Width) -> Cost {
        match width {
            Width::W64 => self.times(2.0),
            Width::W16 | Width::W32 => self,
        }
    }
}

/// What `op` costs.
pub fn of(op: &Op) -> Cost {
    match op {
        Op::Mov32 { .. } | Op::Mov64 { .. } | Op::MovPred { .. } => FREE,
        Op::Pack32x2 { .. } | Op::Unpack32x2 { .. } | Op::Unpack16x2 { .. } | Op::Unpack16x4 { .. } => FREE,
        Op::Pack16x2 { .. } => INTEGER,
        Op::Pack16x4 { .. } => INTEGER.times(2.0),
        Op::Special { .. } => Cost::new(Class::Move, Pipe::Issue, 1.0, 20.0),
        Op::IntUnary { op, width, .. } => integer_unary(*op).wide(*width),
        Op::IntBinary { op, width, .. } => integer_binary(*op, *width),
        Op::IntTernary { op, width, .. } => integer_ternary(*op, *width),
        Op::Lop3 { .. } | Op::Bmsk { .. } | Op::PredLogic { .. } | Op::TestFloat { .. } => INTEGER,
        Op::IsSpace { .. } | Op::Bfi { .. } => INTEGER.times(2.0),
        Op::AddCarry { width, .. } | Op::Selp { width, .. } => INTEGER.wide(*width),
        Op::F32Unary { op, mode, .. } => float_unary(*op, mode.flush, FP32),
        Op::F32Binary { op, .. } => float_binary(*op, FP32),
        Op::F32Fma { .. } => FP32,
        Op::F64Unary { op, .. } => double_unary(*op),
        Op::F64Binary { op: FloatBinary::Div, .. } => FP64.times(20.0),
        Op::F64Binary { .. } | Op::F64Fma { .. } => FP64,
        Op::HalfUnary { op, .. } => float_unary(*op, true, HALF),
        Op::HalfBinary { op, .. } => float_binary(*op, HALF),
        Op::HalfFma { .. } | Op::SetpHalf2 { .. } => HALF,
        Op::Cvt { cvt, .. } => conversion(cvt.from, cvt.to),
        Op::CvtPack { .. } | Op::CvtBytes { .. } | Op::ExpandBytes { .. } => Cost { class: Class::Conversion, ..HALF },
        Op::PackIntegers { .. } => CONVERSION,
        Op::Packed { .. } => INTEGER.times(2.0),
        Op::Setp { ty, .. } => {
            use crate::isa::CompareType::{F64, S64, U64};
            INTEGER.wide(if matches!(ty, U64 | S64 | F64) { Width::W64 } else { Width::W32 })
        }
        _ => memory_or_control(op),
    }
}

fn memory_or_control(op: &Op) -> Cost {
    let memory = |class| Cost::new(class, Pipe::Memory, 1.0, 0.0);
    let space = |space| match space {
        Space::Shared => Class::Shared,
        Space::Local => Class::Local,
        Space::Param => Class::Parameter,
        Space::Global | Space::Generic => Class::Global,
    };
    match op {
        // Parameters are operands of machine instructions.
        Op::Load { space: Space::Param, .. } => Cost { class: Class::Parameter, ..FREE },
        Op::Load { space: at, .. } | Op::Store { space: at, .. } => memory(space(*at)),
        Op::Atomic { .. } | Op::Mbarrier(_) => memory(Class::Atomic),
        Op::LoadMatrix { .. } | Op::StoreMatrix { .. } => memory(Class::Shared),
        Op::LoadFragment(access) | Op::StoreFragment(access) => {
            Cost { slots: access.operand.registers.len() as f32, ..memory(space(access.space)) }
        }
        Op::TransposeMatrix { .. } => Cost { class: Class::Warp, ..WARP },
        Op::CopyAsync { .. } => memory(Class::Global),
        Op::Shuffle { .. } => Cost::new(Class::Warp, Pipe::Memory, 1.0, 24.0),
        Op::Redux { .. } => Cost { class: Class::Warp, ..SPECIAL },
        Op::MatchAny { .. } | Op::MatchAll { .. } => WARP.times(8.0),
        Op::Vote { .. } | Op::Ballot { .. } | Op::ActiveMask { .. } | Op::Elect { .. } | Op::WarpBarrier { .. } => WARP,
        Op::Barrier { .. } => Cost::new(Class::Barrier, Pipe::Issue, 1.0, 24.0),
        Op::Mma(mma) => matrix(macs(mma.shape), if sums_halves(mma.shape) { Rate::HalfSums } else { Rate::Half }),
        Op::MatrixProduct(product) => {
            let (a, b) = (product.a.fragment, product.b.fragment);
            matrix(a.rows * a.columns * b.rows, Rate::of(a.element, product.c.fragment.element))
        }
        // Made for compute capability 7.0; later devices run it beside their matrix units.
        Op::QuadPairProduct(_) => Cost { class: Class::Matrix, ..FP32.times(32.0) },
        Op::BranchIndexed { .. } => CONTROL.times(4.0),
        Op::StackAllocate { .. } => INTEGER.times(3.0),
        Op::StackRestore { .. } => INTEGER,
        Op::Call(_) => CONTROL.times(50.0),
        _ => CONTROL,
    }
}

fn integer_unary(op: IntUnary) -> Cost {
    match op {
        IntUnary::Neg | IntUnary::Not => Cost { slots: 0.5, ..INTEGER },
        IntUnary::Abs | IntUnary::Cnot => INTEGER,
        _ => Cost { class: Class::Integer, ..SPECIAL },
    }
}

fn integer_binary(op: IntBinary, width: Width) -> Cost {
    use IntBinary::*;
    match (op, width) {
        (DivU | DivS | RemU | RemS, Width::W64) => INTEGER.times(80.0),
        (DivU | DivS | RemU | RemS, _) => INTEGER.times(18.0),
        (MulLo | MulHiU | MulHiS | MulWideU | MulWideS, Width::W64) => INTEGER.times(4.0),
        (MulLo | MulHiU | MulHiS | MulWideU | MulWideS, _) => INTEGER,
        _ => INTEGER.wide(width),
    }
}

fn integer_ternary(op: IntTernary, width: Width) -> Cost {
    use IntTernary::*;
    match (op, width) {
        (MadLo | MadHiU | MadHiS | MadWideU | MadWideS, Width::W64) => INTEGER.times(4.0),
        (BfeU | BfeS, _) => INTEGER.times(2.0),
        _ => INTEGER.wide(width),
    }
}

/// An approximation is one instruction where subnormals count as zero; otherwise its argument is scaled before and its
/// result after.
fn float_unary(op: FloatUnary, flush: bool, plain: Cost) -> Cost {
    match op {
        FloatUnary::Neg | FloatUnary::Abs => Cost { slots: 0.0, latency: 0.0, ..plain },
        FloatUnary::Sin | FloatUnary::Cos | FloatUnary::Tanh => SPECIAL,
        _ if flush => SPECIAL,
        _ => Cost { latency: 26.0, ..SPECIAL },
    }
}

fn float_binary(op: FloatBinary, plain: Cost) -> Cost {
    match op {
        FloatBinary::Add | FloatBinary::Sub | FloatBinary::Mul => plain,
        FloatBinary::Div => plain.times(10.0),
        // Minima, maxima and bit operations run beside the integers.
        FloatBinary::Min | FloatBinary::Max | FloatBinary::MinNan | FloatBinary::MaxNan | FloatBinary::Copysign => {
            Cost { pipe: Pipe::Integer, ..plain }
        }
    }
}

fn double_unary(op: FloatUnary) -> Cost {
    match op {
        FloatUnary::Neg | FloatUnary::Abs => Cost { slots: 0.0, latency: 0.0, ..FP64 },
        _ => FP64.times(16.0),
    }
}

fn conversion(from: CvtType, to: CvtType) -> Cost {
    match (from.is_float(), to.is_float()) {
        // Half to single is an addition of zero; single to half packs.
        (true, true) if from != CvtType::F64 && to != CvtType::F64 => Cost { class: Class::Conversion, ..HALF },
        (false, false) => Cost { class: Class::Conversion, slots: 0.5, ..INTEGER },
        _ => CONVERSION,
    }
}

/// At which rate matrix products are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Half,
    HalfSums,
    Tf32,
    Int8,
    Fp64,
}

impl Rate {
    fn of(factor: Element, sum: Element) -> Rate {
        match (factor, sum) {
            (Element::F64, _) => Rate::Fp64,
            (Element::Tf32 | Element::F32, _) => Rate::Tf32,
            (Element::F16, Element::F16) => Rate::HalfSums,
            (Element::F16 | Element::Bf16, _) => Rate::Half,
            _ => Rate::Int8,
        }
    }

    /// Multiply-accumulates a clock.
    fn macs(self, rates: &Rates) -> f64 {
        match self {
            Rate::Half => rates.half_macs * rates.matrix_sync_share,
            Rate::HalfSums => rates.half_sum_macs * rates.matrix_sync_share,
            Rate::Tf32 => rates.tf32_macs * rates.matrix_sync_share,
            Rate::Int8 => rates.int8_macs * rates.matrix_sync_share,
            Rate::Fp64 => 2.0 * rates.fp64_lanes,
        }
    }
}

fn sums_halves(shape: MmaShape) -> bool {
    matches!(shape, MmaShape::M16N8K16F16F16 | MmaShape::M16N8K8F16F16)
}

fn matrix(macs: u32, rate: Rate) -> Cost {
    let latency = if macs >= 16 * 8 * 16 { 33.0 } else { 18.0 };
    Cost { macs, rate, ..Cost::new(Class::Matrix, Pipe::Matrix, 1.0, latency) }
}

/// Multiply-accumulates of one matrix product.
pub fn macs(shape: MmaShape) -> u32 {
    let (a, _, _) = shape.registers();
    // 16 rows; A's registers hold two 16-bit elements in each of 32 lanes.
    16 * 8 * (a as u32 * 2 * 32 / 16)
}

/// `m16n8k16.f32.f16`: shape, type of the sums, type of the factors.
pub fn shape_name(shape: MmaShape) -> &'static str {
    match shape {
        MmaShape::M16N8K16F16F32 => "m16n8k16.f32.f16",
        MmaShape::M16N8K8F16F32 => "m16n8k8.f32.f16",
        MmaShape::M16N8K16F16F16 => "m16n8k16.f16.f16",
        MmaShape::M16N8K8F16F16 => "m16n8k8.f16.f16",
        MmaShape::M16N8K16Bf16F32 => "m16n8k16.f32.bf16",
        MmaShape::M16N8K8Bf16F32 => "m16n8k8.f32.bf16",
    }
}

/// The name of a product of any element types, as [`shape_name`].
pub fn product_name(product: &MatrixProduct) -> String {
    let (a, b, sums) = (product.a.fragment, product.b.fragment, product.c.fragment);
    let sparse = if product.sparsity.is_some() { "sp." } else { "" };
    format!("{sparse}m{}n{}k{}.{:?}.{:?}", a.rows, b.rows, b.columns, sums.element, a.element).to_lowercase()
}

/// Lanes that an atomic in shared memory serves at once: additions and comparisons of words are native, floating-point
/// ones loop over compare and exchange.
pub fn atomic_passes(ty: AtomicType) -> u64 {
    match ty {
        AtomicType::U32 | AtomicType::S32 | AtomicType::U64 | AtomicType::S64 | AtomicType::B16 => 1,
        _ => 3,
    }
}
