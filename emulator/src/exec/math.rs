//! Elementary functions of fp32 arguments, computed in fp64 so that their rounding is the only error that shows.
//!
//! Branch-free apart from selections, so that a warp's lanes are computed side by side.

use std::f64::consts::LN_2;

/// 1.5 * 2^52: adding it rounds a small number to an integer, which then stands in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// A polynomial by Horner's rule, highest coefficient first.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[0];
    for coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, *coefficient);
    }
    sum
}

/// `2^r` for `|r| <= 1/2`: the Taylor series of the exponential to the 10th term, relative error below 2^-40.
#[inline(always)]
fn exp2_reduced(r: f64) -> f64 {
    let terms = [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
        1.0,
    ];
    polynomial(r * LN_2, terms)
}

/// `2^x` in fp64 for arguments that fp32 can hold.
#[inline(always)]
fn exp2_f64(x: f64) -> f64 {
    // Beyond these the result is zero or infinite in fp32.
    let x = if x > 200.0 { 200.0 } else { x };
    let x = if x < -200.0 { -200.0 } else { x };
    let rounded = x + ROUNDER;
    let whole = rounded - ROUNDER;
    let scale = f64::from_bits((rounded.to_bits() << 52).wrapping_add(1023 << 52));
    exp2_reduced(x - whole) * scale
}

/// `2^x`.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let value = exp2_f64(x.into()) as f32;
    if x.is_nan() { x } else { value }
}

/// Base-2 logarithm; of zero -infinity, of negative numbers NaN.
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    let bits = f64::from(x).to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)): 0x3fe6a09e... is sqrt(1/2).
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let shifted = bits.wrapping_sub(SQRT_HALF);
    let exponent_bits = shifted & 0xfff0_0000_0000_0000;
    let mantissa = f64::from_bits(bits.wrapping_sub(exponent_bits));
    let exponent = (exponent_bits as i64 >> 52) as i32;
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // atanh(s) / s = 1 + s^2 / 3 + s^4 / 5 + ...: |s| < 0.172, eleven terms leave 1e-17.
    let mut sum: f64 = 1.0 / 21.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum.mul_add(square, 1.0 / odd);
    }
    let value = (f64::from(exponent) + 2.0 / LN_2 * s * sum) as f32;
    let value = if x == f32::INFINITY { x } else { value };
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    if x < 0.0 || x.is_nan() { f32::NAN } else { value }
}

/// The nearest multiple of pi/2 as a count of quarter turns, and the rest in [-pi/4, pi/4].
#[inline(always)]
fn reduce_angle(x: f64) -> (u64, f64) {
    // pi/2 in two parts: the first product is exact in the fused operation, the second adds bits 54 to 106.
    const HIGH: f64 = std::f64::consts::FRAC_PI_2;
    const LOW: f64 = 6.123_233_995_736_766e-17;
    let rounded = x.mul_add(std::f64::consts::FRAC_2_PI, ROUNDER);
    let turns = rounded - ROUNDER;
    (rounded.to_bits(), turns.mul_add(-LOW, turns.mul_add(-HIGH, x)))
}

