//! Integer arithmetic on the parts of 32-bit registers: pairs of 16 bits and quads of 8 (`add.u16x2`, `vadd4`).

use super::float::compare;
use super::lanes::File;
use crate::isa::{Packed, PackedOp, Reg};

/// Part `index` of a register, extended.
fn part(word: u32, bits: u32, index: u32, signed: bool) -> i32 {
    let raised = word << (32 - bits * (index + 1));
    if signed { raised as i32 >> (32 - bits) } else { (raised >> (32 - bits)) as i32 }
}

/// The operation on two parts, exactly.
fn apply(op: PackedOp, a: i32, b: i32) -> i32 {
    match op {
        PackedOp::Add => a + b,
        PackedOp::Sub => a - b,
        PackedOp::Average => (a + b + i32::from(a + b >= 0)) >> 1,
        PackedOp::Difference => (a - b).abs(),
        PackedOp::Min => a.min(b),
        PackedOp::Max => a.max(b),
        PackedOp::Compare(comparison) => compare(comparison, a, b, false).into(),
    }
}

/// What the result has of a part: clamped where the operation saturates, never negative where it rectifies.
fn narrow(packed: Packed, value: i32) -> i32 {
    let (low, high) = match packed.signed_result {
        true => (-(1 << (packed.bits - 1)), (1 << (packed.bits - 1)) - 1),
        false => (0, (1 << packed.bits) - 1),
    };
    let value = if packed.saturate { value.clamp(low, high) } else { value };
    if packed.relu { value.max(0) } else { value }
}

/// `d = a op b`, part by part; or `c` plus the sum of the parts.
pub(super) fn packed(file: &mut File, mask: u32, packed: Packed, d: Reg, sources: [Reg; 3]) {
    let bits = u32::from(packed.bits);
    file.each3(mask, d, sources, &|a, b, c| {
        let value = |index| {
            let (a, b) = (part(a, bits, index, packed.signed[0]), part(b, bits, index, packed.signed[1]));
            narrow(packed, apply(packed.op, a, b)) as u32
        };
        match packed.accumulate {
            true => (0..32 / bits).fold(c, |sum, index| sum.wrapping_add(value(index))),
            false => {
                let kept = u32::MAX >> (32 - bits);
                (0..32 / bits).fold(0, |word, index| word | (value(index) & kept) << (bits * index))
            }
        }
    });
}
