//! Weights from safetensors, repacked once for the kernels.
//!
//! A [`WeightFile`] is one file, a [`Checkpoint`] one model part in whatever files and under whatever names it is
//! stored. A [`Loader`] takes tensors out of it by name and shape, collects everything that is wrong, so that a bad
//! checkpoint is one complete error, and uploads them in the layout the kernels read.

mod checkpoint;
mod convert;
mod file;
mod foreign;
mod loader;
mod naming;
mod problems;
mod repack;
mod upload;

pub use checkpoint::Checkpoint;
pub use file::{View, WeightFile};
pub use loader::{Conv, Linear, Loader, Norm};
pub use naming::Naming;
pub use problems::{Problem, listed};
