//! Special registers, selections and packing.

use super::interpret::Machine;
use super::lanes::{BIT, File, Lanewise, per_level};
use crate::isa::{Reg, Special, Width};

/// Reads a special register.
pub(super) fn read(m: &mut Machine, mask: u32, special: Special, d: Reg) {
    let lane_mask = |f: fn(u32) -> u32| std::array::from_fn(|lane| f(lane as u32));
    let nanoseconds = || m.grid.started.elapsed().as_nanos() as u64;
    let value = match special {
        Special::Thread(axis) => m.grid.thread_ids[m.number][axis as usize],
        Special::Block(axis) => [m.block[axis as usize]; 32],
        Special::Lane => lane_mask(|lane| lane),
        Special::Warp => [m.number as u32; 32],
        // Blocks go around the multiprocessors in the order of their numbers.
        Special::Multiprocessor => [m.grid.block_number(m.block) as u32 % m.grid.multiprocessors; 32],
        Special::LaneMaskEq => lane_mask(|lane| 1 << lane),
        Special::LaneMaskLt => lane_mask(|lane| (1 << lane) - 1),
        Special::LaneMaskLe => lane_mask(|lane| u32::MAX >> (31 - lane)),
        Special::LaneMaskGt => lane_mask(|lane| !(u32::MAX >> (31 - lane))),
        Special::LaneMaskGe => lane_mask(|lane| u32::MAX << lane),
        Special::Clock => [nanoseconds() as u32; 32],
        Special::ClockHigh => [(nanoseconds() >> 32) as u32; 32],
        Special::Clock64 | Special::GlobalTimer => {
            let now = nanoseconds();
            return m.file.set64(mask, d, [now; 32]);
        }
    };
    m.file.set(mask, d, value);
}

per_level! {
    /// `d` = `a` in the lanes of `chosen`, `b` in the others. Written with bits because LLVM would select pointers.
    pub(super) fn select(file: &mut File, mask: u32, width: Width, d: Reg, a: Reg, b: Reg, chosen: u32) {
        if width == Width::W64 {
            let mut value = [0; 32];
            let (a, b) = (file.get64(a), file.get64(b));
            for lane in 0..32 {
                let choice = u64::from(chosen & BIT[lane] != 0).wrapping_neg();
                value[lane] = b[lane] ^ (a[lane] ^ b[lane]) & choice;
            }
            file.set64(mask, d, value);
        } else {
            let mut value = [0; 32];
            let (a, b) = (file.get(a), file.get(b));
            for lane in 0..32 {
                let choice = u32::from(chosen & BIT[lane] != 0).wrapping_neg();
                value[lane] = b[lane] ^ (a[lane] ^ b[lane]) & choice;
            }
            file.set(mask, d, value);
        }
    }
}

per_level! {
    /// `d` = the pair of 16-bit registers, `a` lower.
    pub(super) fn pack_16x2(file: &mut File, mask: u32, d: Reg, a: Reg, b: Reg) {
        file.map2(mask, d, [a, b], |a, b| a & 0xffff | b << 16);
    }
}

per_level! {
    /// `d` = the pair of 32-bit registers, `a` lower.
    pub(super) fn pack_32x2(file: &mut File, mask: u32, d: Reg, a: Reg, b: Reg) {
        file.widen2(mask, d, [a, b], |a, b| u64::from(a) | u64::from(b) << 32);
    }
}

per_level! {
    /// The halves of a 64-bit register, lower first.
    pub(super) fn unpack_32x2(file: &mut File, mask: u32, d: [Reg; 2], a: Reg) {
        let mut value = [[0; 32]; 2];
        let a = file.get64(a);
        for lane in 0..32 {
            value[0][lane] = a[lane] as u32;
            value[1][lane] = (a[lane] >> 32) as u32;
        }
        file.set(mask, d[0], value[0]);
        file.set(mask, d[1], value[1]);
    }
}

per_level! {
    /// The halves of a 32-bit register, lower first.
    pub(super) fn unpack_16x2(file: &mut File, mask: u32, d: [Reg; 2], a: Reg) {
        let mut value = [[0; 32]; 2];
        let a = file.get(a);
        for lane in 0..32 {
            value[0][lane] = a[lane] & 0xffff;
            value[1][lane] = a[lane] >> 16;
        }
        file.set(mask, d[0], value[0]);
        file.set(mask, d[1], value[1]);
    }
}
