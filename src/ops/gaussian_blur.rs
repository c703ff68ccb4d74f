//! OpenCV's blur of an 8-bit mask.

use super::launch::{TILE, per_pixel};
use super::{ensure, ensure_mask, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Plan, Tensor};

const OP: &str = "gaussian_blur";

/// The largest kernel: its tile's sums fit the shared memory that a block gets without asking.
const MAX_SIZE: usize = 255;

/// Records `cv.GaussianBlur(mask, (k, k), 0) > 0.1` of a mask (height, width) u8, in OpenCV's fixed point and with its
/// reflected border; gives (height, width) u8, 0 or 1. `kernel` (k) i32 holds OpenCV's coefficients in 8.8 fixed
/// point, whose sum is 256; k is odd and at most 255. On a mask of 0 and 1 a pixel becomes 1 where at least half of
/// the weight around it is 1.
pub fn gaussian_blur(plan: &mut Plan, mask: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let shape = ensure_mask(OP, mask)?;
    let size = kernel.elements();
    ensure_tensor(OP, "kernel", kernel, DType::I32, &[size])?;
    ensure(OP, size % 2 == 1 && size <= MAX_SIZE, || {
        format!("a kernel of {size}; an odd number up to {MAX_SIZE} is wanted")
    })?;
    ensure(OP, mask.elements() <= i32::MAX as usize, || format!("mask is {shape:?}"))?;
    let blurred = plan.tensor(DType::U8, &shape);
    let args = vec![
        Arg::Read(mask.clone()),
        Arg::Read(kernel.clone()),
        Arg::Write(blurred.clone()),
        Arg::I32(shape[0] as i32),
        Arg::I32(shape[1] as i32),
        Arg::I32(size as i32),
    ];
    plan.launch(per_pixel(OP, shape, (TILE.1 + size - 1) * TILE.0 * size_of::<i32>(), args));
    Ok(blurred)
}
