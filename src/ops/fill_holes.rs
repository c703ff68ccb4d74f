//! Filling the holes of a mask.

use super::{ensure, ensure_mask};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "fill_holes";

/// Threads of the one block; the kernel's `THREADS`.
const THREADS: usize = 1024;

/// Words of 32 pixels that a thread holds; the kernel's `WORDS`.
const WORDS: usize = 2;

/// Records `scipy.ndimage.binary_fill_holes` of a mask (height, width) u8: background that no 4-connected path of
/// background joins to the outside becomes mask. Gives (height, width) u8, 0 or 1. Fails over 256 x 256 pixels (over
/// 2048 words of 32 pixels, each row beginning a word).
pub fn fill_holes(plan: &mut Plan, mask: &Tensor) -> Result<Tensor> {
    let shape = ensure_mask(OP, mask)?;
    let words = shape[0] * shape[1].div_ceil(32);
    ensure(OP, words <= THREADS * WORDS, || {
        format!("mask is {shape:?}: {words} words of 32 pixels, at most {} fit", THREADS * WORDS)
    })?;
    let filled = plan.tensor(DType::U8, &shape);
    plan.launch(Launch {
        unit: Unit { file: "fill_holes", defines: vec![("THREADS", THREADS as i64), ("WORDS", WORDS as i64)] },
        entry: OP,
        grid: [1, 1, 1],
        block: THREADS as u32,
        shared_bytes: (2 * words * size_of::<u32>()) as u32,
        args: vec![
            Arg::Read(mask.clone()),
            Arg::Write(filled.clone()),
            Arg::U32(shape[0] as u32),
            Arg::U32(shape[1] as u32),
        ],
        macs: 0,
    });
    Ok(filled)
}
