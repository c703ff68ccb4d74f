//! The arithmetic of tensor cores, as published from measurements of them.
//!
//! A dot product goes in blocks of consecutive k. In a block every product is exact; the products and the accumulator
//! are aligned to the largest exponent among them, a product's being the sum of its factors' without normalisation;
//! what then lies below a number of fraction bits is cut off; the sum is exact, and truncated to fp32 or rounded to
//! nearest to fp16. The result is the accumulator of the next block. Subnormal numbers take part as they are; what
//! exceeds the largest exponent is infinite. fp64 products are fused multiply-adds, rounded to nearest.
//!
//! Sources: Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330
//! (2021) for V100, T4 and A100: exact products, truncation, the alignment, no extra bits on V100 and one from T4 on.
//! Xie, Wang, Yang, Yang, "MMA-Sim: bit-accurate reference model of tensor cores and matrix cores", arXiv:2511.10909
//! (2025) and its published parameters, checked bit by bit against Volta to Blackwell: block widths of 8 bytes (Volta),
//! 16 bytes (Turing, Ampere, Ada) and 32 bytes (Hopper on), 23, 24 and 25 fraction bits; and on Ada for 8-bit floats 13,
//! of the result too. Khattak, Mikaitis, "Accurate models of NVIDIA tensor cores", arXiv:2512.07004 (2025) agrees on
//! V100, A100 and H100. No claim is made that a chip gives the same bits: summation across instructions is the kernel's,
//! but products of 8-bit floats on Hopper, which the published parameters treat as Blackwell's, are the least sure.

mod lanes;

use crate::exec::float::round_f64;
use crate::exec::half::{CANONICAL_NAN_F32, round_to_half};
use crate::exec::simd::SimdLevel;
use crate::isa::{Element, HalfFormat, Rounding};

/// How the tensor cores of an architecture add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Bytes of A that one block takes from a row.
    block_bytes: usize,
    /// Fraction bits that alignment keeps.
    fraction_bits: u32,
    /// The same for 8-bit floats, and whether their results keep no more.
    narrow_bits: Option<u32>,
}

impl Model {
    /// The model of a compute capability.
    pub fn of(compute_capability: (u32, u32)) -> Model {
        match compute_capability {
            (..7, _) | (7, ..5) => Model { block_bytes: 8, fraction_bits: 23, narrow_bits: None },
            (7, _) | (8, ..9) => Model { block_bytes: 16, fraction_bits: 24, narrow_bits: None },
            (8, _) => Model { block_bytes: 16, fraction_bits: 24, narrow_bits: Some(13) },
            (9.., _) => Model { block_bytes: 32, fraction_bits: 25, narrow_bits: None },
        }
    }

    /// The arithmetic of products of `element` with results of type `d`.
    pub fn arithmetic(&self, element: Element, d: Element) -> Arithmetic {
        let narrow = self.narrow_bits.filter(|_| element.bits() == 8);
        Arithmetic {
            block: self.block_bytes * 8 / element.bits() as usize,
            fraction_bits: narrow.unwrap_or(self.fraction_bits),
            minimum_exponent: match element {
                Element::F16 | Element::E5m2 => -14,
                Element::E4m3 => -6,
                _ => -126,
            },
            result: match (d, narrow) {
                (Element::F16, _) => Precision::Half,
                (_, Some(bits)) => Precision::Single { cleared: 23 - bits },
                (_, None) => Precision::Single { cleared: 0 },
            },
        }
    }
}

/// Format of the sum of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    /// fp32, truncated, without its last bits.
    Single { cleared: u32 },
    /// fp16, rounded to nearest.
    Half,
}

/// How one kind of product is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// Products that are added at once.
    block: usize,
    fraction_bits: u32,
    /// Exponent of the smallest normal number of the factors' format.
    minimum_exponent: i32,
    result: Precision,
}

/// `significand * 2^(exponent - 23)`.
#[derive(Clone, Copy, Default)]
struct Scaled {
    significand: i64,
    exponent: i32,
}

/// A finite number; the exponent is at least `minimum_exponent`, that of a subnormal number of its format.
#[inline(always)]
fn scaled(x: f32, minimum_exponent: i32) -> Scaled {
    let bits = x.to_bits();
    let field = (bits >> 23 & 0xff) as i32;
    let significand = i64::from(bits & 0x7f_ffff) | i64::from(field != 0) << 23;
    let exponent = field.max(1) - 127;
    let below = (minimum_exponent - exponent).clamp(0, 63);
    let significand = significand >> below;
    Scaled { significand: if x.is_sign_negative() { -significand } else { significand }, exponent: exponent + below }
}

