//! A mask grown in every direction.

use super::launch::{TILE, per_pixel};
use super::{ensure, ensure_mask};
use crate::error::Result;
use crate::mask::MAX_DILATION;
use crate::plan::{Arg, DType, Plan, Tensor};

const OP: &str = "dilate";

/// Records the dilation of a mask (height, width) u8 by a square of `2 radius + 1` pixels, as
/// `scipy.ndimage.binary_dilation` has it: a pixel becomes 1 where any within `radius` rows and columns is not 0. Gives
/// (height, width) u8, 0 or 1. `radius` is at most [`MAX_DILATION`].
pub fn dilate(plan: &mut Plan, mask: &Tensor, radius: usize) -> Result<Tensor> {
    let shape = ensure_mask(OP, mask)?;
    ensure(OP, radius <= MAX_DILATION, || format!("a radius of {radius}; at most {MAX_DILATION} is wanted"))?;
    ensure(OP, mask.elements() <= i32::MAX as usize, || format!("mask is {shape:?}"))?;
    let dilated = plan.tensor(DType::U8, &shape);
    let args = vec![
        Arg::Read(mask.clone()),
        Arg::Write(dilated.clone()),
        Arg::I32(shape[0] as i32),
        Arg::I32(shape[1] as i32),
        Arg::I32(radius as i32),
    ];
    plan.launch(per_pixel(OP, shape, (TILE.1 + 2 * radius) * TILE.0, args));
    Ok(dilated)
}
