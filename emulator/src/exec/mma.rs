//! Matrix products of a warp: `mma.sync` on 16-bit operands, and the matrix loads and stores that feed it.
//!
//! # Fragments
//! A register of a fragment is an 8x8 block of 16-bit numbers: lane `4 i + j` holds elements `2 j` and `2 j + 1` of
//! row `i`, so that the 32 lanes in order are the block in row-major order. For A, 16 x K, the registers are the blocks
//! (top, k 0..8), (bottom, k 0..8), (top, k 8..16), (bottom, k 8..16); for B, K x 8, they are the *columns* of k 0..8
//! and of k 8..16. An fp32 accumulator block has two registers, of the even and the odd columns; an fp16 one has a
//! register like A's (PTX ISA, "Matrix fragments for mma.m16n8k16").
//!
//! # Arithmetic
//! `acc = fma(a[k], b[k], acc)` in fp32, from `c`, in order of k; NaN results are the canonical NaN. Hardware adds
//! the products of one instruction with truncation, so its last bits may differ. fp16 accumulators are widened, then
//! rounded once at the end.
//!
//! # Runs
//! A kernel uses a fragment in many products. [`widen_a`] and [`widen_b`] do a register's share of the work that does
//! not depend on the others; whoever runs several products over the same unchanged registers widens each once and
//! calls [`multiply`], which is [`mma`] without the widening: the results are the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod block;
pub(super) mod general;
mod model;
mod portable;
pub(super) mod sparse;
#[cfg(test)]
mod tests;

pub use block::{load_block, store_block, transpose};
pub use model::Model;

use super::half::Lanes;
use super::simd::SimdLevel;
use crate::isa::{HalfFormat, MmaShape};

/// One register of a fragment as 64 fp32 numbers: for A, `[row][k]`; for B, `[k][column]` with the columns in the
/// order 0, 2, 4, 6, 1, 3, 5, 7 of the accumulator's registers.
#[derive(Clone, Debug, PartialEq)]
#[repr(C, align(32))]
pub struct Wide([f32; 64]);

impl Default for Wide {
    fn default() -> Self {
        Wide([0.0; 64])
    }
}

/// Room for the widened operands of one product; reused, it saves clearing them.
#[derive(Clone, Debug, Default)]
pub struct Operands {
    pub a: [Wide; 4],
    pub b: [Wide; 2],
}

/// What the products of a shape have in common: the format of A and B, the blocks along k, the accumulator's format.
fn parameters(shape: MmaShape) -> (HalfFormat, usize, bool) {
    match shape {
        MmaShape::M16N8K16F16F32 => (HalfFormat::F16, 2, false),
        MmaShape::M16N8K8F16F32 => (HalfFormat::F16, 1, false),
        MmaShape::M16N8K16F16F16 => (HalfFormat::F16, 2, true),
        MmaShape::M16N8K8F16F16 => (HalfFormat::F16, 1, true),
        MmaShape::M16N8K16Bf16F32 => (HalfFormat::Bf16, 2, false),
        MmaShape::M16N8K8Bf16F32 => (HalfFormat::Bf16, 1, false),
    }
}

/// `d = a * b + c` of `shape`; operands past the shape's register counts are ignored.
pub fn mma(
    level: SimdLevel,
    shape: MmaShape,
    operands: &mut Operands,
    d: &mut [Lanes; 4],
    a: [&Lanes; 4],
    b: [&Lanes; 2],
    c: [&Lanes; 4],
) {
    let (format, blocks, _) = parameters(shape);
    for (wide, register) in operands.a.iter_mut().zip(a).take(2 * blocks) {
        widen_a(level, format, wide, register);
    }
    for (wide, register) in operands.b.iter_mut().zip(b).take(blocks) {
        widen_b(level, format, wide, register);
    }
    multiply(level, shape, d, operands.a.each_ref(), operands.b.each_ref(), c);
}

/// Widens a register of A.
pub fn widen_a(level: SimdLevel, format: HalfFormat, wide: &mut Wide, a: &Lanes) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C.
        return unsafe { avx2::widen_a(format, wide, a) };
    }
    portable::widen_a(format, wide, a);
}

/// Widens a register of B.
pub fn widen_b(level: SimdLevel, format: HalfFormat, wide: &mut Wide, b: &Lanes) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C.
        return unsafe { avx2::widen_b(format, wide, b) };
    }
    portable::widen_b(format, wide, b);
}

/// [`mma`] on widened operands.
pub fn multiply(level: SimdLevel, shape: MmaShape, d: &mut [Lanes; 4], a: [&Wide; 4], b: [&Wide; 2], c: [&Lanes; 4]) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C.
        return unsafe { avx2::multiply(shape, d.each_mut().map(std::ptr::from_mut), a, b, c.map(std::ptr::from_ref)) };
    }
    portable::multiply(shape, d, a, b, c);
}

/// [`multiply`] on registers in their places: `d` may overlap `c`, but for the registers of its upper rows, which may
/// not be those of the addend's lower rows.
///
/// # Safety
/// The pointers must be good for reads, those of `d` for writes too, and nobody else may use them meanwhile.
pub unsafe fn multiply_in_place(
    level: SimdLevel,
    shape: MmaShape,
    d: [*mut Lanes; 4],
    a: [&Wide; 4],
    b: [&Wide; 2],
    c: [*const Lanes; 4],
) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C; the rest is the caller's promise.
        return unsafe { avx2::multiply(shape, d, a, b, c) };
    }
    let _ = level;
    // SAFETY: the caller's promise.
    let addend = c.map(|c| unsafe { *c });
    let mut result = [[0; 32]; 4];
    portable::multiply(shape, &mut result, a, b, addend.each_ref());
    let (_, _, registers) = shape.registers();
    for (d, result) in d.into_iter().zip(result).take(registers) {
        // SAFETY: the caller's promise.
        unsafe { *d = result };
    }
}

/// Two products of the same shape with fp32 accumulators that share A, on registers in their places.
///
/// # Safety
/// That of [`multiply_in_place`] for both; neither uses a result of the other.
pub unsafe fn multiply_pair(
    level: SimdLevel,
    shape: MmaShape,
    d: [[*mut Lanes; 4]; 2],
    a: [&Wide; 4],
    b: [[&Wide; 2]; 2],
    c: [[*const Lanes; 4]; 2],
) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C; the rest is the caller's promise.
        return unsafe { avx2::multiply_pair(shape, d, a, b, c) };
    }
    for n in 0..2 {
        // SAFETY: the caller's promise.
        unsafe { multiply_in_place(level, shape, d[n], a, b[n], c[n]) };
    }
}

/// Columns of a widened B and of the accumulator rows, in order.
const COLUMNS: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
