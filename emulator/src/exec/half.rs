//! Conversions between 16-bit and 32-bit floats, a warp at a time.
//!
//! A NaN becomes the canonical NaN of the destination format, as on the device: 0x7fff and 0x7fffffff. Subnormal
//! numbers are kept. The AVX2 path and the portable one give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(test)]
mod tests;

use super::simd::SimdLevel;
use crate::isa::{HalfFormat, Rounding};

/// A 32-bit register of a warp.
pub type Lanes = [u32; 32];

/// The NaN that every fp32 operation of the device returns.
pub const CANONICAL_NAN_F32: u32 = 0x7fff_ffff;
/// The NaN of both 16-bit formats.
pub const CANONICAL_NAN_HALF: u16 = 0x7fff;

/// What a conversion does to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamp {
    None,
    /// `.sat`: into [0, 1], NaN to +0.
    Unit,
    /// `.relu`: negative numbers to +0, NaN stays.
    Relu,
}

/// Calls the AVX2 function where the level has it, else the portable one.
macro_rules! dispatch {
    ($level:expr, $avx2:expr, $portable:expr) => {{
        #[cfg(target_arch = "x86_64")]
        if $level.has_avx2() {
            // SAFETY: the level says that the host has AVX2, FMA and F16C.
            return unsafe { $avx2 };
        }
        $portable
    }};
}

/// Low halves of `a` to fp32.
pub fn half_to_f32(level: SimdLevel, format: HalfFormat, d: &mut Lanes, a: &Lanes) {
    match format {
        HalfFormat::F16 => dispatch!(level, avx2::f16_to_f32(d, a), portable_to_f32(d, a, f16_to_f32)),
        HalfFormat::Bf16 => portable_to_f32(d, a, bf16_to_f32),
    }
}

/// Both halves of `a` to fp32: `low` and `high`.
pub fn half2_to_f32(level: SimdLevel, format: HalfFormat, low: &mut Lanes, high: &mut Lanes, a: &Lanes) {
    let portable = |low: &mut Lanes, high: &mut Lanes, widen: fn(u16) -> u32| {
        for ((low, high), &a) in low.iter_mut().zip(high).zip(a) {
            (*low, *high) = (widen(a as u16), widen((a >> 16) as u16));
        }
    };
    match format {
        HalfFormat::F16 => dispatch!(level, avx2::f16x2_to_f32(low, high, a), portable(low, high, f16_to_f32)),
        HalfFormat::Bf16 => portable(low, high, bf16_to_f32),
    }
}

/// fp32 in `a` to the low halves of `d`; the upper halves become zero.
pub fn f32_to_half(level: SimdLevel, format: HalfFormat, rounding: Rounding, clamp: Clamp, d: &mut Lanes, a: &Lanes) {
    match format {
        HalfFormat::F16 => {
            dispatch!(level, avx2::f32_to_f16(rounding, clamp, d, a), portable_from_f32(format, rounding, clamp, d, a))
        }
        HalfFormat::Bf16 => portable_from_f32(format, rounding, clamp, d, a),
    }
}

/// fp32 pairs to packed halves: `low` goes to the lower half of `d`, `high` to the upper.
pub fn f32_to_half2(
    level: SimdLevel,
    format: HalfFormat,
    rounding: Rounding,
    clamp: Clamp,
    d: &mut Lanes,
    low: &Lanes,
    high: &Lanes,
) {
    let portable = |d: &mut Lanes| {
        let mut upper = [0; 32];
        portable_from_f32(format, rounding, clamp, d, low);
        portable_from_f32(format, rounding, clamp, &mut upper, high);
        for (d, upper) in d.iter_mut().zip(upper) {
            *d |= upper << 16;
        }
    };
    match format {
        HalfFormat::F16 => dispatch!(level, avx2::f32_to_f16x2(rounding, clamp, d, low, high), portable(d)),
        HalfFormat::Bf16 => portable(d),
    }
}

