//! Exchanges between the lanes of a warp.

use super::half::Lanes;
use super::lanes::{FULL, File, lanes_of};
use super::simd::SimdLevel;
use crate::isa::{Pred, ReduxOp, Reg, ShuffleMode, Width};

/// Operands of a shuffle: value, lane or distance, segment and clamp.
pub(super) struct Shuffle {
    pub mode: ShuffleMode,
    pub d: Reg,
    pub p: Option<Pred>,
    pub a: Reg,
    pub b: Reg,
    pub c: Reg,
}

/// `shfl.sync`: the source lane of each lane, and whether it lies in the segment (PTX ISA, `shfl.sync`).
pub(super) fn shuffle(level: SimdLevel, file: &mut File, mask: u32, s: &Shuffle) {
    let (lanes, clamps) = (file.get(s.b), file.get(s.c));
    let mut sources = [0u32; 32];
    let mut inside = 0;
    for lane in 0..32u32 {
        let (b, c) = (lanes[lane as usize] & 31, clamps[lane as usize]);
        let (clamp, segment) = (c & 31, c >> 8 & 31);
        let last = lane & segment | clamp & !segment;
        let (source, holds) = match s.mode {
            ShuffleMode::Up => (lane.wrapping_sub(b), lane.wrapping_sub(b) as i32 >= last as i32),
            ShuffleMode::Down => (lane + b, lane + b <= last),
            ShuffleMode::Butterfly => (lane ^ b, lane ^ b <= last),
            ShuffleMode::Index => (lane & segment | b & !segment, (lane & segment | b & !segment) <= last),
        };
        sources[lane as usize] = if holds { source & 31 } else { lane };
        inside |= u32::from(holds) << lane;
    }
    let value = permute(level, file.get(s.a), &sources);
    file.set(mask, s.d, value);
    if let Some(p) = s.p {
        file.set_pred(mask, p, inside);
    }
}

/// `a[sources[lane]]` for every lane; the sources are below 32.
fn permute(_level: SimdLevel, a: &Lanes, sources: &Lanes) -> Lanes {
    std::array::from_fn(|lane| a[sources[lane] as usize & 31])
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
