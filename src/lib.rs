//! DiffEdit on Stable Diffusion 1.5, in hand-written CUDA kernels.

pub mod device;
mod error;
pub mod kernels;
pub mod mask;
pub mod ops;
pub mod plan;
pub mod rng;
pub mod scheduler;

pub use error::{Error, Result};
