//! Exchanges between the lanes of a warp.

use super::lanes::{FULL, File, Lanewise, bits, lanes_of, per_level};
use crate::isa::{Pred, ReduxOp, Reg, ShuffleMode, Width};

per_level! {
    /// `shfl.sync`: the source lane of each lane, and whether it lies in the segment (PTX ISA, `shfl.sync`).
    pub(super) fn shuffle(file: &mut File, mask: u32, mode: ShuffleMode, d: Reg, p: Option<Pred>, sources: [Reg; 3]) {
        let [a, b, c] = sources;
        let (mut from, mut inside) = ([0u32; 32], [0u32; 32]);
        {
            let (b, c) = (file.get(b), file.get(c));
            for lane in 0..32 {
                let own = lane as u32;
                let (b, clamp, segment) = (b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31);
                let last = own & segment | clamp & !segment;
                let source = match mode {
                    ShuffleMode::Up => own.wrapping_sub(b),
                    ShuffleMode::Down => own + b,
                    ShuffleMode::Butterfly => own ^ b,
                    ShuffleMode::Index => own & segment | b & !segment,
                };
                let holds = match mode {
                    ShuffleMode::Up => source as i32 >= last as i32,
                    _ => source as i32 <= last as i32,
                };
                from[lane] = if holds { source } else { own };
                inside[lane] = u32::from(holds);
            }
        }
        file.permute(mask, d, a, &from);
        if let Some(p) = p {
            file.set_pred(mask, p, bits(|lane| inside[lane] != 0));
        }
    }
}

/// `match.any`: for each lane, the lanes with the same value.
pub(super) fn match_any(file: &mut File, mask: u32, width: Width, d: Reg, a: Reg) {
    let a = values(file, width, a);
    let same = |x: u64| lanes_of(mask).filter(|lane| a[*lane] == x).fold(0, |set, lane| set | 1 << lane);
    let value = a.map(same);
    file.set(mask, d, value);
}

/// `match.all`: the mask where all values are the same, else 0.
pub(super) fn match_all(file: &mut File, mask: u32, width: Width, d: Reg, p: Option<Pred>, a: Reg) {
    let a = values(file, width, a);
    let first = a[mask.trailing_zeros() as usize & 31];
    let same = lanes_of(mask).all(|lane| a[lane] == first);
    file.set(mask, d, [if same { mask } else { 0 }; 32]);
    if let Some(p) = p {
        file.set_pred(mask, p, if same { FULL } else { 0 });
    }
}

fn values(file: &File, width: Width, a: Reg) -> [u64; 32] {
    if width == Width::W64 { *file.get64(a) } else { file.get(a).map(u64::from) }
}

/// `redux.sync`: the reduction over the lanes of `mask`, in each of them.
pub(super) fn redux(file: &mut File, mask: u32, op: ReduxOp, d: Reg, a: Reg) {
    let a = file.get(a);
    let values = lanes_of(mask).map(|lane| a[lane]);
    let result = match op {
        ReduxOp::Add => values.fold(0, u32::wrapping_add),
        ReduxOp::MinU => values.fold(u32::MAX, u32::min),
        ReduxOp::MaxU => values.fold(0, u32::max),
        ReduxOp::MinS => values.fold(i32::MAX, |m, x| m.min(x as i32)) as u32,
        ReduxOp::MaxS => values.fold(i32::MIN, |m, x| m.max(x as i32)) as u32,
        ReduxOp::And => values.fold(u32::MAX, |m, x| m & x),
        ReduxOp::Or => values.fold(0, |m, x| m | x),
        ReduxOp::Xor => values.fold(0, |m, x| m ^ x),
    };
    file.set(mask, d, [result; 32]);
}
