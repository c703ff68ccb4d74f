//! Matrix operations of a whole warp on its register file and shared memory.

use super::half::Lanes;
use super::lanes::{FULL, File, per_level};
use super::memory::{Checked, Fault, View, addresses};
use super::mma::{self, Wide};
use super::simd::SimdLevel;
use crate::isa::{A_ROOMS, Address, B_ROOMS, Mma, Reg, Space};
use crate::report::Fault as Kind;

/// Matrix operations are for whole warps.
fn whole_warp(mask: u32) -> Checked<()> {
    if mask == FULL {
        return Ok(());
    }
    let missing = (!mask).trailing_zeros() as usize;
    Err(Fault::new(Some(missing), "a matrix operation without all 32 lanes of its warp"))
}

per_level! {
    /// The shared-memory offsets of a matrix operation's rows, 8 lanes a block, checked for bounds and alignment.
    fn rows(file: &mut File, shared_bytes: usize, lanes: usize, address: Address) -> Checked<Lanes> {
        let mut rows = [0; 32];
        let mut wrong = 0;
        let last = (shared_bytes as u32).wrapping_sub(16);
        if address.wide {
            let base = addresses(&file, address);
            for lane in 0..32 {
                // An offset beyond 32 bits is wrong in any case.
                rows[lane] = if base[lane] >> 32 == 0 { base[lane] as u32 } else { u32::MAX };
            }
        } else {
            let base = file.get(address.base);
            for lane in 0..32 {
                rows[lane] = base[lane].wrapping_add(address.offset as u32);
            }
        }
        for lane in 0..32 {
            let row = if lane < lanes { rows[lane] } else { 0 };
            wrong |= row & 15 | u32::from(row > last);
        }
        if wrong != 0 || shared_bytes < 16 { Err(wrong_row(&rows[..lanes], shared_bytes)) } else { Ok(rows) }
    }
}

#[cold]
#[inline(never)]
fn wrong_row(rows: &[u32], bytes: usize) -> Box<Fault> {
    if let Some(lane) = rows.iter().position(|row| row & 15 != 0) {
        return Fault::new(Some(lane), format!("misaligned matrix row at shared address {:#x}", rows[lane]))
            .of(Kind::MisalignedAddress)
            .accessing(Space::Shared, rows[lane].into());
    }
    let lane = rows.iter().position(|row| *row as usize + 16 > bytes).unwrap_or(0);
    Fault::new(Some(lane), format!("matrix row at shared address {:#x}, but the block has {bytes} bytes", rows[lane]))
        .of(Kind::IllegalAddress)
        .accessing(Space::Shared, rows[lane].into())
}

/// The block whose rows start at the offsets `rows`.
#[inline(always)]
fn gather(shared: &[u8], rows: &[u32; 8]) -> Lanes {
    let mut block = [[0u32; 4]; 8];
    for (words, row) in block.iter_mut().zip(rows) {
        // SAFETY: `rows` checked that 16 bytes at every row are inside `shared`; words have no invalid bits.
        *words = unsafe { shared.as_ptr().add(*row as usize).cast::<[u32; 4]>().read_unaligned() };
    }
    let mut lanes = [0; 32];
    lanes.copy_from_slice(block.as_flattened());
    lanes
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
    let rows = rows(level, file, view.shared.len(), 8 * d.len(), address)?;
    for (d, rows) in d.iter().zip(rows.as_chunks::<8>().0) {
        if transpose {
            let mut block = [0; 32];
            let bytes = view.shared.len();
            mma::load_block(level, view.shared, rows, true, &mut block).map_err(|_| wrong_row(rows, bytes))?;
            file.set(FULL, *d, block);
        } else {
            file.set(FULL, *d, gather(view.shared, rows));
        }
    }
    Ok(())
}

/// `stmatrix`
pub(super) fn store(
    level: SimdLevel,
    view: &mut View,
    file: &mut File,
    mask: u32,
    a: &[Reg],
    transpose: bool,
    address: Address,
) -> Checked<()> {
    whole_warp(mask)?;
    let bytes = view.shared.len();
    let rows = rows(level, file, bytes, 8 * a.len(), address)?;
    for (a, rows) in a.iter().zip(rows.as_chunks::<8>().0) {
        mma::store_block(level, view.shared, rows, transpose, file.get(*a)).map_err(|_| wrong_row(rows, bytes))?;
    }
    Ok(())
}

/// Widened fragments that the products of a straight line share.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    a: [[Wide; 4]; A_ROOMS],
    b: [[Wide; 2]; B_ROOMS],
    /// Rooms that this turn of the fragment has filled: no other lanes have run since.
    a_filled: u32,
    b_filled: u32,
}

impl Fragments {
    /// Other lanes may have run.
    pub(super) fn forget(&mut self) {
        (self.a_filled, self.b_filled) = (0, 0);
    }
}

/// `mma.sync`
pub(super) fn multiply(
    level: SimdLevel,
    fragments: &mut Fragments,
    file: &mut File,
    mask: u32,
    op: &Mma,
) -> Checked<()> {
    whole_warp(mask)?;
    let (a_count, b_count, d_count) = op.shape.registers();
    let format = op.shape.format();
    let (a_index, b_index) = (op.a_room.index as usize, op.b_room.index as usize);
    if !op.a_room.filled || fragments.a_filled >> a_index & 1 == 0 {
        for (wide, reg) in fragments.a[a_index].iter_mut().zip(&op.a[..a_count]) {
            mma::widen_a(level, format, wide, file.get(*reg));
        }
        fragments.a_filled |= 1 << a_index;
    }
    if !op.b_room.filled || fragments.b_filled >> b_index & 1 == 0 {
        for (wide, reg) in fragments.b[b_index].iter_mut().zip(&op.b[..b_count]) {
            mma::widen_b(level, format, wide, file.get(*reg));
        }
        fragments.b_filled |= 1 << b_index;
    }
    let (a, b) = (fragments.a[a_index].each_ref(), fragments.b[b_index].each_ref());
    if op.in_place {
        let d = op.d.map(|reg| file.pointer(reg));
        let c = op.c.map(|reg| std::ptr::from_ref(file.get(reg)));
        // SAFETY: the registers are this file's or the bank's, and lowering saw that they may be used in place.
        unsafe { mma::multiply_in_place(level, op.shape, d, a, b, c) };
        return Ok(());
    }
    let mut d = [[0; 32]; 4];
    mma::multiply(level, op.shape, &mut d, a, b, op.c.map(|reg| file.get(reg)));
    for (reg, value) in op.d.iter().zip(d).take(d_count) {
        file.set(FULL, *reg, value);
    }
    Ok(())
}
