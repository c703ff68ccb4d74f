//! Conversions of fp16 with F16C, eight lanes an instruction.
//!
//! Every function wants AVX2, FMA and F16C.

use std::arch::x86_64::*;

use super::{CANONICAL_NAN_F32, Clamp, Lanes};
use crate::isa::Rounding;

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load(lanes: &Lanes, group: usize) -> __m256i {
    let eight: &[u32; 8] = lanes[group * 8..].first_chunk().expect("four groups of eight lanes");
    // SAFETY: `eight` is 32 readable bytes.
    unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store(lanes: &mut Lanes, group: usize, value: __m256i) {
    let eight: &mut [u32; 8] = lanes[group * 8..].first_chunk_mut().expect("four groups of eight lanes");
    // SAFETY: `eight` is 32 writable bytes.
    unsafe { _mm256_storeu_si256(eight.as_mut_ptr().cast(), value) }
}

/// `x` with its NaNs made canonical.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
pub(crate) fn canonical(x: __m256) -> __m256 {
    let nan = _mm256_castsi256_ps(_mm256_set1_epi32(CANONICAL_NAN_F32 as i32));
    _mm256_blendv_ps(x, nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn widen(halves: __m128i) -> __m256i {
    _mm256_castps_si256(canonical(_mm256_cvtph_ps(halves)))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn f16_to_f32(d: &mut Lanes, a: &Lanes) {
    let mask = _mm256_set1_epi32(0xffff);
    for group in 0..4 {
        let halves = _mm256_and_si256(load(a, group), mask);
        let packed = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
        store(d, group, widen(packed));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn f16x2_to_f32(low: &mut Lanes, high: &mut Lanes, a: &Lanes) {
    let mask = _mm256_set1_epi32(0xffff);
    for group in 0..4 {
        let pairs = load(a, group);
        // Lanes 0..4 of the low halves, 0..4 of the high ones, then 4..8 of each.
        let packed = _mm256_packus_epi32(_mm256_and_si256(pairs, mask), _mm256_srli_epi32::<16>(pairs));
        let first = widen(_mm256_castsi256_si128(packed));
        let second = widen(_mm256_extracti128_si256::<1>(packed));
        store(low, group, _mm256_permute2x128_si256::<0x20>(first, second));
        store(high, group, _mm256_permute2x128_si256::<0x31>(first, second));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn f32_to_f16(rounding: Rounding, clamp: Clamp, d: &mut Lanes, a: &Lanes) {
    for group in 0..4 {
        store(d, group, _mm256_cvtepu16_epi32(narrow(rounding, clamp, load(a, group))));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn f32_to_f16x2(rounding: Rounding, clamp: Clamp, d: &mut Lanes, low: &Lanes, high: &Lanes) {
    for group in 0..4 {
        let low = narrow(rounding, clamp, load(low, group));
        let high = narrow(rounding, clamp, load(high, group));
        store(d, group, _mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high)));
    }
}

/// Eight fp32 numbers, clamped and rounded.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn narrow(rounding: Rounding, clamp: Clamp, a: __m256i) -> __m128i {
    let zero = _mm256_setzero_ps();
    let x = _mm256_castsi256_ps(a);
    let x = match clamp {
        Clamp::None => canonical(x),
        // The maximum is its second operand for NaN and for two zeros.
        Clamp::Unit => _mm256_min_ps(_mm256_max_ps(x, zero), _mm256_set1_ps(1.0)),
        Clamp::Relu => canonical(_mm256_and_ps(x, _mm256_cmp_ps::<_CMP_NLE_UQ>(x, zero))),
    };
    match rounding {
        Rounding::Nearest => _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x),
        Rounding::Zero => _mm256_cvtps_ph::<_MM_FROUND_TO_ZERO>(x),
        Rounding::Down => _mm256_cvtps_ph::<_MM_FROUND_TO_NEG_INF>(x),
        Rounding::Up => _mm256_cvtps_ph::<_MM_FROUND_TO_POS_INF>(x),
    }
}
