//! OpenCV's blur of an 8-bit mask.

use super::{ensure, ensure_tensor};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor, Unit};

const OP: &str = "gaussian_blur";

/// Width and height of a block's tile; the kernel's `TILE_WIDTH` and `TILE_HEIGHT`.
const TILE: (usize, usize) = (32, 8);

/// The largest kernel: its tile's sums fit the shared memory that a block gets without asking.
const MAX_SIZE: usize = 255;

/// Records `cv.GaussianBlur(mask, (k, k), 0) > 0.1` of a mask (height, width) u8, in OpenCV's fixed point and with its
/// reflected border; gives (height, width) u8, 0 or 1. `kernel` (k) i32 holds OpenCV's coefficients in 8.8 fixed
/// point, whose sum is 256; k is odd and at most 255. On a mask of 0 and 1 a pixel becomes 1 where at least half of
/// the weight around it is 1.
pub fn gaussian_blur(plan: &mut Plan, mask: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let shape = mask.shape();
    ensure(OP, shape.len() == 2 && mask.elements() > 0, || format!("mask is {shape:?}"))?;
    ensure_tensor(OP, "mask", mask, DType::U8, shape)?;
    let size = kernel.elements();
    ensure_tensor(OP, "kernel", kernel, DType::I32, &[size])?;
    ensure(OP, size % 2 == 1 && size <= MAX_SIZE, || {
        format!("a kernel of {size}; an odd number up to {MAX_SIZE} is wanted")
    })?;
    ensure(OP, mask.elements() <= i32::MAX as usize, || format!("mask is {shape:?}"))?;
    let blurred = plan.tensor(DType::U8, shape);
    plan.launch(Launch {
        unit: Unit {
            file: "gaussian_blur",
            defines: vec![("TILE_WIDTH", TILE.0 as i64), ("TILE_HEIGHT", TILE.1 as i64)],
        },
        entry: OP,
        grid: [shape[1].div_ceil(TILE.0) as u32, shape[0].div_ceil(TILE.1) as u32, 1],
        block: (TILE.0 * TILE.1) as u32,
        shared_bytes: ((TILE.1 + size - 1) * TILE.0 * size_of::<i32>()) as u32,
        args: vec![
            Arg::Read(mask.clone()),
            Arg::Read(kernel.clone()),
            Arg::Write(blurred.clone()),
            Arg::I32(shape[0] as i32),
            Arg::I32(shape[1] as i32),
            Arg::I32(size as i32),
        ],
        macs: 0,
    });
    Ok(blurred)
}
