//! Stable Diffusion 1.x: tokenizer, text encoder, UNet and VAE, driven by the configs of a diffusers folder.

mod bands;
mod blocks;
mod config;
mod parts;
mod source;
mod text;
mod tokenizer;
mod transformer;
mod unet;
mod vae;
mod words;

pub use bands::Bands;
pub use config::{TextConfig, UNetConfig, VaeConfig};
pub use parts::{Configs, Parts};
pub use source::{ModelFiles, Part};
pub use text::TextEncoder;
pub use tokenizer::{Tokenizer, Tokens};
pub use unet::{Time, UNet};
pub use vae::Vae;
pub use words::Words;

use crate::device::Device;
use crate::error::Result;
use crate::scheduler::Config as SchedulerConfig;
use crate::weights::{Checkpoint, Loader};

/// A model's networks, on a device or described: what the stages of an edit are recorded from.
pub struct Model {
    pub text: TextEncoder,
    pub unet: UNet,
    pub vae: Vae,
    pub scheduler: SchedulerConfig,
}

impl Model {
    /// Loads a model's networks; `progress` is told each before it is loaded.
    ///
    /// # Errors
    /// [`crate::Error::Model`] naming each tensor of a network whose values fp16 cannot hold, and whatever the device
    /// fails with.
    pub fn load(device: &Device, parts: &Parts, progress: &mut dyn FnMut(&'static str)) -> Result<Model> {
        let Configs { text, unet, vae, scheduler } = parts.configs.clone();
        progress("text encoder");
        let text = load(device, Part::TextEncoder, &parts.text, |loader| TextEncoder::load(loader, text))?;
        progress("UNet");
        let unet = load(device, Part::UNet, &parts.unet, |loader| UNet::load(loader, unet))?;
        progress("VAE");
        let vae = load(device, Part::Vae, &parts.vae, |loader| Vae::load(loader, vae))?;
        Ok(Model { text, unet, vae, scheduler })
    }

    /// The networks without their weights, of which only the configs are read: for plans that are recorded and never
    /// run.
    pub fn describe(files: &ModelFiles) -> Result<Model> {
        let Configs { text, unet, vae, scheduler } = Configs::open(files)?;
        Ok(Model {
            text: TextEncoder::load(&Loader::describing(), text)?,
            unet: UNet::load(&Loader::describing(), unet)?,
            vae: Vae::load(&Loader::describing(), vae)?,
            scheduler,
        })
    }

    /// Device memory of the weights of each network.
    pub fn weight_bytes(&self) -> [(&'static str, usize); 3] {
        [
            ("text encoder", self.text.weight_bytes()),
            ("UNet", self.unet.weight_bytes()),
            ("VAE", self.vae.weight_bytes()),
        ]
    }
}

/// A network with its weights on the device.
fn load<T>(device: &Device, part: Part, weights: &Checkpoint, load: impl FnOnce(&Loader) -> Result<T>) -> Result<T> {
    let loader = Loader::new(device, weights);
    let loaded = load(&loader)?;
    parts::misfit(part, weights, &loader.finish()?)?;
    Ok(loaded)
}
