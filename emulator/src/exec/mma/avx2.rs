//! The same bits with AVX2, FMA and F16C, which every function wants: a row of eight columns is one vector, and the
//! eight rows of a block are eight independent chains, enough to hide the latency of a fused multiply-add.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Wide, parameters};
use crate::exec::half::{CANONICAL_NAN_F32, Lanes};
use crate::isa::{HalfFormat, MmaShape};

/// Row `row` of a block: eight 16-bit or four 32-bit numbers.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_row(block: &Lanes, row: usize) -> __m128i {
    let four: &[u32; 4] = block[4 * row..].first_chunk().expect("eight rows of four lanes");
    // SAFETY: `four` is 16 readable bytes.
    unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_row(block: &mut Lanes, row: usize, value: __m128i) {
    let four: &mut [u32; 4] = block[4 * row..].first_chunk_mut().expect("eight rows of four lanes");
    // SAFETY: `four` is 16 writable bytes.
    unsafe { _mm_storeu_si128(four.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_wide(wide: &Wide, row: usize) -> __m256 {
    let eight: &[f32; 8] = wide.0[8 * row..].first_chunk().expect("eight rows of eight");
    // SAFETY: `eight` is 32 readable bytes.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_wide(wide: &mut Wide, row: usize, value: __m256) {
    let eight: &mut [f32; 8] = wide.0[8 * row..].first_chunk_mut().expect("eight rows of eight");
    // SAFETY: `eight` is 32 writable bytes.
    unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), value) }
}

/// Eight 16-bit numbers to fp32; NaN need not be canonical here, the sum's will be.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn widen(format: HalfFormat, halves: __m128i) -> __m256 {
    match format {
        HalfFormat::F16 => _mm256_cvtph_ps(halves),
        HalfFormat::Bf16 => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves))),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn widen_a(format: HalfFormat, wide: &mut Wide, a: &Lanes) {
    for row in 0..8 {
        store_wide(wide, row, widen(format, load_row(a, row)));
    }
}

/// Columns of a block from its rows, two a vector; their elements are in the order of the rows.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn transpose(rows: [__m128i; 8]) -> [__m256i; 4] {
    // Row i beside row i + 4, so that one vector works on two halves of a column.
    let pair = |i: usize| _mm256_set_m128i(rows[i + 4], rows[i]);
    let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
    let (low01, high01) = (_mm256_unpacklo_epi16(r0, r1), _mm256_unpackhi_epi16(r0, r1));
    let (low23, high23) = (_mm256_unpacklo_epi16(r2, r3), _mm256_unpackhi_epi16(r2, r3));
    let columns = [
        _mm256_unpacklo_epi32(low01, low23),
        _mm256_unpackhi_epi32(low01, low23),
        _mm256_unpacklo_epi32(high01, high23),
        _mm256_unpackhi_epi32(high01, high23),
    ];
    // Each holds, in quarters: column 2 i rows 0..4, column 2 i + 1 rows 0..4, then rows 4..8 of both.
    columns.map(|column| _mm256_permute4x64_epi64::<0b11_01_10_00>(column))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn widen_b(format: HalfFormat, wide: &mut Wide, b: &Lanes) {
    let rows = super::COLUMNS.map(|column| load_row(b, column));
    for (index, columns) in transpose(rows).into_iter().enumerate() {
        store_wide(wide, 2 * index, widen(format, _mm256_castsi256_si128(columns)));
        store_wide(wide, 2 * index + 1, widen(format, _mm256_extracti128_si256::<1>(columns)));
    }
}

/// # Safety
/// That of [`super::multiply_in_place`]; the registers of `d` differ from one another.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn multiply(shape: MmaShape, d: [*mut Lanes; 4], a: [&Wide; 4], b: [&Wide; 2], c: [*const Lanes; 4]) {
    let (_, blocks, half_accumulator) = parameters(shape);
    for top in 0..2 {
        // SAFETY: the pointers are good by the caller's promise; no result is referred to meanwhile.
        let mut rows =
            unsafe { if half_accumulator { load_half(&*c[top]) } else { load(&*c[2 * top], &*c[2 * top + 1]) } };
        for block in 0..blocks {
            accumulate(&mut rows, a[2 * block + top], b[block]);
        }
        make_canonical(&mut rows);
        // SAFETY: as above; the references end here, and the two registers differ.
        unsafe {
            if half_accumulator {
                store_half(&rows, &mut *d[top]);
            } else {
                store(&rows, &mut *d[2 * top], &mut *d[2 * top + 1]);
            }
        }
    }
}

