//! Launches of one thread an element or a pixel, and the choices of dtype that kernels take as macros.

use super::{count, ensure};
use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Tensor, Unit};

/// Threads of a block.
const BLOCK: u32 = 256;

/// A launch of one thread an element (a pixel or a vector of channels), in blocks of 256, for each of `samples`.
pub(super) fn per_element(
    entry: &'static str,
    unit: Unit,
    elements: usize,
    samples: usize,
    args: Vec<Arg>,
) -> Result<Launch> {
    ensure(entry, elements > 0 && samples > 0, || "an empty tensor".into())?;
    ensure(entry, samples <= 65_535, || format!("{samples} samples; a grid has at most 65535"))?;
    let blocks = count(entry, elements)?.div_ceil(BLOCK);
    Ok(Launch { unit, entry, grid: [blocks, samples as u32, 1], block: BLOCK, shared_bytes: 0, args, macs: 0 })
}

/// Width and height of a block's tile of pixels; the kernels' `TILE_WIDTH` and `TILE_HEIGHT`.
pub(super) const TILE: (usize, usize) = (32, 8);

/// A launch of one thread a pixel of (height, width), in tiles, of the kernel whose file has the name of its entry.
pub(super) fn per_pixel(
    entry: &'static str,
    [height, width]: [usize; 2],
    shared_bytes: usize,
    args: Vec<Arg>,
) -> Launch {
    Launch {
        unit: Unit { file: entry, defines: vec![("TILE_WIDTH", TILE.0 as i64), ("TILE_HEIGHT", TILE.1 as i64)] },
        entry,
        grid: [width.div_ceil(TILE.0) as u32, height.div_ceil(TILE.1) as u32, 1],
        block: (TILE.0 * TILE.1) as u32,
        shared_bytes: shared_bytes as u32,
        args,
        macs: 0,
    }
}

/// The value of a kernel's `..._F32` macro: 1 for fp32, 0 for fp16; fails for other dtypes.
pub(super) fn is_f32(op: &'static str, name: &str, tensor: &Tensor) -> Result<i64> {
    let dtype = tensor.dtype();
    ensure(op, matches!(dtype, DType::F16 | DType::F32), || format!("{name} is {dtype:?}, not fp16 or fp32"))?;
    Ok(i64::from(dtype == DType::F32))
}