/// Sine of the angle that is `r` past `quarters` quarter turns: Taylor series to r^13 and r^14, error below 2^-44.
#[inline(always)]
fn sine_of(quarters: u64, r: f64) -> f64 {
    let square = r * r;
    let sine =
        [1.0 / 6_227_020_800.0, -1.0 / 39_916_800.0, 1.0 / 362_880.0, -1.0 / 5_040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    let cosine = [
        -1.0 / 87_178_291_200.0,
        1.0 / 479_001_600.0,
        -1.0 / 3_628_800.0,
        1.0 / 40_320.0,
        -1.0 / 720.0,
        1.0 / 24.0,
        -0.5,
        1.0,
    ];
    let (sine, cosine) = (r * polynomial(square, sine), polynomial(square, cosine));
    let value = if quarters & 1 == 0 { sine } else { cosine };
    if quarters & 2 == 0 { value } else { -value }
}

/// Beyond this the count of quarter turns no longer fits its bits; the hardware's own range ends far earlier.
const LARGEST_ANGLE: f32 = 1e9;

/// Whether [`sin`] and [`cos`] are wrong for an angle: it is finite and beyond 1e9. [`sin_any`] and [`cos_any`] take it,
/// though the hardware's approximation has no correct digit there.
#[inline(always)]
pub(super) fn is_large_angle(x: f32) -> bool {
    x.abs() > LARGEST_ANGLE && x.abs() < f32::INFINITY
}

/// Sine of any angle, lane by lane.
pub(super) fn sin_any(x: f32) -> f32 {
    f64::from(x).sin() as f32
}

/// Cosine of any angle, lane by lane.
pub(super) fn cos_any(x: f32) -> f32 {
    f64::from(x).cos() as f32
}

/// Sine; NaN beyond 1e9.
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    let (quarters, r) = reduce_angle(x.into());
    let value = sine_of(quarters, r) as f32;
    // The sum of series loses the sign of zero.
    let value = if x == 0.0 { x } else { value };
    if x.abs() <= LARGEST_ANGLE { value } else { f32::NAN }
}

/// Cosine; NaN beyond 1e9.
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    let (quarters, r) = reduce_angle(x.into());
    let value = sine_of(quarters.wrapping_add(1), r) as f32;
    if x.abs() <= LARGEST_ANGLE { value } else { f32::NAN }
}

/// Hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let wide = f64::from(x);
    let power = exp2_f64(wide.abs() * (2.0 / LN_2));
    let large = (1.0 - 2.0 / (power + 1.0)).copysign(wide);
    // Near zero the difference above cancels; the series there is exact to fp32.
    let square = wide * wide;
    let small = wide - wide * square * (1.0 / 3.0 - square * (2.0 / 15.0));
    let value = if wide.abs() < 0.01 { small } else { large } as f32;
    if x.is_nan() { x } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worst error against fp64, in units in the last place of the fp32 result.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64, arguments: impl Iterator<Item = f32>) -> f64 {
        arguments
            .map(|x| {
                let (got, want) = (f(x), exact(x.into()));
                let ulp = f64::from((want as f32).abs().next_up()) - f64::from((want as f32).abs());
                (f64::from(got) - want).abs() / ulp
            })
            .fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    }

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..20_000).map(move |i| from + (to - from) * (i as f32 / 20_000.0))
    }

    #[test]
    fn functions_are_right_to_half_a_unit() {
        for error in [
            worst(exp2, f64::exp2, grid(-140.0, 127.9)),
            worst(exp2, f64::exp2, grid(-0.01, 0.01)),
            worst(log2, f64::log2, grid(1e-6, 4.0).chain(grid(1.0, 1e30))),
            worst(log2, f64::log2, (1..200).map(f32::from_bits)),
            worst(sin, f64::sin, grid(-10.0, 10.0).chain(grid(-1e6, 1e6))),
            worst(cos, f64::cos, grid(-10.0, 10.0).chain(grid(-1e6, 1e6))),
            worst(tanh, f64::tanh, grid(-10.0, 10.0).chain(grid(-0.02, 0.02))),
        ] {
            assert!(error <= 0.5001, "{error}");
        }
    }

    #[test]
    fn special_values_are_the_hardwares() {
        assert_eq!([exp2(f32::NEG_INFINITY), exp2(f32::INFINITY), exp2(-160.0)], [0.0, f32::INFINITY, 0.0]);
        assert_eq!([log2(0.0), log2(-0.0), log2(f32::INFINITY)], [f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY]);
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)], [1.0, -1.0]);
        assert_eq!([sin(0.0).to_bits(), sin(-0.0).to_bits(), cos(0.0).to_bits()], [0, 1 << 31, 1.0f32.to_bits()]);
        assert!(sin(f32::INFINITY).is_nan() && cos(f32::NEG_INFINITY).is_nan());
        for f in [exp2, log2, tanh, sin, cos] {
            assert!(f(f32::NAN).is_nan());
        }
        assert!(log2(-1.0).is_nan());
    }
}
