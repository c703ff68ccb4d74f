//! A mask grown in every direction.

use super::{ensure, ensure_tensor};
use crate::error::Result;
use crate::mask::MAX_DILATION;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "dilate";

/// Width and height of a block's tile; the kernel's `TILE_WIDTH` and `TILE_HEIGHT`.
const TILE: (usize, usize) = (32, 8);

/// Records the dilation of a mask (height, width) u8 by a square of `2 radius + 1` pixels, as
/// `scipy.ndimage.binary_dilation` has it: a pixel becomes 1 where any within `radius` rows and columns is not 0. Gives
/// (height, width) u8, 0 or 1. `radius` is at most [`MAX_DILATION`].
pub fn dilate(plan: &mut Plan, mask: &Tensor, radius: usize) -> Result<Tensor> {
    let shape = mask.shape();
    ensure(OP, shape.len() == 2 && mask.elements() > 0, || format!("mask is {shape:?}"))?;
    ensure_tensor(OP, "mask", mask, DType::U8, shape)?;
    ensure(OP, radius <= MAX_DILATION, || format!("a radius of {radius}; at most {MAX_DILATION} is wanted"))?;
    ensure(OP, mask.elements() <= i32::MAX as usize, || format!("mask is {shape:?}"))?;
    let dilated = plan.tensor(DType::U8, shape);
    plan.launch(Launch {
        unit: Unit { file: OP, defines: vec![("TILE_WIDTH", TILE.0 as i64), ("TILE_HEIGHT", TILE.1 as i64)] },
        entry: OP,
        grid: [shape[1].div_ceil(TILE.0) as u32, shape[0].div_ceil(TILE.1) as u32, 1],
        block: (TILE.0 * TILE.1) as u32,
        shared_bytes: ((TILE.1 + 2 * radius) * TILE.0) as u32,
        args: vec![
            Arg::Read(mask.clone()),
            Arg::Write(dilated.clone()),
            Arg::I32(shape[0] as i32),
            Arg::I32(shape[1] as i32),
            Arg::I32(radius as i32),
        ],
        macs: 0,
    });
    Ok(dilated)
}