/// A column of a matrix in rows of `columns`.
fn column_of(matrix: &[f32], columns: usize, column: usize) -> Vec<f32> {
    matrix.iter().skip(column).step_by(columns).copied().collect()
}

impl Arithmetic {
    /// `c += a * b`, all in rows, A of `depth` columns.
    pub fn multiply(&self, level: SimdLevel, depth: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
        let columns = b.len() / depth;
        let finite = a.iter().chain(b).chain(c.iter()).all(|x| x.is_finite());
        if finite && columns.is_multiple_of(lanes::LANES) {
            return lanes::multiply(level, self, depth, a, b, c);
        }
        for (a, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(columns)) {
            for (column, c) in c.iter_mut().enumerate() {
                *c = self.dot(a, &column_of(b, columns, column), *c);
            }
        }
    }

    /// `c` plus the dot product of `a` and `b`.
    fn dot(&self, a: &[f32], b: &[f32], c: f32) -> f32 {
        a.chunks(self.block).zip(b.chunks(self.block)).fold(c, |c, (a, b)| {
            if a.iter().chain(b).chain([&c]).all(|x| x.is_finite()) {
                return self.block_sum(a, b, c);
            }
            let sum = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() + f64::from(c);
            if sum.is_nan() { f32::from_bits(CANONICAL_NAN_F32) } else { sum as f32 }
        })
    }

    /// The sum of one block of finite numbers.
    fn block_sum(&self, a: &[f32], b: &[f32], c: f32) -> f32 {
        let parts = |x: &[f32]| x.iter().map(|x| scaled(*x, self.minimum_exponent)).collect::<Vec<_>>();
        let (a, b) = (parts(a), parts(b));
        let c = scaled(c, self.minimum_sum_exponent());
        // A zero does not take part in the alignment.
        let exponent = |zero: bool, exponent: i32| if zero { -126 } else { exponent };
        let mut largest = exponent(c.significand == 0, c.exponent);
        for (a, b) in a.iter().zip(&b) {
            let zero = a.significand == 0 || b.significand == 0;
            largest = largest.max(exponent(zero, a.exponent + b.exponent));
        }
        // Towards zero, to units of 2^(largest - fraction_bits).
        let aligned = |significand: i64, exponent: i32, fraction: i32| {
            let shift = (fraction - self.fraction_bits as i32 + largest - exponent).min(63);
            if shift < 0 { significand << -shift } else { significand / (1i64 << shift.min(62)) }
        };
        let mut sum = aligned(c.significand, c.exponent, 23);
        for (a, b) in a.iter().zip(&b) {
            sum += aligned(a.significand * b.significand, a.exponent + b.exponent, 46);
        }
        self.round(sum as f64 * power_of_two(largest - self.fraction_bits as i32))
    }

    /// Exponent of the smallest normal number of the accumulator's format.
    fn minimum_sum_exponent(&self) -> i32 {
        if self.result == Precision::Half { -14 } else { -126 }
    }

    fn round(&self, x: f64) -> f32 {
        match self.result {
            Precision::Half => {
                let bits = round_to_half(HalfFormat::F16, Rounding::Nearest, x);
                f32::from_bits(crate::exec::half::f16_to_f32(bits))
            }
            Precision::Single { .. } if x.abs() >= power_of_two(128) => f32::INFINITY.copysign(x as f32),
            Precision::Single { cleared } => {
                f32::from_bits(round_f64(x, Rounding::Zero).to_bits() & u32::MAX << cleared)
            }
        }
    }
}

