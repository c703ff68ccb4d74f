//! `ldmatrix` and `stmatrix`: 8x8 blocks of 16-bit numbers between shared memory and a register.

#[cfg(target_arch = "x86_64")]
use super::avx2;
use crate::exec::half::Lanes;
use crate::exec::simd::SimdLevel;

/// Bytes of a block's row.
const ROW_BYTES: usize = 16;

/// Loads the block whose rows start at the byte offsets `rows` of `shared`, as `ldmatrix` does for the addresses of
/// eight consecutive lanes. `d` gets the block, or its transpose, in fragment order.
///
/// The error is the index of the first row that is not wholly inside `shared`; `d` is then unchanged.
#[inline]
pub fn load_block(
    level: SimdLevel,
    shared: &[u8],
    rows: &[u32; 8],
    transposed: bool,
    d: &mut Lanes,
) -> Result<(), usize> {
    let mut slices = [&[0; ROW_BYTES]; 8];
    for (index, (slice, &offset)) in slices.iter_mut().zip(rows).enumerate() {
        *slice = shared.get(offset as usize..).and_then(|rest| rest.first_chunk()).ok_or(index)?;
    }
    #[cfg(target_arch = "x86_64")]
    if transposed && level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C.
        unsafe { avx2::gather_transposed(slices, d) };
        return Ok(());
    }
    for (lanes, row) in d.as_chunks_mut::<4>().0.iter_mut().zip(slices) {
        for (lane, bytes) in lanes.iter_mut().zip(row.as_chunks::<4>().0) {
            *lane = u32::from_le_bytes(*bytes);
        }
    }
    if transposed {
        transpose(level, d);
    }
    Ok(())
}

/// Stores the block `a`, or its transpose, in rows that start at the byte offsets `rows` of `shared`, as `stmatrix`
/// does; of overlapping rows the last wins.
///
/// The error is the index of the first row that is not wholly inside `shared`; `shared` is then unchanged.
pub fn store_block(
    level: SimdLevel,
    shared: &mut [u8],
    rows: &[u32; 8],
    transposed: bool,
    a: &Lanes,
) -> Result<(), usize> {
    let fits = |&offset: &u32| shared.len().checked_sub(ROW_BYTES).is_some_and(|last| offset as usize <= last);
    if let Some(index) = rows.iter().position(|offset| !fits(offset)) {
        return Err(index);
    }
    let mut block = *a;
    if transposed {
        transpose(level, &mut block);
    }
    for (lanes, &offset) in block.as_chunks::<4>().0.iter().zip(rows) {
        let row = &mut shared[offset as usize..][..ROW_BYTES];
        for (bytes, lane) in row.as_chunks_mut::<4>().0.iter_mut().zip(lanes) {
            *bytes = lane.to_le_bytes();
        }
    }
    Ok(())
}

/// The transpose of a block (`movmatrix`).
pub fn transpose(level: SimdLevel, block: &mut Lanes) {
    #[cfg(target_arch = "x86_64")]
    if level.has_avx2() {
        // SAFETY: the level says that the host has AVX2, FMA and F16C.
        return unsafe { avx2::transpose_block(block) };
    }
    let element = |row: usize, column: usize| block[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    *block = std::array::from_fn(|lane| {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        element(column, row) | element(column + 1, row) << 16
    });
}
