//! Arithmetic on fp32 and fp64, and comparisons of every type.
//!
//! `add`, `sub`, `mul`, `fma`, `div`, `rcp` and `sqrt` are rounded as the instruction says, once. The `approx` forms
//! of `div`, `rcp`, `sqrt`, `rsqrt`, `sin`, `cos`, `ex2`, `lg2` and `tanh` are computed in fp64 and rounded to nearest:
//! within 0.5001 units in the last place, where hardware allows itself 1 to 2 (and 2^-20.5 to 2^-22 absolute for the
//! trigonometric ones). NaN results are the canonical 0x7fffffff.

use super::directed;
use super::half::CANONICAL_NAN_F32;
use super::lanes::{File, Lanewise, bits, per_level};
use super::math;
use crate::isa::{CompareType, Comparison, FloatBinary, FloatClass, FloatMode, FloatUnary, Reg, Rounding};

/// Subnormals to zero of the same sign, where `flush`.
#[inline(always)]
pub(super) fn flushed(bits: u32, flush: bool) -> u32 {
    if flush && bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// Subnormals to zero of the same sign.
#[inline(always)]
fn flush(bits: u32) -> u32 {
    flushed(bits, true)
}

#[inline(always)]
fn flush_result(x: f32) -> u32 {
    flush(canonical(x))
}

#[inline(always)]
fn canonical(x: f32) -> u32 {
    if x.is_nan() { CANONICAL_NAN_F32 } else { x.to_bits() }
}

/// What a result still goes through.
#[inline(always)]
fn finish(x: f32, mode: FloatMode) -> u32 {
    let bits = flushed(canonical(x), mode.flush);
    if mode.saturate {
        let x = f32::from_bits(bits);
        return if x > 0.0 { x.min(1.0).to_bits() } else { 0 };
    }
    bits
}

#[inline(always)]
fn input(bits: u32, mode: FloatMode) -> f32 {
    f32::from_bits(flushed(bits, mode.flush))
}

#[inline(always)]
fn float(bits: u32) -> f32 {
    f32::from_bits(bits)
}

/// `x` rounded to fp32 in the direction of `rounding`. `x` must hold the exact value, or have been rounded to odd.
#[inline(always)]
pub(super) fn round_f64(x: f64, rounding: Rounding) -> f32 {
    let nearest = x as f32;
    let error = x - f64::from(nearest);
    let towards_zero = if x > 0.0 { error < 0.0 } else { error > 0.0 };
    match rounding {
        Rounding::Nearest => nearest,
        Rounding::Zero if towards_zero => {
            if x > 0.0 {
                nearest.next_down()
            } else {
                nearest.next_up()
            }
        }
        Rounding::Down if error < 0.0 => nearest.next_down(),
        Rounding::Up if error > 0.0 => nearest.next_up(),
        _ => nearest,
    }
}

/// `a + b`, rounded to odd: the last bit of an inexact sum is set, so that a second rounding sees it.
#[inline(always)]
pub(super) fn add_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    let even = sum.to_bits() & 1 == 0;
    if error != 0.0 && error.is_finite() && even {
        // Towards the error's side, to the neighbour whose last bit is set.
        let away = (error > 0.0) == (sum > 0.0);
        f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
    } else {
        sum
    }
}

/// Rounds towards +-infinity exactly: a sum of zeros has the sign of the rounding.
#[inline(always)]
fn add_rounded(a: f64, b: f64, rounding: Rounding) -> f32 {
    let sum = add_to_odd(a, b);
    if sum == 0.0 && rounding == Rounding::Down && a != 0.0 {
        return -0.0;
    }
    round_f64(sum, rounding)
}

