//! [`Arithmetic`] for eight columns at once, in fp64: the same bits.
//!
//! A product of two factors of at most 24 bits is exact in fp64. Scaled by the power of two that makes the last bit
//! kept 1, it is cut off by rounding to an integer towards zero; such integers have fewer than 28 bits, so that their
//! sum is exact too.

use super::{Arithmetic, Precision, column_of, power_of_two};
use crate::exec::simd::SimdLevel;

/// Columns that go together.
pub const LANES: usize = 8;

/// The exponent of a zero: below that of every product, so that zeros do not take part in the alignment.
const ZERO_EXPONENT: i32 = -1000;

/// `c += a * b` for finite numbers, all in rows: A of `depth` columns, B and C of a multiple of [`LANES`].
pub fn multiply(level: SimdLevel, arithmetic: &Arithmetic, depth: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn vectors(arithmetic: &Arithmetic, depth: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
            rows(arithmetic, depth, a, b, c);
        }
        if level.has_avx2() {
            // SAFETY: the level says that the host has AVX2 and FMA.
            return unsafe { vectors(arithmetic, depth, a, b, c) };
        }
    }
    let _ = level;
    rows(arithmetic, depth, a, b, c);
}

/// Numbers as fp64, and their exponents.
struct Parts {
    values: Vec<f64>,
    exponents: Vec<i32>,
}

impl Parts {
    #[inline(always)]
    fn new(numbers: &[f32], minimum_exponent: i32) -> Self {
        Parts {
            values: numbers.iter().map(|&x| f64::from(x)).collect(),
            exponents: numbers.iter().map(|&x| exponent(x, minimum_exponent)).collect(),
        }
    }
}

/// The exponent of a finite number; at least `minimum`, that of a subnormal number of its format.
#[inline(always)]
fn exponent(x: f32, minimum: i32) -> i32 {
    let field = (x.to_bits() >> 23 & 0xff) as i32;
    if x == 0.0 { ZERO_EXPONENT } else { (field.max(1) - 127).max(minimum) }
}

#[inline(always)]
fn rows(arithmetic: &Arithmetic, depth: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    let columns = b.len() / depth;
    let b_parts = Parts::new(b, arithmetic.minimum_exponent);
    for (a, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(columns)) {
        let a_parts = Parts::new(a, arithmetic.minimum_exponent);
        for (tile, c) in c.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut sums = *c;
            for start in (0..depth).step_by(arithmetic.block) {
                let block = start..(start + arithmetic.block).min(depth);
                sums = block_sums(arithmetic, &a_parts, &b_parts, block, (columns, tile * LANES), &sums);
            }
            if sums.iter().all(|sum| sum.is_finite()) {
                *c = sums;
                continue;
            }
            // What overflowed on the way, or was to stay infinite.
            for (lane, c) in c.iter_mut().enumerate() {
                *c = arithmetic.dot(a, &column_of(b, columns, tile * LANES + lane), *c);
            }
        }
    }
}

/// `c` plus the products of one block of k. `(columns, first)` are the columns of B and the first of those wanted.
#[inline(always)]
fn block_sums(
    arithmetic: &Arithmetic,
    a: &Parts,
    b: &Parts,
    block: std::ops::Range<usize>,
    (columns, first): (usize, usize),
    c: &[f32; LANES],
) -> [f32; LANES] {
    let mut largest = c.map(|c| exponent(c, arithmetic.minimum_sum_exponent()).max(-126));
    for k in block.clone() {
        let row: &[i32; LANES] = b.exponents[k * columns + first..].first_chunk().expect("whole rows of lanes");
        for (largest, b) in largest.iter_mut().zip(row) {
            *largest = (*largest).max(a.exponents[k] + b);
        }
    }
    let fraction_bits = arithmetic.fraction_bits as i32;
    let scale = largest.map(|largest| power_of_two(fraction_bits - largest));
    // Adding 0 makes a zero positive.
    let mut sums: [f64; LANES] = std::array::from_fn(|lane| (f64::from(c[lane]) * scale[lane]).trunc() + 0.0);
    for k in block {
        let row: &[f64; LANES] = b.values[k * columns + first..].first_chunk().expect("whole rows of lanes");
        for lane in 0..LANES {
            sums[lane] += (a.values[k] * row[lane] * scale[lane]).trunc();
        }
    }
    let sums: [f64; LANES] = std::array::from_fn(|lane| sums[lane] * power_of_two(largest[lane] - fraction_bits));
    match arithmetic.result {
        Precision::Half => sums.map(|sum| arithmetic.round(sum)),
        Precision::Single { cleared } => sums.map(|sum| truncate(sum) & u32::MAX << cleared).map(f32::from_bits),
    }
}

