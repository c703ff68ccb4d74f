//! Arithmetic on fp16 and bf16, single and packed: computed wide, rounded once.

use super::float::{add_to_odd, apply, compare};
use super::half::{self, Clamp, Lanes};
use super::lanes::{File, bits, per_level};
use super::math;
use super::simd::SimdLevel;
use crate::isa::{Comparison, FloatBinary, FloatMode, FloatUnary, HalfFormat, HalfKind, Reg, Rounding};

/// A register as one or two fp32 values a lane; the second is left zero where the register holds one.
fn widen(level: SimdLevel, kind: HalfKind, flush: bool, a: &Lanes) -> [Lanes; 2] {
    let mut wide = [[0; 32]; 2];
    let [low, high] = &mut wide;
    let flushed;
    let a = if flush {
        flushed = a.map(|a| flush_pair(kind.format, a));
        &flushed
    } else {
        a
    };
    if kind.packed {
        half::half2_to_f32(level, kind.format, low, high, a);
    } else {
        half::half_to_f32(level, kind.format, low, a);
    }
    wide
}

/// Subnormal halves to zeros of the same sign.
fn flush_pair(format: HalfFormat, bits: u32) -> u32 {
    let exponent = match format {
        HalfFormat::F16 => 0x7c00,
        HalfFormat::Bf16 => 0x7f80,
    };
    let keep = |half: u32| if half & exponent == 0 { half & 0x8000 } else { half };
    keep(bits & 0xffff) | keep(bits >> 16) << 16
}

fn narrow(level: SimdLevel, kind: HalfKind, mode: FloatMode, wide: &[Lanes; 2]) -> Lanes {
    let clamp = match (mode.saturate, kind.relu) {
        (true, _) => Clamp::Unit,
        (false, true) => Clamp::Relu,
        (false, false) => Clamp::None,
    };
    let mut d = [0; 32];
    if kind.packed {
        half::f32_to_half2(level, kind.format, mode.rounding, clamp, &mut d, &wide[0], &wide[1]);
    } else {
        half::f32_to_half(level, kind.format, mode.rounding, clamp, &mut d, &wide[0]);
    }
    if mode.flush { d.map(|d| flush_pair(kind.format, d)) } else { d }
}

fn parts(kind: HalfKind) -> usize {
    if kind.packed { 2 } else { 1 }
}

/// `d = op a`.
pub(super) fn unary(
    level: SimdLevel,
    file: &mut File,
    mask: u32,
    op: FloatUnary,
    (kind, mode): (HalfKind, FloatMode),
    d: Reg,
    a: Reg,
) {
    let signs = if kind.packed { 0x8000_8000 } else { 0x8000 };
    let input = |a: u32| if mode.flush { flush_pair(kind.format, a) } else { a };
    match op {
        FloatUnary::Neg => return file.each1(mask, d, [a], &|a| input(a) ^ signs),
        FloatUnary::Abs => return file.each1(mask, d, [a], &|a| input(a) & !signs),
        _ => {}
    }
    let mut wide = widen(level, kind, mode.flush, file.get(a));
    let f: fn(f32) -> f32 = match op {
        FloatUnary::Sqrt => f32::sqrt,
        FloatUnary::Rcp => |x| 1.0 / x,
        FloatUnary::Rsqrt => |x| 1.0 / x.sqrt(),
        FloatUnary::Sin => |x| if math::is_large_angle(x) { math::sin_any(x) } else { math::sin(x) },
        FloatUnary::Cos => |x| if math::is_large_angle(x) { math::cos_any(x) } else { math::cos(x) },
        FloatUnary::Ex2 => |x| math::exp2(x),
        FloatUnary::Lg2 => |x| math::log2(x),
        FloatUnary::Tanh => |x| math::tanh(x),
        FloatUnary::Neg | FloatUnary::Abs => unreachable!("handled on the bits"),
    };
    for lane in wide[..parts(kind)].as_flattened_mut() {
        *lane = f(f32::from_bits(*lane)).to_bits();
    }
    file.set(mask, d, narrow(level, kind, mode, &wide));
}

