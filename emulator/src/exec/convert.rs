//! `cvt`: every pair of types, with fast loops for the pairs that kernels live on.

use super::float::{flushed, round_f64};
use super::half::{self, Clamp};
use super::lanes::{File, Lanes64, Lanewise, per_level};
use super::mma::general::e4m3_to_f32;
use super::simd::SimdLevel;
use crate::isa::{ByteFormat, Cvt, CvtType, HalfFormat, Reg, Rounding, Width};

/// `d` = `a` converted.
pub(super) fn convert(level: SimdLevel, file: &mut File, mask: u32, cvt: Cvt, d: Reg, a: Reg) {
    if !cvt.flush && !cvt.saturate && !cvt.finite && !cvt.integral && !cvt.relu && halves(level, file, mask, cvt, d, a)
    {
        return;
    }
    if !common(level, file, mask, cvt, d, a) {
        general(file, mask, cvt, d, a);
    }
}

/// Conversions between fp32 and the 16-bit floats; whether it was one.
fn halves(level: SimdLevel, file: &mut File, mask: u32, cvt: Cvt, d: Reg, a: Reg) -> bool {
    let format = |ty| match ty {
        CvtType::F16 => Some(HalfFormat::F16),
        CvtType::Bf16 => Some(HalfFormat::Bf16),
        _ => None,
    };
    let mut value = [0; 32];
    match (format(cvt.from), format(cvt.to)) {
        (Some(from), None) if cvt.to == CvtType::F32 => half::half_to_f32(level, from, &mut value, file.get(a)),
        (None, Some(to)) if cvt.from == CvtType::F32 => {
            half::f32_to_half(level, to, cvt.rounding, Clamp::None, &mut value, file.get(a));
        }
        _ => return false,
    }
    file.set(mask, d, value);
    true
}

per_level! {
    /// The vectorised pairs; whether it was one.
    fn common(file: &mut File, mask: u32, cvt: Cvt, d: Reg, a: Reg) -> bool {
        use CvtType::*;
        use Width::{W16, W32, W64};
        if cvt.saturate || cvt.finite || cvt.flush || cvt.relu {
            return false;
        }
        let nearest = cvt.rounding == Rounding::Nearest;
        match (cvt.from, cvt.source, cvt.to, cvt.destination) {
            (U32, W32, U64 | S64, W64) => file.widen1(mask, d, [a], u64::from),
            (S32, W32, U64 | S64, W64) => file.widen1(mask, d, [a], |a| i64::from(a as i32) as u64),
            (U64 | S64, W64, U32 | S32, W32) => file.narrow1(mask, d, [a], |a| a as u32),
            (U32 | S32, W32, U16 | S16, W16) => file.map1(mask, d, [a], |a| a & 0xffff),
            (U16, W16, U32 | S32, W32) => file.map1(mask, d, [a], |a| a),
            (S16, W16, U32 | S32, W32) => file.map1(mask, d, [a], |a| i32::from(a as i16) as u32),
            (U8, W32 | W16, U32 | S32, W32) | (U8, W32 | W16, U16 | S16, W16) => file.map1(mask, d, [a], |a| a & 0xff),
            (S8, W32 | W16, U32 | S32, W32) => file.map1(mask, d, [a], |a| i32::from(a as i8) as u32),
            (U32 | S32, W32, U8, W32 | W16) => file.map1(mask, d, [a], |a| a & 0xff),
            (S32, W32, F32, W32) if nearest => file.map1(mask, d, [a], |a| (a as i32 as f32).to_bits()),
            (U32, W32, F32, W32) if nearest => file.map1(mask, d, [a], |a| (a as f32).to_bits()),
            (F32, W32, S32, W32) if cvt.rounding == Rounding::Zero => {
                file.map1(mask, d, [a], |a| truncate(f32::from_bits(a)));
            }
            (F32, W32, U32, W32) if cvt.rounding == Rounding::Zero => {
                file.map1(mask, d, [a], |a| f32::from_bits(a) as u32);
            }
            (F32, W32, F64, W64) if !cvt.integral => {
                file.widen1(mask, d, [a], |a| f64::from(f32::from_bits(a)).to_bits());
            }
            (F64, W64, F32, W32) if !cvt.integral && nearest => {
                file.narrow1(mask, d, [a], |a| canonical(f64::from_bits(a) as f32));
            }
            _ => return false,
        }
        true
    }
}

