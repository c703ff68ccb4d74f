//! Weights from safetensors, repacked once for the kernels.
//!
//! A [`Checkpoint`] is one model part's file. A [`Loader`] takes tensors out of it by name and shape, collects everything
//! that is wrong, so that a bad checkpoint is one complete error, and uploads them in the layout the kernels read.

mod convert;
mod loader;
mod repack;
mod upload;

pub use loader::{Conv, Linear, Loader, Norm};

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;

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