/// One fp16 value to the bits of fp32.
#[inline]
pub fn f16_to_f32(bits: u16) -> u32 {
    // Shifted into place the exponent is too small by 112; the product corrects normal and subnormal numbers alike.
    const REBIAS: f32 = f32::from_bits((112 + 127) << 23);
    let magnitude = u32::from(bits & 0x7fff);
    let sign = u32::from(bits & 0x8000) << 16;
    match magnitude {
        0x7c01.. => CANONICAL_NAN_F32,
        0x7c00 => sign | f32::INFINITY.to_bits(),
        _ => sign | (f32::from_bits(magnitude << 13) * REBIAS).to_bits(),
    }
}

/// One bf16 value to the bits of fp32.
#[inline]
pub fn bf16_to_f32(bits: u16) -> u32 {
    if bits & 0x7fff > 0x7f80 { CANONICAL_NAN_F32 } else { u32::from(bits) << 16 }
}

/// The 16-bit float nearest to `x` in the direction of `rounding`; one rounding, whatever `x` was before it was
/// widened to fp64.
///
/// Overflow goes to infinity or to the largest finite number as IEEE 754 has it for the rounding.
pub fn round_to_half(format: HalfFormat, rounding: Rounding, x: f64) -> u16 {
    let (fraction_bits, minimum_exponent, infinity) = match format {
        HalfFormat::F16 => (10, -14, 0x7c00u32),
        HalfFormat::Bf16 => (7, -126, 0x7f80),
    };
    if x.is_nan() {
        return CANONICAL_NAN_HALF;
    }
    let negative = x.is_sign_negative();
    let sign = if negative { 0x8000 } else { 0 };
    if x.is_infinite() {
        return sign | infinity as u16;
    }
    let exponent = ((x.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(minimum_exponent);
    // In units of the last place: exact, because a power of two scales it.
    let scaled = x.abs() * f64::from_bits(((1023 - exponent + fraction_bits) as u64) << 52);
    let whole = scaled.floor();
    let rest = scaled - whole;
    let away = match rounding {
        Rounding::Nearest => rest > 0.5 || rest == 0.5 && whole as u32 & 1 == 1,
        Rounding::Zero => false,
        Rounding::Down => negative && rest > 0.0,
        Rounding::Up => !negative && rest > 0.0,
    };
    let units = whole as u32 + u32::from(away);
    // The leading bit of `units` carries into the exponent field; subnormal numbers have none.
    let magnitude = (((exponent - minimum_exponent) as u32) << fraction_bits) + units;
    let to_infinity = match rounding {
        Rounding::Nearest => true,
        Rounding::Zero => false,
        Rounding::Down => negative,
        Rounding::Up => !negative,
    };
    let limit = if to_infinity { infinity } else { infinity - 1 };
    sign | magnitude.min(limit) as u16
}

fn portable_to_f32(d: &mut Lanes, a: &Lanes, widen: impl Fn(u16) -> u32) {
    for (d, &a) in d.iter_mut().zip(a) {
        *d = widen(a as u16);
    }
}

fn portable_from_f32(format: HalfFormat, rounding: Rounding, clamp: Clamp, d: &mut Lanes, a: &Lanes) {
    let clamp = |x: f32| match clamp {
        Clamp::None => x,
        Clamp::Unit if x > 0.0 => x.min(1.0),
        Clamp::Relu if x > 0.0 || x.is_nan() => x,
        Clamp::Unit | Clamp::Relu => 0.0,
    };
    match format {
        HalfFormat::F16 => {
            for (d, &a) in d.iter_mut().zip(a) {
                *d = round_to_half(format, rounding, f64::from(clamp(f32::from_bits(a)))).into();
            }
        }
        HalfFormat::Bf16 => {
            for (d, &a) in d.iter_mut().zip(a) {
                *d = truncate_to_bf16(rounding, clamp(f32::from_bits(a)));
            }
        }
    }
}

/// bf16 is the upper half of fp32: rounding adds to the lower half and lets it carry.
#[inline(always)]
fn truncate_to_bf16(rounding: Rounding, x: f32) -> u32 {
    let bits = x.to_bits();
    let negative = bits >> 31;
    let increment = match rounding {
        Rounding::Nearest => 0x7fff + (bits >> 16 & 1),
        Rounding::Zero => 0,
        Rounding::Down => 0xffff * negative,
        Rounding::Up => 0xffff * (1 - negative),
    };
    if x.is_nan() { CANONICAL_NAN_HALF.into() } else { (bits + increment) >> 16 }
}
