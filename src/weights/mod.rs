//! Weights from safetensors, repacked once for the kernels.
//!
//! A [`WeightFile`] is one file, a [`Checkpoint`] one model part in whatever files and under whatever names it is
//! stored. A [`Loader`] takes tensors out of it by name and shape, uploads them in the layout the kernels read, and
//! collects everything that is wrong, so that a bad checkpoint is one complete error.

mod checkpoint;
mod file;
mod foreign;
mod loader;
mod naming;
mod problems;
mod repack;

pub use checkpoint::Checkpoint;
pub use file::{View, WeightFile};
pub use loader::{Conv, Linear, Loader, Norm};
pub use naming::Naming;
pub use problems::{Problem, listed};

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::Dtype;

/// A tensor's elements as fp16, whatever they are stored as.
///
/// # Errors
/// The reason, for a dtype that is no float or a finite value that overflows fp16.
fn to_f16<'a>(dtype: Dtype, bytes: &'a [u8]) -> Result<Cow<'a, [f16]>, String> {
    let halves = match dtype {
        Dtype::F16 => match bytemuck::try_cast_slice(bytes) {
            Ok(halves) => return Ok(Cow::Borrowed(halves)),
            Err(_) => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect(),
        },
        Dtype::BF16 => narrow(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()))?,
        Dtype::F32 => narrow(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))?,
        other => return Err(format!("dtype {other:?} is not F16, BF16 or F32")),
    };
    Ok(Cow::Owned(halves))
}

fn narrow(values: impl Iterator<Item = f32>) -> Result<Vec<f16>, String> {
    values
        .map(|value| {
            let half = f16::from_f32(value);
            if half.is_infinite() && value.is_finite() { Err(format!("{value} overflows fp16")) } else { Ok(half) }
        })
        .collect()
}