per_level! {
    /// `d = op a` in fp32.
    pub(super) fn unary(file: &mut File, mask: u32, op: FloatUnary, mode: FloatMode, d: Reg, a: Reg) {
        match op {
            FloatUnary::Neg => file.map1(mask, d, [a], |a| flushed(a, mode.flush) ^ 0x8000_0000),
            FloatUnary::Abs => file.map1(mask, d, [a], |a| flushed(a, mode.flush) & 0x7fff_ffff),
            FloatUnary::Rcp if mode.rounding == Rounding::Nearest => {
                file.map1(mask, d, [a], |a| finish(1.0 / input(a, mode), mode));
            }
            FloatUnary::Sqrt if mode.rounding == Rounding::Nearest => {
                file.map1(mask, d, [a], |a| finish(input(a, mode).sqrt(), mode));
            }
            FloatUnary::Sqrt => file.each1(mask, d, [a], &|a| finish(sqrt(input(a, mode), mode), mode)),
            FloatUnary::Rcp => file.each1(mask, d, [a], &|a| finish(divide(1.0, input(a, mode), mode), mode)),
            FloatUnary::Rsqrt => file.map1(mask, d, [a], |a| finish(rsqrt(input(a, mode)), mode)),
            FloatUnary::Ex2 => file.map1(mask, d, [a], |a| finish(math::exp2(input(a, mode)), mode)),
            FloatUnary::Lg2 => file.map1(mask, d, [a], |a| finish(math::log2(input(a, mode)), mode)),
            FloatUnary::Sin | FloatUnary::Cos if file.get(a).iter().any(|a| math::is_large_angle(float(*a))) => {
                let f = if op == FloatUnary::Sin { math::sin_any } else { math::cos_any };
                file.each1(mask, d, [a], &|a| finish(f(input(a, mode)), mode));
            }
            FloatUnary::Sin => file.map1(mask, d, [a], |a| finish(math::sin(input(a, mode)), mode)),
            FloatUnary::Cos => file.map1(mask, d, [a], |a| finish(math::cos(input(a, mode)), mode)),
            FloatUnary::Tanh => file.map1(mask, d, [a], |a| finish(math::tanh(input(a, mode)), mode)),
        }
    }
}

#[inline(always)]
fn sqrt(x: f32, mode: FloatMode) -> f32 {
    if mode.rounding == Rounding::Nearest {
        return x.sqrt();
    }
    // The root of an fp32 number is exact in fp64 or so far from fp32 boundaries that one more rounding is safe.
    round_f64(f64::from(x).sqrt(), mode.rounding)
}

#[inline(always)]
fn divide(a: f32, b: f32, mode: FloatMode) -> f32 {
    if mode.rounding == Rounding::Nearest {
        return a / b;
    }
    // As for the root: a quotient of fp32 numbers is representable or far from a boundary.
    round_f64(f64::from(a) / f64::from(b), mode.rounding)
}

#[inline(always)]
fn rsqrt(x: f32) -> f32 {
    (1.0 / f64::from(x).sqrt()) as f32
}

#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        b
    } else if b.is_nan() {
        a
    } else if a == b {
        f32::from_bits(a.to_bits() | b.to_bits())
    } else if a < b {
        a
    } else {
        b
    }
}

#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        b
    } else if b.is_nan() {
        a
    } else if a == b {
        f32::from_bits(a.to_bits() & b.to_bits())
    } else if a > b {
        a
    } else {
        b
    }
}

/// The fp32 operation on values; shared by the 16-bit formats, whose sums and products it gives before rounding.
#[inline(always)]
pub(super) fn apply(op: FloatBinary, a: f32, b: f32, mode: FloatMode) -> f32 {
    let nearest = mode.rounding == Rounding::Nearest;
    match op {
        FloatBinary::Add if nearest => a + b,
        FloatBinary::Sub if nearest => a - b,
        FloatBinary::Mul if nearest => a * b,
        FloatBinary::Add => add_rounded(a.into(), b.into(), mode.rounding),
        FloatBinary::Sub => add_rounded(a.into(), (-b).into(), mode.rounding),
        FloatBinary::Mul => round_f64(f64::from(a) * f64::from(b), mode.rounding),
        FloatBinary::Div => divide(a, b, mode),
        FloatBinary::Min => lesser(a, b),
        FloatBinary::Max => greater(a, b),
        FloatBinary::MinNan => {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                lesser(a, b)
            }
        }
        FloatBinary::MaxNan => {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                greater(a, b)
            }
        }
        FloatBinary::Copysign => b.copysign(a),
    }
}