/// The bits of a number rounded to fp32 towards zero; infinite from 2^128 on.
#[inline(always)]
fn truncate(x: f64) -> u32 {
    let nearest = x as f32;
    let too_far = f64::from(nearest).abs() > x.abs() && x.abs() < power_of_two(128);
    nearest.to_bits() - u32::from(too_far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::mma::Model;
    use crate::isa::Element;

    const DEPTH: usize = 32;

    /// A finite number of an element's format: of any size, of like size, or among the smallest.
    fn draw(random: &mut u64, element: Element, kind: usize) -> f32 {
        *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let bits = (*random >> 32) as u32;
        let (fraction, least, most) = match element {
            Element::F16 => (10, -14, 15),
            Element::E4m3 => (3, -6, 8),
            Element::Tf32 => (10, -126, 127),
            _ => (23, -126, 127),
        };
        let significand = (bits & 0x7f_ffff) >> (23 - fraction) << (23 - fraction);
        let field = match kind {
            0 => (127 + least) as u32 + bits / 0x80_0000 % 256 % (most - least) as u32,
            1 => 126 + (bits >> 24 & 1),
            _ => (127 + least) as u32,
        };
        let value = f32::from_bits(bits & 0x8000_0000 | field << 23 | significand);
        // A twelfth are zeros of both signs.
        if (bits >> 8).is_multiple_of(12) { 0.0f32.copysign(value) } else { value }
    }

    #[test]
    fn lanes_give_the_bits_of_the_plain_definition() {
        let mut random = 5;
        let pairs = [
            (Element::F16, Element::F32),
            (Element::F16, Element::F16),
            (Element::Tf32, Element::F32),
            (Element::E4m3, Element::F32),
        ];
        for capability in [(7, 0), (7, 5), (8, 0), (8, 9), (9, 0)] {
            for (element, result) in pairs {
                let arithmetic = Model::of(capability).arithmetic(element, result);
                for round in 0..300 {
                    let mut numbers =
                        |count, element, kind| (0..count).map(|_| draw(&mut random, element, kind)).collect::<Vec<_>>();
                    let a = numbers(2 * DEPTH, element, round % 3);
                    let b = numbers(2 * LANES * DEPTH, element, round / 3 % 3);
                    let c = numbers(4 * LANES, result, round / 9 % 3);
                    check(&arithmetic, &a, &b, &c);
                }
            }
        }
    }

    fn check(arithmetic: &Arithmetic, a: &[f32], b: &[f32], c: &[f32]) {
        let columns = 2 * LANES;
        let expected: Vec<u32> = (0..2 * columns)
            .map(|index| {
                let column = column_of(b, columns, index % columns);
                arithmetic.dot(&a[index / columns * DEPTH..][..DEPTH], &column, c[index]).to_bits()
            })
            .collect();
        for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
            let mut sums = c.to_vec();
            multiply(level, arithmetic, DEPTH, a, b, &mut sums);
            let bits: Vec<u32> = sums.iter().map(|sum| sum.to_bits()).collect();
            assert_eq!(bits, expected, "{arithmetic:?}, {level:?}");
        }
    }
}
