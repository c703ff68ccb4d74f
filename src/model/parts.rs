//! A model's parts before they go to a device: configs, tokenizer and weights, checked against each other by names and
//! shapes alone.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::source::{Contents, Part};
use super::{ModelFiles, TextConfig, TextEncoder, Tokenizer, UNet, UNetConfig, Vae, VaeConfig};
use crate::error::{Error, Result};
use crate::scheduler::Config as SchedulerConfig;
use crate::weights::{Checkpoint, Loader, Problem, listed};

/// What a model is made of. All of it fits together, but for the values of the weights, which are not read yet.
pub struct Parts {
    pub configs: Configs,
    pub tokenizer: Tokenizer,
    pub text: Checkpoint,
    pub unet: Checkpoint,
    pub vae: Checkpoint,
}

/// A model's configs, each checked, and that they fit together.
#[derive(Clone, Debug)]
pub struct Configs {
    pub text: TextConfig,
    pub unet: UNetConfig,
    pub vae: VaeConfig,
    pub scheduler: SchedulerConfig,
}

/// What is wrong with a model, gathered until all of it is known.
struct Faults(Vec<Error>);

impl Faults {
    /// A value, or its fault noted.
    fn note<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.0.push(error)).ok()
    }

    /// Fails with all of it, if there is any.
    fn report(&mut self, model: PathBuf) -> Result<()> {
        let faults = std::mem::take(&mut self.0);
        if faults.len() < 2 {
            return faults.into_iter().next().map_or(Ok(()), Err);
        }
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Err(Error::Model { path: model, message: format!("cannot be loaded:\n{}", texts.join("\n")) })
    }
}

impl Parts {
    /// Reads configs and tokenizer, opens the weights and checks their names, shapes and types. No device is
    /// asked, and no weight read.
    ///
    /// # Errors
    /// All that is wrong with the configs; if nothing is, all that is wrong with the rest.
    pub fn open(files: &ModelFiles) -> Result<Parts> {
        let configs = Configs::open(files)?;
        let Configs { text, unet, vae, .. } = configs.clone();
        let mut faults = Faults(Vec::new());
        let tokenizer = faults.note(Tokenizer::load_for(files, text.vocab_size));
        let text = files
            .text_encoder()
            .and_then(|weights| wanted(Part::TextEncoder, weights, |loader| TextEncoder::load(loader, text).map(drop)));
        let text = faults.note(text);
        let unet = files
            .unet(&unet)
            .and_then(|weights| wanted(Part::UNet, weights, |loader| UNet::load(loader, unet).map(drop)));
        let unet = faults.note(unet);
        let vae =
            files.vae(&vae).and_then(|weights| wanted(Part::Vae, weights, |loader| Vae::load(loader, vae).map(drop)));
        let vae = faults.note(vae);
        faults.report(files.name())?;
        let (Some(tokenizer), Some(text), Some(unet), Some(vae)) = (tokenizer, text, unet, vae) else {
            unreachable!("no fault was noted")
        };
        Ok(Parts { configs, tokenizer, text, unet, vae })
    }
}

impl Configs {
    /// Reads and checks them.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn open(files: &ModelFiles) -> Result<Configs> {
        let mut faults = Faults(Vec::new());
        let configs = Configs::read(files, &mut faults);
        faults.report(files.name())?;
        Ok(configs.expect("no fault was noted"))
    }

    /// All configs, or nothing and a fault at least.
    fn read(files: &ModelFiles, faults: &mut Faults) -> Option<Configs> {
        let text = faults.note(config(files, "text_encoder/config.json", TextConfig::problems));
        let unet = faults.note(config(files, "unet/config.json", UNetConfig::problems));
        let vae = faults.note(config(files, "vae/config.json", VaeConfig::problems));
        let scheduler = faults.note(files.json("scheduler/scheduler_config.json"));
        let (text, unet) = (text?, unet?);
        let (context, width) = (unet.cross_attention_dim, text.hidden_size);
        if context != width {
            let message = format!("cross_attention_dim is {context}, but the text encoder's hidden_size {width}");
            faults.0.push(Error::Model { path: files.path("unet/config.json"), message });
        }
        Some(Configs { text, unet, vae: vae?, scheduler: scheduler? })
    }
}

/// A config that has no problems.
fn config<T: DeserializeOwned>(files: &ModelFiles, name: &str, problems: fn(&T) -> Vec<String>) -> Result<T> {
    let config = files.json(name)?;
    let problems = problems(&config);
    if problems.is_empty() {
        return Ok(config);
    }
    Err(Error::Model { path: files.path(name), message: problems.join("; ") })
}

/// The weights, if `load` finds all it wants in them and nothing is left.
fn wanted(part: Part, weights: Checkpoint, load: impl FnOnce(&Loader) -> Result<()>) -> Result<Checkpoint> {
    let loader = Loader::checking(&weights);
    load(&loader)?;
    let problems = loader.finish()?;
    misfit(part, &weights, &problems)?;
    Ok(weights)
}

/// Fails if there are problems, with all of them and what they come from.
pub(super) fn misfit(part: Part, weights: &Checkpoint, problems: &[Problem]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let cause = cause(part, weights, problems).map(|cause| format!("\n  likely cause: {cause}")).unwrap_or_default();
    let message = format!("is not the {} that its config describes:{}{cause}", part.title(), listed(problems));
    Err(Error::Model { path: weights.path().to_path_buf(), message })
}

/// Why weights do not fit their config, where that can be told.
fn cause(part: Part, weights: &Checkpoint, problems: &[Problem]) -> Option<String> {
    let contents = Contents::of_part(weights);
    if let Some(kind) = contents.foreign() {
        return Some(format!("this is {kind}; only Stable Diffusion 1.x is supported"));
    }
    match contents.part() {
        Some(found) if found != part => return Some(format!("these are the weights of a {}", found.title())),
        None => return Some(format!("these are not the weights of a {}", part.title())),
        Some(_) => {}
    }
    if problems.iter().all(|problem| matches!(problem, Problem::Type { .. })) {
        return Some("the checkpoint is quantised; take one in half or single precision".into());
    }
    let count = |fits: fn(&Problem) -> bool| problems.iter().filter(|&problem| fits(problem)).count();
    let misshapen = count(|problem| matches!(problem, Problem::Misshapen { .. }));
    let missing = count(|problem| matches!(problem, Problem::Missing { .. }));
    let unexpected = count(|problem| matches!(problem, Problem::Unexpected { .. }));
    // A handful of tensors is damage; most of them are another model's.
    let many = weights.names().count() / 4;
    if misshapen > many {
        Some("the config is another model's (a single file given none is taken for Stable Diffusion 1.5)".into())
    } else if missing > 0 && unexpected == 0 && misshapen == 0 {
        Some("the file is not whole, or the config is another model's; download both again".into())
    } else if missing.max(unexpected) > many {
        Some("the config is another model's, or the tensors were renamed".into())
    } else {
        None
    }
}
