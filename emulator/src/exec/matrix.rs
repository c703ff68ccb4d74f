//! Matrix operations of a whole warp on its register file and shared memory.

use super::half::Lanes;
use super::lanes::{FULL, File};
use super::memory::{Checked, Fault, View, addresses};
use super::mma;
use super::simd::SimdLevel;
use crate::isa::{Address, Mma, Reg};

/// Matrix operations are for whole warps.
fn whole_warp(mask: u32) -> Checked<()> {
    if mask == FULL {
        return Ok(());
    }
    let missing = (!mask).trailing_zeros() as usize;
    Err(Fault::new(Some(missing), "a matrix operation without all 32 lanes of its warp"))
}

/// The shared-memory offsets of a matrix operation's rows: 8 lanes a block, checked for bounds by the block's own
/// loads and for alignment here.
fn rows(view: &View, file: &File, blocks: usize, address: Address) -> Checked<[u32; 32]> {
    let addresses = addresses(file, address);
    let mut rows = [0; 32];
    for lane in 0..8 * blocks {
        if addresses[lane] & 15 != 0 {
            let message = format!("misaligned matrix row at shared address {:#x}", addresses[lane]);
            return Err(Fault::new(Some(lane), message));
        }
        if addresses[lane] + 16 > view.shared.len() as u64 {
            return Err(outside(view, lane, addresses[lane]));
        }
        rows[lane] = addresses[lane] as u32;
    }
    Ok(rows)
}

fn outside(view: &View, lane: usize, address: u64) -> Box<Fault> {
    let bytes = view.shared.len();
    Fault::new(Some(lane), format!("matrix row at shared address {address:#x}, but the block has {bytes} bytes"))
}

/// `ldmatrix`
pub(super) fn load(
    level: SimdLevel,
    view: &mut View,
    file: &mut File,
    mask: u32,
    d: &[Reg],
    transpose: bool,
    address: Address,
) -> Checked<()> {
    whole_warp(mask)?;
    let rows = rows(view, file, d.len(), address)?;
    for (d, rows) in d.iter().zip(rows.as_chunks::<8>().0) {
        let mut block: Lanes = [0; 32];
        mma::load_block(level, view.shared, rows, transpose, &mut block)
            .map_err(|row| outside(view, row, rows[row].into()))?;
        file.set(FULL, *d, block);
    }
    Ok(())
}

/// `stmatrix`
pub(super) fn store(
    level: SimdLevel,
    view: &mut View,
    file: &File,
    mask: u32,
    a: &[Reg],
    transpose: bool,
    address: Address,
) -> Checked<()> {
    whole_warp(mask)?;
    let rows = rows(view, file, a.len(), address)?;
    for (a, rows) in a.iter().zip(rows.as_chunks::<8>().0) {
        mma::store_block(level, view.shared, rows, transpose, file.get(*a))
            .map_err(|row| outside(view, row, rows[row].into()))?;
    }
    Ok(())
}

/// `mma.sync`
pub(super) fn multiply(
    level: SimdLevel,
    operands: &mut mma::Operands,
    file: &mut File,
    mask: u32,
    op: &Mma,
) -> Checked<()> {
    whole_warp(mask)?;
    let mut d = [[0; 32]; 4];
    mma::mma(
        level,
        op.shape,
        operands,
        &mut d,
        op.a.map(|r| file.get(r)),
        op.b.map(|r| file.get(r)),
        op.c.map(|r| file.get(r)),
    );
    let (_, _, registers) = op.shape.registers();
    for (reg, value) in op.d.iter().zip(d).take(registers) {
        file.set(FULL, *reg, value);
    }
    Ok(())
}
