//! DiffEdit on Stable Diffusion 1.5, in hand-written CUDA kernels.
//!
//! ```no_run
//! use diffedit::device::{self, Compiler, DeviceChoice};
//! use diffedit::edit::{EditRequest, Editor, EditorOptions};
//! use diffedit::model::ModelFiles;
//! use std::{error::Error, ops::ControlFlow, path::Path};
//!
//! fn zebra(picture: image::RgbImage, cache: &Path) -> Result<image::RgbImage, Box<dyn Error>> {
//!     let device = DeviceChoice::Auto; // the first GPU, or the emulator
//!     let nvrtc = device::find_nvrtc(None, device::target(&device)?, cache)?;
//!     let compiler = Compiler::new(Some(nvrtc), Some(cache.join("kernels")))?;
//!     let model = ModelFiles::demo(); // or ModelFiles::open(path)
//!     let options = EditorOptions { device, compiler, separate_memory: false };
//!     let mut editor = Editor::open(&model, options, &mut |_| ())?;
//!
//!     let mut request = EditRequest::new(picture, "horse", "zebra");
//!     request.take_defaults(&model)?; // what the model's author recommends
//!     let result = editor.edit(&request, &mut |_| ControlFlow::Continue(()))?;
//!     Ok(result.paste_back(&request.picture.into())?.into_rgb8())
//! }
//! ```

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