/// Truncated and clamped to 32 bits with sign; NaN gives 0.
#[inline(always)]
fn truncate(x: f32) -> u32 {
    const LIMIT: f32 = 2_147_483_648.0;
    let inside = if x.abs() < LIMIT { x } else { 0.0 };
    // SAFETY: the value is a number inside the range.
    let value = unsafe { inside.to_int_unchecked::<i32>() } as u32;
    let value = if x >= LIMIT { i32::MAX as u32 } else { value };
    if x <= -LIMIT { i32::MIN as u32 } else { value }
}

#[inline(always)]
fn canonical(x: f32) -> u32 {
    if x.is_nan() { half::CANONICAL_NAN_F32 } else { x.to_bits() }
}

/// A value between its two types, exact.
#[derive(Clone, Copy)]
enum Value {
    Integer(i128),
    Float(f64),
}

fn general(file: &mut File, mask: u32, cvt: Cvt, d: Reg, a: Reg) {
    let raw: Lanes64 = match cvt.source {
        Width::W64 => *file.get64(a),
        _ => file.get(a).map(u64::from),
    };
    let result = raw.map(|bits| encode(decode(bits, cvt), cvt));
    match cvt.destination {
        Width::W64 => file.set64(mask, d, result),
        Width::W32 => file.set(mask, d, result.map(|r| r as u32)),
        Width::W16 => file.set(mask, d, result.map(|r| r as u32 & 0xffff)),
    }
}

fn decode(bits: u64, cvt: Cvt) -> Value {
    use CvtType::*;
    match cvt.from {
        U8 => Value::Integer((bits as u8).into()),
        S8 => Value::Integer((bits as i8).into()),
        U16 => Value::Integer((bits as u16).into()),
        S16 => Value::Integer((bits as i16).into()),
        U32 => Value::Integer((bits as u32).into()),
        S32 => Value::Integer((bits as i32).into()),
        U64 => Value::Integer(bits.into()),
        S64 => Value::Integer((bits as i64).into()),
        F16 => Value::Float(f32::from_bits(half::f16_to_f32(bits as u16)).into()),
        Bf16 => Value::Float(f32::from_bits(half::bf16_to_f32(bits as u16)).into()),
        F32 | Tf32 => Value::Float(f32::from_bits(flushed(bits as u32, cvt.flush)).into()),
        F64 => Value::Float(f64::from_bits(bits)),
    }
}

fn encode(value: Value, cvt: Cvt) -> u64 {
    if cvt.to.is_float() {
        return encode_float(value, cvt);
    }
    let (low, high) = range(cvt.to);
    match value {
        Value::Integer(integer) if cvt.saturate => integer.clamp(low, high) as u64,
        Value::Integer(integer) => extend(integer as u64, cvt.to),
        // NaN is 0, but from or to 64 bits the highest bit alone (PTX ISA, "cvt").
        Value::Float(x) if x.is_nan() => match (cvt.from, cvt.to) {
            (_, CvtType::U64 | CvtType::S64) => 1 << 63,
            (CvtType::F64, to) => extend(highest_bit(to), to),
            _ => 0,
        },
        Value::Float(x) => (round_integral(x, cvt.rounding) as i128).clamp(low, high) as u64,
    }
}

