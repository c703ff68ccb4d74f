//! DiffEdit on Stable Diffusion 1.5, in hand-written CUDA kernels.

pub mod device;
mod error;
pub mod kernels;
pub mod ops;
pub mod plan;

pub use error::{Error, Result};
