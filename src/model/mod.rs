//! Stable Diffusion 1.x: tokenizer, text encoder, UNet and VAE, driven by the configs of a diffusers folder.

mod blocks;
mod config;
mod parts;
mod source;
mod text;
mod tokenizer;
mod transformer;
mod unet;
mod vae;

pub use config::{TextConfig, UNetConfig, VaeConfig};
pub use parts::Parts;
pub use source::{ModelFiles, Part};
pub use text::TextEncoder;
pub use tokenizer::{Tokenizer, Tokens};
pub use unet::{Time, UNet};
pub use vae::Vae;

use crate::device::Device;
use crate::error::Result;
use crate::scheduler::Config as SchedulerConfig;
use crate::weights::{Checkpoint, Loader};

/// A model on a device: everything an edit needs.
pub struct Model {
    pub tokenizer: Tokenizer,
    pub text: TextEncoder,
    pub unet: UNet,
    pub vae: Vae,
    pub scheduler: SchedulerConfig,
}

impl Model {
    /// Checks a model's parts and loads them; `progress` is told each before it is loaded.
    ///
    /// # Errors
    /// As [`Parts::open`], before anything is loaded; [`crate::Error::Model`] naming each tensor of a part whose values fp16
    /// cannot hold; and whatever the device fails with.
    pub fn load(device: &Device, files: &ModelFiles, progress: &mut dyn FnMut(&'static str)) -> Result<Model> {
        progress("tokenizer");
        let Parts { tokenizer, scheduler, text, unet, vae } = Parts::open(files)?;
        progress("text encoder");
        let text = load(device, Part::TextEncoder, &text.1, |loader| TextEncoder::load(loader, text.0))?;
        progress("UNet");
        let unet = load(device, Part::UNet, &unet.1, |loader| UNet::load(loader, unet.0))?;
        progress("VAE");
        let vae = load(device, Part::Vae, &vae.1, |loader| Vae::load(loader, vae.0))?;
        Ok(Model { tokenizer, text, unet, vae, scheduler })
    }
}

/// A part with its weights on the device.
fn load<T>(device: &Device, part: Part, weights: &Checkpoint, load: impl FnOnce(&Loader) -> Result<T>) -> Result<T> {
    let loader = Loader::new(device, weights);
    let loaded = load(&loader)?;
    parts::misfit(part, weights, &loader.finish())?;
    Ok(loaded)
}
