//! Weights from safetensors, repacked once for the kernels.
//!
//! A [`Checkpoint`] is one model part's file. A [`Loader`] takes tensors out of it by name and shape, uploads them in
//! the layout the kernels read, and collects everything that is wrong, so that a bad checkpoint is one complete error.

mod loader;
mod repack;

pub use loader::{Conv, Linear, Loader, Norm};

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

/// The bytes of a safetensors file: mapped from disk, or part of the program.
pub struct Checkpoint {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl Checkpoint {
    /// Maps a file.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let file_error = |source| Error::File { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(file_error)?;
        // SAFETY: the file is only read; one that another process truncates under us faults, as any mapped file does.
        let map = unsafe { Mmap::map(&file) }.map_err(file_error)?;
        let checkpoint = Checkpoint { path: path.to_path_buf(), bytes: Bytes::Mapped(map) };
        checkpoint.tensors()?;
        Ok(checkpoint)
    }

    /// A file that is part of the program; `name` stands for its path in messages.
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Checkpoint {
        Checkpoint { path: PathBuf::from(name), bytes: Bytes::Static(bytes) }
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        let bytes: &[u8] = match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Static(bytes) => bytes,
        };
        SafeTensors::deserialize(bytes).map_err(|error| Error::Model {
            path: self.path.clone(),
            message: format!("not a whole safetensors file ({error}); download it again"),
        })
    }
}

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