per_level! {
    /// `d = a op b` in fp32.
    pub(super) fn binary(file: &mut File, mask: u32, op: FloatBinary, mode: FloatMode, d: Reg, a: Reg, b: Reg) {
        use FloatBinary::*;
        let s = [a, b];
        let flushes = mode == FloatMode { flush: true, ..FloatMode::PLAIN };
        match op {
            Add if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(float(a) + float(b))),
            Sub if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(float(a) - float(b))),
            Mul if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(float(a) * float(b))),
            Div if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(float(a) / float(b))),
            Min if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(lesser(float(a), float(b)))),
            Max if mode == FloatMode::PLAIN => file.map2(mask, d, s, |a, b| canonical(greater(float(a), float(b)))),
            Add if flushes => file.map2(mask, d, s, |a, b| flush_result(float(flush(a)) + float(flush(b)))),
            Sub if flushes => file.map2(mask, d, s, |a, b| flush_result(float(flush(a)) - float(flush(b)))),
            Mul if flushes => file.map2(mask, d, s, |a, b| flush_result(float(flush(a)) * float(flush(b)))),
            Copysign => file.each2(mask, d, s, &|a, b| a & 0x8000_0000 | b & 0x7fff_ffff),
            _ => file.each2(mask, d, s, &|a, b| finish(apply(op, input(a, mode), input(b, mode), mode), mode)),
        }
    }
}

per_level! {
    /// `d = a * b + c` in fp32 with one rounding.
    pub(super) fn fma(file: &mut File, mask: u32, mode: FloatMode, d: Reg, sources: [Reg; 3]) {
        if mode == FloatMode::PLAIN {
            file.map3(mask, d, sources, |a, b, c| canonical(float(a).mul_add(float(b), float(c))));
        } else if mode == (FloatMode { flush: true, ..FloatMode::PLAIN }) {
            file.map3(mask, d, sources, |a, b, c| {
                flush_result(float(flush(a)).mul_add(float(flush(b)), float(flush(c))))
            });
        } else {
            file.each3(mask, d, sources, &|a, b, c| {
                let (a, b, c) = (input(a, mode), input(b, mode), input(c, mode));
                let result = match mode.rounding {
                    Rounding::Nearest => a.mul_add(b, c),
                    rounding => add_rounded(f64::from(a) * f64::from(b), c.into(), rounding),
                };
                finish(result, mode)
            });
        }
    }
}

#[inline(always)]
fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}

per_level! {
    /// `d = op a` in fp64.
    pub(super) fn unary_f64(file: &mut File, mask: u32, op: FloatUnary, rounding: Rounding, d: Reg, a: Reg) {
        match op {
            FloatUnary::Sqrt if rounding != Rounding::Nearest => {
                file.each1_64(mask, d, [a], &|a| directed::sqrt(double(a), rounding).to_bits());
            }
            FloatUnary::Rcp if rounding != Rounding::Nearest => {
                file.each1_64(mask, d, [a], &|a| directed::divide(1.0, double(a), rounding).to_bits());
            }
            FloatUnary::Neg => file.each1_64(mask, d, [a], &|a| a ^ 1 << 63),
            FloatUnary::Abs => file.each1_64(mask, d, [a], &|a| a & !(1 << 63)),
            FloatUnary::Sqrt => file.each1_64(mask, d, [a], &|a| double(a).sqrt().to_bits()),
            FloatUnary::Rcp => file.each1_64(mask, d, [a], &|a| (1.0 / double(a)).to_bits()),
            FloatUnary::Rsqrt => file.each1_64(mask, d, [a], &|a| (1.0 / double(a).sqrt()).to_bits()),
            FloatUnary::Sin => file.each1_64(mask, d, [a], &|a| double(a).sin().to_bits()),
            FloatUnary::Cos => file.each1_64(mask, d, [a], &|a| double(a).cos().to_bits()),
            FloatUnary::Ex2 => file.each1_64(mask, d, [a], &|a| double(a).exp2().to_bits()),
            FloatUnary::Lg2 => file.each1_64(mask, d, [a], &|a| double(a).log2().to_bits()),
            FloatUnary::Tanh => file.each1_64(mask, d, [a], &|a| double(a).tanh().to_bits()),
        }
    }
}

