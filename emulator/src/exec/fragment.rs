//! `wmma.load` and `wmma.store`: fragments between registers and memory.

use super::lanes::{FULL, File, Lanes64};
use super::matrix::whole_warp;
use super::memory::{Checked, View, addresses, read, write};
use crate::isa::{Element, FragmentAccess};

/// The addresses of element `part` of a register: its place in the matrix, counted from the lanes' common address.
fn element_addresses(
    base: &Lanes64,
    stride: &[u32; 32],
    access: &FragmentAccess,
    register: usize,
    part: u32,
) -> Lanes64 {
    let fragment = access.operand.fragment;
    let (run, bits) = (u64::from(fragment.run()), u64::from(fragment.element.bits()));
    // Where an fp16 operand has more registers than elements to fill them, they hold these again.
    let (row, column) = fragment.origin(register % fragment.registers(), part);
    let mut pointers = [0; 32];
    for lane in 0..32 {
        let (row, column) = (row as u64 + lane as u64 / 4, column as u64 + run * (lane as u64 % 4));
        let (outer, inner) = if access.rows_contiguous { (row, column) } else { (column, row) };
        pointers[lane] = base[lane].wrapping_add((outer * u64::from(stride[lane]) + inner) * bits / 8);
    }
    pointers
}

/// How a register's elements move: their number of accesses, and the bytes of each.
pub(super) fn steps(access: &FragmentAccess) -> (u32, u64) {
    let fragment = access.operand.fragment;
    let bytes = u64::from(fragment.element.bits().max(8)) / 8;
    match fragment.element {
        Element::F64 => (1, 8),
        // Elements of less than a byte are neighbours: lowering refuses other layouts.
        _ if access.rows_contiguous => (1, 4),
        _ => (fragment.per_register(), bytes),
    }
}

/// Calls back with the addresses and the bytes of every access that a load or store makes.
pub(super) fn each_access(file: &File, access: &FragmentAccess, mut f: impl FnMut(Lanes64, u32)) {
    let (base, stride) = (addresses(file, access.address), *file.get(access.stride));
    let (parts, bytes) = steps(access);
    for register in 0..access.operand.fragment.registers() {
        for part in 0..parts {
            f(element_addresses(&base, &stride, access, register, part), bytes as u32);
        }
    }
}

/// `wmma.load`
pub(super) fn load(view: &mut View, file: &mut File, mask: u32, access: &FragmentAccess) -> Checked<()> {
    whole_warp(mask)?;
    let (base, stride) = (addresses(file, access.address), *file.get(access.stride));
    let (parts, bytes) = steps(access);
    for (register, reg) in access.operand.registers.iter().enumerate() {
        let mut value = [0u64; 32];
        for part in 0..parts {
            let mut pointers = element_addresses(&base, &stride, access, register, part);
            view.resolve(access.space, &mut pointers, mask, bytes)?;
            for lane in 0..32 {
                let element = match bytes {
                    1 => u64::from(read::<1>(pointers[lane])[0]),
                    2 => u64::from(u16::from_le_bytes(read(pointers[lane]))),
                    4 => u64::from(u32::from_le_bytes(read(pointers[lane]))),
                    _ => u64::from_le_bytes(read(pointers[lane])),
                };
                value[lane] |= element << (8 * bytes * u64::from(part));
            }
        }
        match access.operand.fragment.element {
            Element::F64 => file.set64(FULL, *reg, value),
            _ => file.set(FULL, *reg, value.map(|value| value as u32)),
        }
    }
    Ok(())
}

/// `wmma.store`
pub(super) fn store(view: &mut View, file: &mut File, mask: u32, access: &FragmentAccess) -> Checked<()> {
    whole_warp(mask)?;
    let (base, stride) = (addresses(file, access.address), *file.get(access.stride));
    let (parts, bytes) = steps(access);
    for (register, reg) in access.operand.registers.iter().enumerate() {
        let value: Lanes64 = match access.operand.fragment.element {
            Element::F64 => *file.get64(*reg),
            _ => file.get(*reg).map(u64::from),
        };
        for part in 0..parts {
            let mut pointers = element_addresses(&base, &stride, access, register, part);
            view.resolve(access.space, &mut pointers, mask, bytes)?;
            for lane in 0..32 {
                let element = value[lane] >> (8 * bytes * u64::from(part));
                match bytes {
                    2 => write(pointers[lane], (element as u16).to_le_bytes()),
                    4 => write(pointers[lane], (element as u32).to_le_bytes()),
                    _ => write(pointers[lane], element.to_le_bytes()),
                }
            }
        }
    }
    Ok(())
}