/// Two products that share A, interleaved: each number of A is broadcast once for both. Half the rows at a time, so
/// that the sums of both fit the registers.
///
/// # Safety
/// That of [`super::multiply_pair`].
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn multiply_pair(
    shape: MmaShape,
    d: [[*mut Lanes; 4]; 2],
    a: [&Wide; 4],
    b: [[&Wide; 2]; 2],
    c: [[*const Lanes; 4]; 2],
) {
    let (_, blocks, _) = parameters(shape);
    for (top, first) in [(0, 0), (0, 4), (1, 0), (1, 4)] {
        // SAFETY: the pointers are good by the caller's promise; no result is referred to meanwhile.
        let (mut left, mut right) = unsafe {
            let rows = |c: [*const Lanes; 4]| (&*c[2 * top], &*c[2 * top + 1]);
            let (left, right) = (rows(c[0]), rows(c[1]));
            (load_rows(left.0, left.1, first), load_rows(right.0, right.1, first))
        };
        for block in 0..blocks {
            accumulate_pair(&mut left, &mut right, a[2 * block + top], b[0][block], b[1][block], first);
        }
        make_canonical(&mut left);
        make_canonical(&mut right);
        // SAFETY: as above; the references end here, and the two registers differ.
        unsafe {
            store_rows(&left, &mut *d[0][2 * top], &mut *d[0][2 * top + 1], first);
            store_rows(&right, &mut *d[1][2 * top], &mut *d[1][2 * top + 1], first);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn accumulate_pair(left: &mut [__m256; 4], right: &mut [__m256; 4], a: &Wide, b: &Wide, c: &Wide, first: usize) {
    let rows: &[f32; 32] = a.0[8 * first..].first_chunk().expect("four rows of eight");
    for k in 0..8 {
        let (b, c) = (load_wide(b, k), load_wide(c, k));
        for row in 0..4 {
            let a = _mm256_set1_ps(rows[8 * row + k]);
            left[row] = _mm256_fmadd_ps(a, b, left[row]);
            right[row] = _mm256_fmadd_ps(a, c, right[row]);
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_rows(even: &Lanes, odd: &Lanes, first: usize) -> [__m256; 4] {
    let mut rows = [_mm256_setzero_ps(); 4];
    for (row, sum) in rows.iter_mut().enumerate() {
        *sum = _mm256_castsi256_ps(_mm256_set_m128i(load_row(odd, first + row), load_row(even, first + row)));
    }
    rows
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_rows(rows: &[__m256; 4], even: &mut Lanes, odd: &mut Lanes, first: usize) {
    for (row, &sum) in rows.iter().enumerate() {
        let bits = _mm256_castps_si256(sum);
        store_row(even, first + row, _mm256_castsi256_si128(bits));
        store_row(odd, first + row, _mm256_extracti128_si256::<1>(bits));
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn accumulate(rows: &mut [__m256; 8], a: &Wide, b: &Wide) {
    for k in 0..8 {
        let b = load_wide(b, k);
        for (row, sum) in rows.iter_mut().enumerate() {
            *sum = _mm256_fmadd_ps(_mm256_set1_ps(a.0[8 * row + k]), b, *sum);
        }
        keep_in_registers(rows);
    }
}

/// Ends a step: unrolled, the loop would otherwise load ahead of its sixteen registers and spill the sums.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn keep_in_registers(rows: &mut [__m256; 8]) {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    // SAFETY: there is no instruction; the operands are registers that stay as they are.
    unsafe {
        asm!(
            "/* {0} {1} {2} {3} {4} {5} {6} {7} */",
            inout(ymm_reg) * r0,
            inout(ymm_reg) * r1,
            inout(ymm_reg) * r2,
            inout(ymm_reg) * r3,
            inout(ymm_reg) * r4,
            inout(ymm_reg) * r5,
            inout(ymm_reg) * r6,
            inout(ymm_reg) * r7,
            options(nostack, preserves_flags),
        );
    }
}

/// Makes every NaN the canonical one; there are hardly ever any.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn make_canonical<const N: usize>(rows: &mut [__m256; N]) {
    let mut unordered = _mm256_setzero_ps();
    for pair in rows.as_chunks::<2>().0 {
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps::<_CMP_UNORD_Q>(pair[0], pair[1]));
    }
    if _mm256_movemask_ps(unordered) != 0 {
        let nan = _mm256_castsi256_ps(_mm256_set1_epi32(CANONICAL_NAN_F32 as i32));
        for row in rows {
            *row = _mm256_blendv_ps(*row, nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(*row, *row));
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load(even: &Lanes, odd: &Lanes) -> [__m256; 8] {
    let mut rows = [_mm256_setzero_ps(); 8];
    for (row, sum) in rows.iter_mut().enumerate() {
        *sum = _mm256_castsi256_ps(_mm256_set_m128i(load_row(odd, row), load_row(even, row)));
    }
    rows
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store(rows: &[__m256; 8], even: &mut Lanes, odd: &mut Lanes) {
    for (row, &sum) in rows.iter().enumerate() {
        let bits = _mm256_castps_si256(sum);
        store_row(even, row, _mm256_castsi256_si128(bits));
        store_row(odd, row, _mm256_extracti128_si256::<1>(bits));
    }
}

/// Byte indices that bring the even columns of a row of 16-bit numbers before the odd ones.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn part_columns() -> __m128i {
    _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
}

/// The inverse of [`part_columns`].
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn join_columns() -> __m128i {
    _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_half(pairs: &Lanes) -> [__m256; 8] {
    let mut rows = [_mm256_setzero_ps(); 8];
    for (row, sum) in rows.iter_mut().enumerate() {
        *sum = _mm256_cvtph_ps(_mm_shuffle_epi8(load_row(pairs, row), part_columns()));
    }
    rows
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_half(rows: &[__m256; 8], pairs: &mut Lanes) {
    for (row, &sum) in rows.iter().enumerate() {
        let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(sum);
        store_row(pairs, row, _mm_shuffle_epi8(halves, join_columns()));
    }
}

/// Stores the transpose of a block given by its rows.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_transposed(rows: [__m128i; 8], block: &mut Lanes) {
    for (index, columns) in transpose(rows).into_iter().enumerate() {
        store_row(block, 2 * index, _mm256_castsi256_si128(columns));
        store_row(block, 2 * index + 1, _mm256_extracti128_si256::<1>(columns));
    }
}

/// Transposes a block.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn transpose_block(block: &mut Lanes) {
    let rows = std::array::from_fn(|row| load_row(block, row));
    store_transposed(rows, block);
}

/// Gathers the rows of a block and transposes it.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn gather_transposed(rows: [&[u8; 16]; 8], block: &mut Lanes) {
    // SAFETY: each row is 16 readable bytes.
    let rows = rows.map(|row| unsafe { _mm_loadu_si128(row.as_ptr().cast()) });
    store_transposed(rows, block);
}