/// An exponent that fp64 has.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A100: Model = Model { block_bytes: 16, fraction_bits: 24, narrow_bits: None };

    fn dot(arithmetic: Arithmetic, a: &[f32], b: &[f32], c: f32) -> f32 {
        let mut c = [c];
        arithmetic.multiply(SimdLevel::detect(), a.len(), a, b, &mut c);
        c[0]
    }

    /// The constructions of Fasi et al., section "Accuracy of the dot products and rounding".
    #[test]
    fn alignment_keeps_the_published_number_of_bits() {
        let capabilities = [((7, 0), 0), ((7, 5), 1), ((8, 0), 1), ((8, 6), 1), ((8, 9), 1), ((9, 0), 2), ((10, 0), 2)];
        for (capability, extra) in capabilities {
            let arithmetic = Model::of(capability).arithmetic(Element::F16, Element::F32);
            for bits in 0..4 {
                // 1 + 2^n products of 2^(-23 - n): they count where the adder has the bits for each of them.
                let small = 2f32.powi(-12);
                let terms = [2f32.powi(-11 - bits); 4];
                let sum = dot(arithmetic, &terms, &[small; 4], 1.0);
                let expected = if bits <= extra { 1.0 + 2f32.powi(2 - bits - 23).max(0.0) } else { 1.0 };
                let expected = f32::from_bits(1f32.to_bits() + ((expected - 1.0) * 2f32.powi(23)) as u32);
                assert_eq!(sum, expected, "{capability:?}, {bits} bits below the last");
            }
        }
    }

    #[test]
    fn sums_are_truncated_once_a_block() {
        let arithmetic = A100.arithmetic(Element::F16, Element::F32);
        // Two halves of the last place: exact within a block, lost one by one in two.
        let half_place = 2f32.powi(-12);
        let mut a = [0f32; 16];
        (a[0], a[1]) = (half_place, half_place);
        assert_eq!(dot(arithmetic, &a, &[half_place; 16], 1.0), 1.0f32.next_up());
        (a[1], a[8]) = (0.0, half_place);
        assert_eq!(dot(arithmetic, &a, &[half_place; 16], 1.0), 1.0);
        // Truncation, not rounding, of either sign.
        let a = [1.5 * 2f32.powi(-12), half_place];
        assert_eq!(dot(arithmetic, &a, &[half_place * 2.0; 2], 1.0), 1.0f32.next_up().next_up());
        assert_eq!(dot(arithmetic, &a, &[half_place * -2.0; 2], -1.0), -1.0f32.next_up().next_up());
    }

    #[test]
    fn special_values_and_limits() {
        let arithmetic = A100.arithmetic(Element::Bf16, Element::F32);
        let large = 2f32.powi(64);
        assert_eq!(dot(arithmetic, &[large], &[large], 0.0), f32::INFINITY);
        assert_eq!(dot(arithmetic, &[large, -large], &[large, large], 1.0), 0.0);
        assert!(dot(arithmetic, &[f32::INFINITY, 0.0], &[0.0, 1.0], 0.0).is_nan());
        assert_eq!(dot(arithmetic, &[f32::INFINITY], &[-1.0], 0.0), f32::NEG_INFINITY);
        let subnormal = f32::from_bits(0x7f0000);
        assert_eq!(dot(arithmetic, &[subnormal], &[1.0], 0.0), subnormal);
        let half = A100.arithmetic(Element::F16, Element::F16);
        assert_eq!(dot(half, &[1.0, 2f32.powi(-11)], &[1.0, 1.0], 0.0), 1.0);
        assert_eq!(dot(half, &[1.0, 2f32.powi(-11), 2f32.powi(-20)], &[1.0; 3], 0.0), 1.0 + 2f32.powi(-10));
    }

    #[test]
    fn ada_keeps_13_bits_of_8_bit_products() {
        let arithmetic = Model::of((8, 9)).arithmetic(Element::E4m3, Element::F32);
        assert_eq!(dot(arithmetic, &[1.0; 2], &[1.0, 2f32.powi(-6)], 2f32.powi(-14)), 1.0 + 2f32.powi(-6));
        assert_eq!(dot(arithmetic, &[1.0], &[1.0], 2f32.powi(-13)), 1.0 + 2f32.powi(-13));
    }

    /// What truncation costs a long sum: K = 23,040, the deepest convolution of the models that this was built for.
    #[test]
    fn long_sums_lose_what_truncation_takes() {
        let depth = 23_040;
        let number = |index: usize| {
            let mixed = (index as u32).wrapping_mul(0x9e37_79b1) >> 21;
            half::f16::from_f32(0.5 + mixed as f32 / 2048.0).to_f32()
        };
        let a: Vec<f32> = (0..depth).map(number).collect();
        let b: Vec<f32> = (0..depth).map(|index| number(index + depth)).collect();
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let error = |sum: f32| (f64::from(sum) - exact).abs() / exact;
        let hardware = error(dot(A100.arithmetic(Element::F16, Element::F32), &a, &b, 0.0));
        // The same with blocks summed exactly: only the results truncated, or rounded.
        let (mut truncated, mut rounded) = (0f32, 0f32);
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            let block: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            truncated = round_f64(f64::from(truncated) + block, Rounding::Zero);
            rounded = (f64::from(rounded) + block) as f32;
        }
        assert!((1e-4..5e-4).contains(&hardware), "aligned and truncated: {hardware:e}");
        assert!((4e-5..1e-4).contains(&error(truncated)), "truncated: {:e}", error(truncated));
        assert!(error(rounded) < 4e-6, "rounded: {:e}", error(rounded));
    }
}
