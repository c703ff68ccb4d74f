//! Stable Diffusion 1.x: tokenizer, text encoder, UNet and VAE, driven by the configs of a diffusers folder.

mod bands;
mod blocks;
mod config;
mod files;
mod text;
mod tokenizer;
mod transformer;
mod unet;
mod vae;

pub use bands::Bands;
pub use config::{TextConfig, UNetConfig, VaeConfig};
pub use files::ModelFiles;
pub use text::TextEncoder;
pub use tokenizer::{Tokenizer, Tokens};
pub use unet::{Time, UNet};
pub use vae::Vae;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::scheduler::Config as SchedulerConfig;

/// A model's networks, on a device or described: what the stages of an edit are recorded from.
pub struct Model {
    pub text: TextEncoder,
    pub unet: UNet,
    pub vae: Vae,
    pub scheduler: SchedulerConfig,
}

impl Model {
    /// Loads a model's networks; `progress` is told each before it is loaded.
    pub fn load(device: &Device, files: &ModelFiles, progress: &mut dyn FnMut(&'static str)) -> Result<Model> {
        let Configs { text, unet, vae, scheduler } = Configs::read(files)?;
        progress("text encoder");
        let text = TextEncoder::load(device, text, &files.checkpoint("text_encoder", "model")?)?;
        progress("UNet");
        let unet = UNet::load(device, unet, &files.checkpoint("unet", "diffusion_pytorch_model")?)?;
        progress("VAE");
        let vae = Vae::load(device, vae, &files.checkpoint("vae", "diffusion_pytorch_model")?)?;
        Ok(Model { text, unet, vae, scheduler })
    }

    /// The networks without their weights, of which only the configs are read: for plans that are recorded and never
    /// run.
    pub fn describe(files: &ModelFiles) -> Result<Model> {
        let Configs { text, unet, vae, scheduler } = Configs::read(files)?;
        Ok(Model {
            text: TextEncoder::describe(text)?,
            unet: UNet::describe(&unet)?,
            vae: Vae::describe(vae)?,
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

/// A model's configs, each checked, and that they fit together.
struct Configs {
    text: TextConfig,
    unet: UNetConfig,
    vae: VaeConfig,
    scheduler: SchedulerConfig,
}

impl Configs {
    fn read(files: &ModelFiles) -> Result<Configs> {
        let checked = |name: &str, checked: Result<(), String>| {
            checked.map_err(|message| Error::Model { path: files.path(name), message })
        };
        let text: TextConfig = files.json("text_encoder/config.json")?;
        checked("text_encoder/config.json", text.check())?;
        let unet: UNetConfig = files.json("unet/config.json")?;
        checked("unet/config.json", unet.check())?;
        let vae: VaeConfig = files.json("vae/config.json")?;
        checked("vae/config.json", vae.check())?;
        let scheduler: SchedulerConfig = files.json("scheduler/scheduler_config.json")?;
        let fits = unet.cross_attention_dim == text.hidden_size;
        checked(
            "unet/config.json",
            if fits {
                Ok(())
            } else {
                Err(format!(
                    "cross_attention_dim {} but a text encoder of {}",
                    unet.cross_attention_dim, text.hidden_size
                ))
            },
        )?;
        Ok(Configs { text, unet, vae, scheduler })
    }
}