/// `d = a op b`.
///
/// fp32 has more than twice the precision of either 16-bit format, and two bits: a sum, difference, product or quotient
/// rounded to it and then to 16 bits is what one rounding gives (Figueroa, "When is double rounding innocuous?").
#[allow(clippy::too_many_arguments)]
pub(super) fn binary(
    level: SimdLevel,
    file: &mut File,
    mask: u32,
    op: FloatBinary,
    (kind, mode): (HalfKind, FloatMode),
    d: Reg,
    a: Reg,
    b: Reg,
) {
    let mut wide = widen(level, kind, mode.flush, file.get(a));
    let other = widen(level, kind, mode.flush, file.get(b));
    for (x, y) in wide.iter_mut().zip(&other).take(parts(kind)) {
        combine(level, file, op, x, y);
    }
    file.set(mask, d, narrow(level, kind, mode, &wide));
}

per_level! {
    /// `x = x op y` in fp32.
    fn combine(file: &mut File, op: FloatBinary, x: &mut Lanes, y: &Lanes) {
        let _ = file;
        match op {
            FloatBinary::Add => zip(x, y, |x, y| x + y),
            FloatBinary::Sub => zip(x, y, |x, y| x - y),
            FloatBinary::Mul => zip(x, y, |x, y| x * y),
            _ => zip(x, y, |x, y| apply(op, x, y, FloatMode::PLAIN)),
        }
    }
}

#[inline(always)]
fn zip(x: &mut Lanes, y: &Lanes, f: impl Fn(f32, f32) -> f32) {
    for lane in 0..32 {
        x[lane] = f(f32::from_bits(x[lane]), f32::from_bits(y[lane])).to_bits();
    }
}

/// `d = a * b + c`, rounded once.
pub(super) fn fma(
    level: SimdLevel,
    file: &mut File,
    mask: u32,
    (kind, mode): (HalfKind, FloatMode),
    d: Reg,
    [a, b, c]: [Reg; 3],
) {
    let mut wide = widen(level, kind, mode.flush, file.get(a));
    let factor = widen(level, kind, mode.flush, file.get(b));
    let addend = widen(level, kind, mode.flush, file.get(c));
    for part in 0..parts(kind) {
        accumulate(level, file, kind.format, &mut wide[part], &factor[part], &addend[part]);
    }
    file.set(mask, d, narrow(level, kind, mode, &wide));
}

per_level! {
    /// `x = x * y + z` in fp32, rounded to odd: rounding that to 16 bits is as if the exact value had been.
    fn accumulate(file: &mut File, format: HalfFormat, x: &mut Lanes, y: &Lanes, z: &Lanes) {
        let _ = file;
        match format {
            // The product of two fp16 numbers is exact in fp32.
            HalfFormat::F16 => {
                for lane in 0..32 {
                    let product = f32::from_bits(x[lane]) * f32::from_bits(y[lane]);
                    x[lane] = add_to_odd_f32(product, f32::from_bits(z[lane])).to_bits();
                }
            }
            // That of two bf16 numbers may leave its range.
            HalfFormat::Bf16 => {
                for lane in 0..32 {
                    let product = f64::from(f32::from_bits(x[lane])) * f64::from(f32::from_bits(y[lane]));
                    x[lane] = to_odd(add_to_odd(product, f32::from_bits(z[lane]).into())).to_bits();
                }
            }
        }
    }
}

/// `a + b` in fp32, rounded to odd, without branches.
#[inline(always)]
fn add_to_odd_f32(a: f32, b: f32) -> f32 {
    let sum = a + b;
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    let bits = sum.to_bits();
    // Towards the error's side, to the neighbour whose last bit is set. The error of an overflow is infinite or NaN.
    let away = (error > 0.0) == (sum > 0.0);
    let odd = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    let inexact = error != 0.0 && error.abs() < f32::INFINITY && bits & 1 == 0;
    f32::from_bits(if inexact { odd } else { bits })
}

/// fp64 to fp32, rounded to odd.
fn to_odd(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x || !near.is_finite() || x.is_nan() {
        return near;
    }
    let truncated = super::float::round_f64(x, Rounding::Zero);
    f32::from_bits(truncated.to_bits() | 1)
}

/// The lanes whose lower halves, and whose upper halves, compare so.
pub(super) fn test_pairs(
    level: SimdLevel,
    file: &File,
    format: HalfFormat,
    comparison: Comparison,
    flush: bool,
    a: Reg,
    b: Reg,
) -> [u32; 2] {
    let kind = HalfKind { format, packed: true, relu: false };
    let (a, b) = (widen(level, kind, flush, file.get(a)), widen(level, kind, flush, file.get(b)));
    std::array::from_fn(|part| {
        bits(|lane| {
            let (a, b) = (f32::from_bits(a[part][lane]), f32::from_bits(b[part][lane]));
            compare(comparison, a, b, a.is_nan() || b.is_nan())
        })
    })
}
