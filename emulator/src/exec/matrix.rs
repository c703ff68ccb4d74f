//! Matrix operations of a whole warp on its register file and shared memory.

use super::half::Lanes;
use super::lanes::{FULL, File, per_level};
use super::memory::{Checked, Fault, View, addresses};
use super::mma::sparse::Invalid;
use super::mma::{self, Model, Wide, general};
use super::simd::SimdLevel;
use crate::isa::{A_ROOMS, Address, B_ROOMS, Instruction, MatrixProduct, Mma, Op, QuadPairProduct, Reg, Space};
use crate::report::Fault as Kind;

/// Matrix operations are for whole warps.
pub(super) fn whole_warp(mask: u32) -> Checked<()> {
    if mask == FULL {
        return Ok(());
    }
    let missing = (!mask).trailing_zeros() as usize;
    Err(Fault::new(Some(missing), "a matrix operation without all 32 lanes of its warp"))
}

per_level! {
    /// The shared-memory offsets of a matrix operation's rows, 8 lanes a block, checked for bounds and alignment.
    fn rows(file: &mut File, rows: &mut Lanes, shared_bytes: usize, lanes: usize, address: Address) -> Checked<()> {
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
        if wrong != 0 || shared_bytes < 16 { Err(wrong_row(&rows[..lanes], shared_bytes)) } else { Ok(()) }
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
///
/// # Safety
/// 16 bytes at every row are inside `shared`.
#[inline(always)]
unsafe fn gather(shared: &[u8], rows: &[u32; 8], block: &mut Lanes) {
    for (words, row) in block.as_chunks_mut::<4>().0.iter_mut().zip(rows) {
        // SAFETY: the caller's promise; words have no invalid bits.
        *words = unsafe { shared.as_ptr().add(*row as usize).cast::<[u32; 4]>().read_unaligned() };
    }
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
    let mut offsets = [0; 32];
    rows(level, file, &mut offsets, view.shared.len(), 8 * d.len(), address)?;
    for (d, rows) in d.iter().zip(offsets.as_chunks::<8>().0) {
        if transpose {
            let mut block = [0; 32];
            let bytes = view.shared.len();
            mma::load_block(level, view.shared, rows, true, &mut block).map_err(|_| wrong_row(rows, bytes))?;
            file.set(FULL, *d, block);
        } else {
            // SAFETY: the register is this file's; `rows` checked the addresses.
            unsafe { gather(view.shared, rows, &mut *file.pointer(*d)) };
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
    let mut offsets = [0; 32];
    rows(level, file, &mut offsets, bytes, 8 * a.len(), address)?;
    for (a, rows) in a.iter().zip(offsets.as_chunks::<8>().0) {
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

    /// Widens what the rooms of a product do not hold yet.
    #[inline(always)]
    fn fill(&mut self, level: SimdLevel, file: &File, op: &Mma) {
        let (a_count, b_count, _) = op.shape.registers();
        let format = op.shape.format();
        let (a_index, b_index) = (op.a_room.index as usize, op.b_room.index as usize);
        if !op.a_room.filled || self.a_filled >> a_index & 1 == 0 {
            for (wide, reg) in self.a[a_index].iter_mut().zip(&op.a[..a_count]) {
                mma::widen_a(level, format, wide, file.get(*reg));
            }
            self.a_filled |= 1 << a_index;
        }
        if !op.b_room.filled || self.b_filled >> b_index & 1 == 0 {
            for (wide, reg) in self.b[b_index].iter_mut().zip(&op.b[..b_count]) {
                mma::widen_b(level, format, wide, file.get(*reg));
            }
            self.b_filled |= 1 << b_index;
        }
    }
}

/// The products of a run, one after the other or two at once.
pub(super) fn multiply_run(level: SimdLevel, fragments: &mut Fragments, file: &mut File, run: &[Instruction]) {
    let mut products = run.iter().filter_map(|i| if let Op::Mma(mma) = &i.op { Some(&**mma) } else { None });
    while let Some(mma) = products.next() {
        if mma.paired
            && let Some(next) = products.next()
        {
            multiply_pair(level, fragments, file, mma, next);
        } else {
            multiply_one(level, fragments, file, mma);
        }
    }
}

/// `movmatrix`
pub(super) fn transpose(level: SimdLevel, file: &mut File, mask: u32, d: Reg, a: Reg) -> Checked<()> {
    whole_warp(mask)?;
    let mut block = *file.get(a);
    mma::transpose(level, &mut block);
    file.set(FULL, d, block);
    Ok(())
}

/// `mma.sync` and `wmma.mma` on any types.
pub(super) fn product(
    level: SimdLevel,
    model: Option<&Model>,
    file: &mut File,
    mask: u32,
    op: &MatrixProduct,
) -> Checked<()> {
    whole_warp(mask)?;
    general::product(level, model, file, op).map_err(|Invalid { lane, row, chunk, bits }| {
        let message = format!("metadata {bits:#06b} of chunk {chunk} of row {row} of A, which has no meaning");
        Fault::new(Some(lane), message)
    })
}

/// `mma.m8n8k4` on fp16.
pub(super) fn quad_pairs(
    level: SimdLevel,
    model: Option<&Model>,
    file: &mut File,
    mask: u32,
    op: &QuadPairProduct,
) -> Checked<()> {
    whole_warp(mask)?;
    general::quad_pairs(level, model, file, op);
    Ok(())
}

/// `mma.sync` of the shapes that have a path of their own.
pub(super) fn multiply(
    level: SimdLevel,
    model: Option<&Model>,
    fragments: &mut Fragments,
    file: &mut File,
    mask: u32,
    op: &Mma,
) -> Checked<()> {
    whole_warp(mask)?;
    match model {
        Some(model) => general::modelled(level, model, file, op),
        None => multiply_one(level, fragments, file, op),
    }
    Ok(())
}

/// Two products that share A.
fn multiply_pair(level: SimdLevel, fragments: &mut Fragments, file: &mut File, first: &Mma, second: &Mma) {
    fragments.fill(level, file, first);
    fragments.fill(level, file, second);
    let (first_c, second_c) = (addends(file, first), addends(file, second));
    let d = [results(file, first), results(file, second)];
    let a = fragments.a[first.a_room.index as usize].each_ref();
    let b = [&fragments.b[first.b_room.index as usize], &fragments.b[second.b_room.index as usize]];
    let b = [b[0].each_ref(), b[1].each_ref()];
    // SAFETY: the registers are this file's or the bank's, and lowering saw that the two may be interleaved in place.
    unsafe { mma::multiply_pair(level, first.shape, d, a, b, [first_c, second_c]) };
}

/// Pointers to the registers of `c`; written out, because `map` of an array is a call.
#[inline(always)]
fn addends(file: &File, op: &Mma) -> [*const Lanes; 4] {
    let [r0, r1, r2, r3] = op.c;
    [file.get(r0), file.get(r1), file.get(r2), file.get(r3)]
}

/// Pointers to the registers of `d`.
#[inline(always)]
fn results(file: &mut File, op: &Mma) -> [*mut Lanes; 4] {
    let [r0, r1, r2, r3] = op.d;
    [file.pointer(r0), file.pointer(r1), file.pointer(r2), file.pointer(r3)]
}

fn multiply_one(level: SimdLevel, fragments: &mut Fragments, file: &mut File, op: &Mma) {
    let (_, _, d_count) = op.shape.registers();
    fragments.fill(level, file, op);
    let (a, b) = (fragments.a[op.a_room.index as usize].each_ref(), fragments.b[op.b_room.index as usize].each_ref());
    if op.in_place {
        let (c, d) = (addends(file, op), results(file, op));
        // SAFETY: the registers are this file's or the bank's, and lowering saw that they may be used in place.
        unsafe { mma::multiply_in_place(level, op.shape, d, a, b, c) };
        return;
    }
    let mut d = [[0; 32]; 4];
    mma::multiply(level, op.shape, &mut d, a, b, op.c.map(|reg| file.get(reg)));
    for (reg, value) in op.d.iter().zip(d).take(d_count) {
        file.set(FULL, *reg, value);
    }
}
