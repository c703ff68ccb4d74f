//! One checked launcher a kernel: shapes are checked when a launch is recorded, so that a kernel never sees tensors it
//! was not written for.

pub mod add_noise;
pub mod attention;
pub mod conv2d;
pub mod difference;
pub mod dilate;
pub mod fill_holes;
pub mod gaussian_blur;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod normalise;
pub mod picture;
pub mod posterior;
pub mod step;
pub mod text_embedding;
pub mod threshold;
pub mod time_embedding;
pub mod unscale;

mod launch;
mod split_sum;
mod tiles;

use crate::error::{Error, Result};
use crate::plan::{DType, Tensor};

/// Fails with the operator's name and what it wanted unless `condition` holds.
pub(crate) fn ensure(op: &'static str, condition: bool, message: impl FnOnce() -> String) -> Result<()> {
    if condition { Ok(()) } else { Err(Error::Shape { op, message: message() }) }
}

/// Fails unless `tensor` has this dtype and shape.
pub(crate) fn ensure_tensor(
    op: &'static str,
    name: &str,
    tensor: &Tensor,
    dtype: DType,
    shape: &[usize],
) -> Result<()> {
    ensure(op, tensor.dtype() == dtype && tensor.shape() == shape, || {
        format!("{name} is {:?} {:?}, not {dtype:?} {shape:?}", tensor.dtype(), tensor.shape())
    })
}

/// Fails unless `mask` is (height, width) u8 and not empty; gives height and width.
pub(crate) fn ensure_mask(op: &'static str, mask: &Tensor) -> Result<[usize; 2]> {
    let shape = mask.shape();
    ensure(op, shape.len() == 2 && mask.elements() > 0, || format!("mask is {shape:?}"))?;
    ensure_tensor(op, "mask", mask, DType::U8, shape)?;
    Ok([shape[0], shape[1]])
}

/// A count for a kernel's 32-bit parameter.
pub(crate) fn count(op: &'static str, value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Shape { op, message: format!("{value} does not fit 32 bits") })
}