per_level! {
    /// `d = a op b` in fp64.
    pub(super) fn binary_f64(
        file: &mut File,
        mask: u32,
        op: FloatBinary,
        rounding: Rounding,
        d: Reg,
        a: Reg,
        b: Reg,
    ) {
        use FloatBinary::*;
        let nan = f64::NAN.to_bits();
        let exact: Option<fn(f64, f64, Rounding) -> f64> = match op {
            _ if rounding == Rounding::Nearest => None,
            Add => Some(directed::add),
            Sub => Some(|a, b, rounding| directed::add(a, -b, rounding)),
            Mul => Some(directed::multiply),
            Div => Some(directed::divide),
            _ => None,
        };
        if let Some(exact) = exact {
            return file.each2_64(mask, d, [a, b], &|a, b| exact(double(a), double(b), rounding).to_bits());
        }
        match op {
            Add => file.map2_64(mask, d, [a, b], |a, b| (double(a) + double(b)).to_bits()),
            Sub => file.map2_64(mask, d, [a, b], |a, b| (double(a) - double(b)).to_bits()),
            Mul => file.map2_64(mask, d, [a, b], |a, b| (double(a) * double(b)).to_bits()),
            Div => file.each2_64(mask, d, [a, b], &|a, b| (double(a) / double(b)).to_bits()),
            Min => file.each2_64(mask, d, [a, b], &|a, b| double(a).min(double(b)).to_bits()),
            Max => file.each2_64(mask, d, [a, b], &|a, b| double(a).max(double(b)).to_bits()),
            MinNan => file.each2_64(mask, d, [a, b], &|a, b| {
                if double(a).is_nan() || double(b).is_nan() { nan } else { double(a).min(double(b)).to_bits() }
            }),
            MaxNan => file.each2_64(mask, d, [a, b], &|a, b| {
                if double(a).is_nan() || double(b).is_nan() { nan } else { double(a).max(double(b)).to_bits() }
            }),
            Copysign => file.each2_64(mask, d, [a, b], &|a, b| a & 1 << 63 | b & !(1 << 63)),
        }
    }
}

per_level! {
    /// `d = a * b + c` in fp64 with one rounding.
    pub(super) fn fma_f64(file: &mut File, mask: u32, rounding: Rounding, d: Reg, sources: [Reg; 3]) {
        if rounding != Rounding::Nearest {
            return file.each3_64(mask, d, sources, &|a, b, c| {
                directed::fma(double(a), double(b), double(c), rounding).to_bits()
            });
        }
        file.map3_64(mask, d, sources, |a, b, c| double(a).mul_add(double(b), double(c)).to_bits());
    }
}

/// Whether two numbers, or two things that cannot be ordered, stand in the relation.
#[inline(always)]
pub(super) fn compare<T: PartialOrd>(comparison: Comparison, a: T, b: T, unordered: bool) -> bool {
    match comparison {
        Comparison::Eq => a == b,
        Comparison::Ne => a != b && !unordered,
        Comparison::Lt => a < b,
        Comparison::Le => a <= b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
        Comparison::Equ => a == b || unordered,
        Comparison::Neu => a != b,
        Comparison::Ltu => a < b || unordered,
        Comparison::Leu => a <= b || unordered,
        Comparison::Gtu => a > b || unordered,
        Comparison::Geu => a >= b || unordered,
        Comparison::Num => !unordered,
        Comparison::Nan => unordered,
    }
}

/// The lanes where integers stand in the relation; `read` gives a lane of a register.
#[inline(always)]
fn compare_integers<T: PartialOrd>(
    comparison: Comparison,
    sources: (Reg, Reg),
    read: impl Fn(Reg, usize) -> T + Copy,
) -> u32 {
    let less = |a: Reg, b: Reg| bits(|lane| read(a, lane) < read(b, lane));
    let equal = |a: Reg, b: Reg| bits(|lane| read(a, lane) == read(b, lane));
    relate(comparison, sources, less, equal, |_, _| 0)
}

/// The lanes where floats stand in the relation.
#[inline(always)]
fn compare_floats<T: PartialOrd>(
    comparison: Comparison,
    sources: (Reg, Reg),
    read: impl Fn(Reg, usize) -> T + Copy,
) -> u32 {
    let less = |a: Reg, b: Reg| bits(|lane| read(a, lane) < read(b, lane));
    let equal = |a: Reg, b: Reg| bits(|lane| read(a, lane) == read(b, lane));
    let unordered = |a: Reg, b: Reg| bits(|lane| read(a, lane).partial_cmp(&read(b, lane)).is_none());
    relate(comparison, sources, less, equal, unordered)
}