fn range(ty: CvtType) -> (i128, i128) {
    use CvtType::*;
    match ty {
        U8 => (0, u8::MAX.into()),
        S8 => (i8::MIN.into(), i8::MAX.into()),
        U16 => (0, u16::MAX.into()),
        S16 => (i16::MIN.into(), i16::MAX.into()),
        U32 => (0, u32::MAX.into()),
        S32 => (i32::MIN.into(), i32::MAX.into()),
        U64 => (0, u64::MAX.into()),
        S64 | F16 | Bf16 | Tf32 | F32 | F64 => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// The highest bit of an integer type.
fn highest_bit(ty: CvtType) -> u64 {
    use CvtType::*;
    match ty {
        U8 | S8 => 1 << 7,
        U16 | S16 => 1 << 15,
        U32 | S32 => 1 << 31,
        U64 | S64 | F16 | Bf16 | Tf32 | F32 | F64 => 1 << 63,
    }
}

/// The low bits as a value of the type, extended to 64.
fn extend(bits: u64, ty: CvtType) -> u64 {
    use CvtType::*;
    match ty {
        U8 => (bits as u8).into(),
        S8 => bits as i8 as u64,
        U16 => (bits as u16).into(),
        S16 => bits as i16 as u64,
        U32 => (bits as u32).into(),
        S32 => bits as i32 as u64,
        U64 | S64 | F16 | Bf16 | Tf32 | F32 | F64 => bits,
    }
}

fn round_integral(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => x.round_ties_even(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

/// `integer` rounded to `precision` significant bits.
fn round_integer(integer: i128, precision: u32, rounding: Rounding) -> f64 {
    let magnitude = integer.unsigned_abs();
    let excess = (128 - magnitude.leading_zeros()).saturating_sub(precision);
    let (kept, rest) = (magnitude >> excess, magnitude & ((1 << excess) - 1));
    let half = (1u128 << excess) >> 1;
    let negative = integer < 0;
    let up = match rounding {
        Rounding::Nearest => rest > half || rest == half && excess > 0 && kept & 1 == 1,
        Rounding::Zero => false,
        Rounding::Down => negative && rest > 0,
        Rounding::Up => !negative && rest > 0,
    };
    let rounded = ((kept + u128::from(up)) << excess) as f64;
    if negative { -rounded } else { rounded }
}

/// Significant bits and the largest finite number of a floating-point type.
fn limits(ty: CvtType) -> (u32, f64) {
    match ty {
        CvtType::F16 => (11, 65_504.0),
        CvtType::Bf16 => (8, f32::from_bits(0x7f7f_0000).into()),
        CvtType::Tf32 => (11, f32::from_bits(0x7f7f_e000).into()),
        CvtType::F64 => (53, f64::MAX),
        _ => (24, f32::MAX.into()),
    }
}

fn encode_float(value: Value, cvt: Cvt) -> u64 {
    let (precision, largest) = limits(cvt.to);
    let x = match value {
        Value::Integer(integer) => round_integer(integer, precision, cvt.rounding),
        Value::Float(x) if cvt.integral => round_integral(x, cvt.rounding).copysign(x),
        Value::Float(x) => x,
    };
    let x = match (cvt.saturate, cvt.relu) {
        (true, _) => {
            if x > 0.0 {
                x.min(1.0)
            } else {
                0.0
            }
        }
        (false, true) if x <= 0.0 => 0.0,
        _ => x,
    };
    let x = if cvt.finite && !x.is_nan() { x.clamp(-largest, largest) } else { x };
    match cvt.to {
        CvtType::F64 => x.to_bits(),
        CvtType::F16 => half::round_to_half(HalfFormat::F16, cvt.rounding, x).into(),
        CvtType::Bf16 => half::round_to_half(HalfFormat::Bf16, cvt.rounding, x).into(),
        CvtType::Tf32 => tf32(x as f32, cvt.rounding, cvt.ties_away).into(),
        _ => flushed(canonical(round_f64(x, cvt.rounding)), cvt.flush).into(),
    }
}

/// fp32 with 10 fraction bits, to nearest or towards zero.
fn tf32(x: f32, rounding: Rounding, ties_away: bool) -> u32 {
    let bits = x.to_bits();
    let increment = match rounding {
        Rounding::Zero => 0,
        _ if ties_away => 0x1000,
        _ => 0xfff + (bits >> 13 & 1),
    };
    if x.is_finite() { (bits + increment) & !0x1fff } else { canonical(x) }
}

/// `d` = fp32 numbers as a pair of 16-bit floats, `a` in the upper half; `relu` and `finite` clamp.
#[allow(clippy::too_many_arguments)]
pub(super) fn pack(
    level: SimdLevel,
    file: &mut File,
    mask: u32,
    format: HalfFormat,
    rounding: Rounding,
    (relu, finite): (bool, bool),
    d: Reg,
    [a, b]: [Reg; 2],
) {
    let clamp = if relu { Clamp::Relu } else { Clamp::None };
    let (mut low, mut high) = (*file.get(b), *file.get(a));
    if finite {
        let largest = limits(if format == HalfFormat::F16 { CvtType::F16 } else { CvtType::Bf16 }).1 as f32;
        for bits in low.iter_mut().chain(&mut high) {
            let x = f32::from_bits(*bits);
            *bits = if x.is_nan() { *bits } else { x.clamp(-largest, largest).to_bits() };
        }
    }
    let mut value = [0; 32];
    half::f32_to_half2(level, format, rounding, clamp, &mut value, &low, &high);
    file.set(mask, d, value);
}

/// The 8-bit float nearest to `x`, ties to even, the largest finite one at most.
fn to_byte(format: ByteFormat, relu: bool, x: f32) -> u32 {
    let (fraction_bits, minimum_exponent, largest) = match format {
        ByteFormat::E4m3 => (3, -6, 0x7e),
        ByteFormat::E5m2 => (2, -14, 0x7b),
    };
    if x.is_nan() {
        return 0x7f;
    }
    if relu && x <= 0.0 {
        return 0;
    }
    let sign = if x.is_sign_negative() { 0x80 } else { 0 };
    let exponent = ((x.to_bits() >> 23 & 0xff) as i32 - 127).max(minimum_exponent);
    // In units of the last place, exactly; beyond the format's range the units no longer matter.
    let units = (f64::from(x.abs()) * 2f64.powi(fraction_bits - exponent)).round_ties_even();
    let magnitude = (((exponent - minimum_exponent) as u32) << fraction_bits).saturating_add(units as u32);
    sign | magnitude.min(largest)
}

/// 16-bit `d` = fp32 numbers as a pair of 8-bit floats, `a` in the upper half.
pub(super) fn to_bytes(file: &mut File, mask: u32, format: ByteFormat, relu: bool, d: Reg, [a, b]: [Reg; 2]) {
    let byte = |bits| to_byte(format, relu, f32::from_bits(bits));
    file.each2(mask, d, [a, b], &|a, b| byte(b) | byte(a) << 8);
}

/// `d` = a 16-bit pair of 8-bit floats as a pair of fp16 numbers, exactly.
pub(super) fn expand_bytes(file: &mut File, mask: u32, format: ByteFormat, relu: bool, d: Reg, a: Reg) {
    let expand = |byte: u32| {
        let value = match format {
            ByteFormat::E4m3 => e4m3_to_f32(byte as u8),
            ByteFormat::E5m2 => f32::from_bits(half::f16_to_f32((byte as u16 & 0xff) << 8)),
        };
        let value = if relu && value <= 0.0 { 0.0 } else { value };
        u32::from(half::round_to_half(HalfFormat::F16, Rounding::Nearest, value.into()))
    };
    file.each1(mask, d, [a], &|a| expand(a & 0xff) | expand(a >> 8 & 0xff) << 16);
}

/// `d` = `b`, above it `a`, above it `c`: the first two clamped to integers of `bits`.
pub(super) fn pack_integers(file: &mut File, mask: u32, bits: u32, signed: bool, d: Reg, [a, b, c]: [Reg; 3]) {
    let (low, high) = if signed { (-(1i32 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    let clamp = |x: u32| (x as i32).clamp(low, high) as u32 & ((1 << bits) - 1);
    file.each3(mask, d, [a, b, c], &|a, b, c| clamp(b) | clamp(a) << bits | c.checked_shl(2 * bits).unwrap_or(0));
}
