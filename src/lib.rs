//! DiffEdit on Stable Diffusion 1.5, in hand-written CUDA kernels.

#[cfg(feature = "cli")]
pub mod cli;
pub mod device;
pub mod edit;
mod error;
pub mod kernels;
pub mod mask;
pub mod model;
pub mod ops;
pub mod picture;
pub mod plan;
#[cfg(feature = "cli")]
pub mod report;
pub mod rng;
pub mod scheduler;
pub mod weights;

pub use edit::{EditRequest, EditResult, Editor, EditorOptions};
pub use error::{Error, Result};