/// Any relation from three tests, each of which stands once in the code, whatever the comparison.
#[inline(always)]
fn relate(
    comparison: Comparison,
    (a, b): (Reg, Reg),
    less: impl Fn(Reg, Reg) -> u32,
    equal: impl Fn(Reg, Reg) -> u32,
    unordered: impl Fn(Reg, Reg) -> u32,
) -> u32 {
    use Comparison::*;
    // a <= b is "a < b or equal"; the forms that hold for NaN add the unordered lanes.
    let (swapped, wants_less, wants_equal) = match comparison {
        Lt | Ltu => (false, true, false),
        Gt | Gtu => (true, true, false),
        Le | Leu => (false, true, true),
        Ge | Geu => (true, true, true),
        Eq | Equ | Ne | Neu => (false, false, true),
        Num | Nan => (false, false, false),
    };
    let (a, b) = if swapped { (b, a) } else { (a, b) };
    let mut holds = 0;
    if wants_less {
        holds |= less(a, b);
    }
    if wants_equal {
        holds |= equal(a, b);
    }
    match comparison {
        Eq | Lt | Le | Gt | Ge => holds,
        Neu => !holds,
        Ne => !holds & !unordered(a, b),
        Equ | Ltu | Leu | Gtu | Geu | Nan => holds | unordered(a, b),
        Num => !unordered(a, b),
    }
}

per_level! {
    /// The lanes where `a comparison b`.
    pub(super) fn test(file: &mut File, ty: CompareType, comparison: Comparison, flush: bool, a: Reg, b: Reg) -> u32 {
        let file: &File = &file;
        let s = (a, b);
        match ty {
            CompareType::U16 | CompareType::U32 => compare_integers(comparison, s, |r, lane| file.get(r)[lane]),
            CompareType::S16 => compare_integers(comparison, s, |r, lane| file.get(r)[lane] as i16),
            CompareType::S32 => compare_integers(comparison, s, |r, lane| file.get(r)[lane] as i32),
            CompareType::U64 => compare_integers(comparison, s, |r, lane| file.get64(r)[lane]),
            CompareType::S64 => compare_integers(comparison, s, |r, lane| file.get64(r)[lane] as i64),
            CompareType::F32 if flush => {
                compare_floats(comparison, s, |r, lane| float(flushed(file.get(r)[lane], true)))
            }
            CompareType::F32 => compare_floats(comparison, s, |r, lane| float(file.get(r)[lane])),
            CompareType::F64 => compare_floats(comparison, s, |r, lane| double(file.get64(r)[lane])),
            CompareType::F16 => {
                let widen = |x: u32| super::half::f16_to_f32(flush_f16(x, flush));
                let (a, b) = (widened(file, a, widen), widened(file, b, widen));
                bits(|lane| compare(comparison, a[lane], b[lane], a[lane].is_nan() || b[lane].is_nan()))
            }
            CompareType::Bf16 => {
                let (a, b) = (widened(file, a, |x| x << 16), widened(file, b, |x| x << 16));
                bits(|lane| compare(comparison, a[lane], b[lane], a[lane].is_nan() || b[lane].is_nan()))
            }
        }
    }
}

fn widened(file: &File, a: Reg, widen: impl Fn(u32) -> u32) -> [f32; 32] {
    file.get(a).map(|a| float(widen(a)))
}

#[inline(always)]
fn flush_f16(bits: u32, flush: bool) -> u16 {
    let bits = bits as u16;
    if flush && bits & 0x7c00 == 0 { bits & 0x8000 } else { bits }
}

/// The lanes whose value is of `class`.
pub(super) fn classify(file: &File, class: FloatClass, wide: bool, a: Reg) -> u32 {
    let is = |x: f64, normal: bool, subnormal: bool| match class {
        FloatClass::Finite => x.is_finite(),
        FloatClass::Infinite => x.is_infinite(),
        FloatClass::Number => !x.is_nan(),
        FloatClass::NotANumber => x.is_nan(),
        FloatClass::Normal => normal,
        FloatClass::Subnormal => subnormal,
    };
    if wide {
        let a = file.get64(a);
        bits(|lane| {
            let x = double(a[lane]);
            is(x, x.is_normal(), x.is_subnormal())
        })
    } else {
        let a = file.get(a);
        bits(|lane| {
            let x = float(a[lane]);
            is(x.into(), x.is_normal(), x.is_subnormal())
        })
    }
}
