//! Exchanges between the lanes of a warp.

use super::half::Lanes;
use super::lanes::{FULL, File, Lanewise, bits, lanes_of, per_level};
use crate::isa::{Pred, ReduxOp, Reg, ShuffleMode, Width};

/// Where a lane would read, and the last lane of its segment that it may (PTX ISA, `shfl.sync`).
#[inline(always)]
fn source(mode: ShuffleMode, own: u32, b: u32, c: u32) -> (u32, u32) {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let last = own & segment | clamp & !segment;
    match mode {
        ShuffleMode::Up => (own.wrapping_sub(b), last),
        ShuffleMode::Down => (own + b, last),
        ShuffleMode::Butterfly => (own ^ b, last),
        ShuffleMode::Index => (own & segment | b & !segment, last),
    }
}

/// The source lanes, with a lane's own where the other is not in reach, and the lanes that reach theirs.
#[inline(always)]
pub(super) fn sources(mode: ShuffleMode, b: &Lanes, c: &Lanes, from: &mut Lanes, inside: &mut Lanes) {
    for lane in 0..32 {
        let own = lane as u32;
        let (other, last) = source(mode, own, b[lane], c[lane]);
        // Upwards the clamp is a lower bound.
        let reaches = if mode == ShuffleMode::Up { other as i32 >= last as i32 } else { other as i32 <= last as i32 };
        from[lane] = if reaches { other } else { own };
        inside[lane] = u32::from(reaches);
    }
}

per_level! {
    /// `shfl.sync`
    pub(super) fn shuffle(file: &mut File, mask: u32, mode: ShuffleMode, d: Reg, p: Option<Pred>, operands: [Reg; 3]) {
        let (mut from, mut inside) = ([0; 32], [0; 32]);
        let (b, c) = (file.get(operands[1]), file.get(operands[2]));
        match mode {
            ShuffleMode::Up => sources(ShuffleMode::Up, b, c, &mut from, &mut inside),
            ShuffleMode::Down => sources(ShuffleMode::Down, b, c, &mut from, &mut inside),
            ShuffleMode::Butterfly => sources(ShuffleMode::Butterfly, b, c, &mut from, &mut inside),
            ShuffleMode::Index => sources(ShuffleMode::Index, b, c, &mut from, &mut inside),
        }
        file.permute(mask, d, operands[0], &from);
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
