//! Where a model comes from: a folder in diffusers' layout, a single-file checkpoint, or the program itself.

mod builtin;
mod folder;
mod ldm;
mod recognise;

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{UNetConfig, VaeConfig};
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, Naming, WeightFile};
pub(super) use recognise::Contents;

/// The longest config or vocabulary that is read, bytes. CLIP's vocabulary has 1 MB.
const MAX_TEXT: u64 = 32 << 20;

/// Tensors of text encoders that nothing reads: a buffer of 0, 1, 2, ... that older exports carry, and what belongs to
/// CLIP's comparison with pictures.
const UNREAD_TEXT: &[&str] = &["embeddings.position_ids", "text_projection.weight", "logit_scale"];

/// A part of a model that has weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    TextEncoder,
    UNet,
    Vae,
}

impl Part {
    /// Its folder in diffusers' layout.
    pub fn folder(self) -> &'static str {
        match self {
            Part::TextEncoder => "text_encoder",
            Part::UNet => "unet",
            Part::Vae => "vae",
        }
    }

    /// The name of its weights without variant and extension.
    pub fn stem(self) -> &'static str {
        match self {
            Part::TextEncoder => "model",
            Part::UNet | Part::Vae => "diffusion_pytorch_model",
        }
    }

    /// As people call it.
    pub fn title(self) -> &'static str {
        match self {
            Part::TextEncoder => "text encoder",
            Part::UNet => "UNet",
            Part::Vae => "VAE",
        }
    }
}

/// The files of one model. Whatever they are, their configs have the names of diffusers' layout.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    source: Source,
    /// In place of the source's own VAE.
    vae: Option<VaeSource>,
}

#[derive(Clone, Debug)]
enum Source {
    Folder(PathBuf),
    /// One file, and the folder of its configs if they are not Stable Diffusion 1.5's.
    Single {
        file: Arc<WeightFile>,
        configs: Option<PathBuf>,
    },
    #[cfg(feature = "demo-model")]
    Demo,
}

#[derive(Clone, Debug)]
enum VaeSource {
    /// The VAE's own folder, with its config.
    Folder(PathBuf),
    File(Arc<WeightFile>),
}

impl ModelFiles {
    /// A folder in diffusers' layout or a single-file checkpoint, whichever is there.
    pub fn open(path: &Path) -> Result<ModelFiles> {
        if path.is_dir() { ModelFiles::folder(path) } else { ModelFiles::single_file(path) }
    }

    /// A folder as `save_pretrained` of diffusers writes it.
    pub fn folder(path: &Path) -> Result<ModelFiles> {
        folder::check(path)?;
        Ok(ModelFiles { source: Source::Folder(path.to_path_buf()), vae: None })
    }

    /// A checkpoint in one `.safetensors` file, in the names of the latent-diffusion code. Its configs are taken to be
    /// Stable Diffusion 1.5's; see [`ModelFiles::with_configs`].
    ///
    /// # Errors
    /// [`Error::Model`] if it is no safetensors file or no Stable Diffusion 1.x checkpoint, saying what it is instead
    /// where that can be told.
    pub fn single_file(path: &Path) -> Result<ModelFiles> {
        let wrong = |message: String| Error::Model { path: path.to_path_buf(), message };
        if matches!(path.try_exists(), Ok(false)) && !path.is_symlink() {
            return Err(wrong(
                "there is no such folder or file; give the folder of a Stable Diffusion 1.x model in diffusers' layout \
                 or a single-file .safetensors checkpoint"
                    .into(),
            ));
        }
        let file = Arc::new(WeightFile::open(path)?);
        let contents = Contents::of_file(&file);
        if let Some(kind) = contents.foreign() {
            return Err(wrong(format!("this is {kind}; only Stable Diffusion 1.x is supported")));
        }
        if !contents.has_prefix(ldm::UNET) {
            return Err(wrong(match contents.part() {
                Some(Part::Vae) => "this is a VAE alone; give it with --vae, beside a whole model".into(),
                Some(part) => format!(
                    "this is the {} of a model alone; give the whole model's folder, or a single-file checkpoint",
                    part.title()
                ),
                None => format!("not a Stable Diffusion checkpoint: it has no tensors {}*", ldm::UNET),
            }));
        }
        Ok(ModelFiles { source: Source::Single { file, configs: None }, vae: None })
    }

    /// Takes a single-file checkpoint's configs, scheduler and tokenizer from a folder in diffusers' layout, as far as
    /// they are there.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such folder, or the model brings its own configs.
    pub fn with_configs(mut self, folder: &Path) -> Result<ModelFiles> {
        let wrong = |message: &str| Error::Model { path: folder.to_path_buf(), message: message.into() };
        if !folder.is_dir() {
            return Err(wrong("there is no such folder of configs"));
        }
        let Source::Single { configs, .. } = &mut self.source else {
            return Err(wrong("configs go with a single-file checkpoint; this model has its own"));
        };
        *configs = Some(folder.to_path_buf());
        Ok(self)
    }

    /// Takes another VAE than the model's own: a folder in diffusers' layout (the VAE's or a whole model's), or a file,
    /// in diffusers' or the latent-diffusion code's names, on its own or in a whole checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no VAE.
    pub fn with_vae(mut self, path: &Path) -> Result<ModelFiles> {
        let wrong = |message: &str| Error::Model { path: path.to_path_buf(), message: message.into() };
        self.vae = Some(if path.is_dir() {
            let inner = path.join(Part::Vae.folder());
            let folder = if inner.is_dir() { inner } else { path.to_path_buf() };
            if !folder.join("config.json").exists() {
                return Err(wrong("holds no VAE in diffusers' layout: config.json is missing"));
            }
            VaeSource::Folder(folder)
        } else {
            let file = Arc::new(WeightFile::open(path)?);
            let contents = Contents::of_file(&file);
            if !contents.has_prefix(ldm::VAE) && contents.part() != Some(Part::Vae) {
                let what = contents.part().map(|part| format!("; this is a {}", part.title())).unwrap_or_default();
                return Err(wrong(&format!("holds no VAE{what}")));
            }
            VaeSource::File(file)
        });
        Ok(self)
    }

    /// The miniature that is part of the program.
    #[cfg(feature = "demo-model")]
    pub fn demo() -> ModelFiles {
        ModelFiles { source: Source::Demo, vae: None }
    }

    /// What messages call the model.
    pub fn name(&self) -> PathBuf {
        match &self.source {
            Source::Folder(folder) => folder.clone(),
            Source::Single { file, .. } => file.path().to_path_buf(),
            #[cfg(feature = "demo-model")]
            Source::Demo => "(demo model)".into(),
        }
    }

    /// What messages call a file.
    pub fn path(&self, name: &str) -> PathBuf {
        if let Some(path) = self.vae_folder(name) {
            return path;
        }
        match &self.source {
            Source::Folder(folder) => folder.join(name),
            Source::Single { configs: Some(folder), .. } if folder.join(name).exists() => folder.join(name),
            Source::Single { .. } => Path::new("(Stable Diffusion 1.5)").join(name),
            #[cfg(feature = "demo-model")]
            Source::Demo => self.name().join(name),
        }
    }

    /// Where a file of the VAE lies that replaces the model's own.
    fn vae_folder(&self, name: &str) -> Option<PathBuf> {
        let Some(VaeSource::Folder(folder)) = &self.vae else { return None };
        Some(folder.join(name.strip_prefix("vae/")?))
    }

    /// A file's bytes.
    pub fn read(&self, name: &str) -> Result<Cow<'static, [u8]>> {
        self.read_optional(name)?.ok_or_else(|| Error::Model {
            path: self.path(name),
            message: "is missing; the model folder is incomplete".into(),
        })
    }

    /// A file's bytes, if it is there.
    pub fn read_optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>> {
        if let Some(path) = self.vae_folder(name) {
            return read_text(&path);
        }
        match &self.source {
            Source::Folder(folder) => read_text(&folder.join(name)),
            Source::Single { configs, .. } => {
                let given = configs.as_ref().map(|folder| read_text(&folder.join(name))).transpose()?.flatten();
                Ok(given.or_else(|| builtin::sd15(name)))
            }
            #[cfg(feature = "demo-model")]
            Source::Demo => Ok(builtin::demo(name)),
        }
    }

    /// A JSON file.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|error| Error::Model { path: self.path(name), message: format!("cannot be used: {error}") })
    }

    /// The text encoder's weights.
    pub fn text_encoder(&self) -> Result<Checkpoint> {
        match &self.source {
            Source::Single { file, .. } => {
                self.slice(file, Part::TextEncoder, ldm::TEXT, text_naming(file.names(), ldm::TEXT))
            }
            _ => self.part(Part::TextEncoder, |names| text_naming(names.iter().copied(), "")),
        }
    }

    /// The UNet's weights; the config says how a single file's names are numbered.
    pub fn unet(&self, config: &UNetConfig) -> Result<Checkpoint> {
        match &self.source {
            Source::Single { file, .. } => self.slice(file, Part::UNet, ldm::UNET, ldm::unet(config)),
            _ => self.part(Part::UNet, |_| Naming::default()),
        }
    }

    /// The VAE's weights; the config says how a single file's names are numbered.
    pub fn vae(&self, config: &VaeConfig) -> Result<Checkpoint> {
        let naming = |names: &[&str]| vae_naming(names, config);
        match (&self.vae, &self.source) {
            (Some(VaeSource::Folder(folder)), _) => folder::weights(folder, Part::Vae, naming),
            (Some(VaeSource::File(file)), _) => {
                let names: Vec<&str> = file.names().collect();
                Checkpoint::of_file(file, naming(&names))
            }
            (None, Source::Single { file, .. }) => self.slice(file, Part::Vae, ldm::VAE, ldm::vae(config, ldm::VAE)),
            _ => self.part(Part::Vae, naming),
        }
    }

    /// A part in diffusers' layout.
    fn part(&self, part: Part, naming: impl FnOnce(&[&str]) -> Naming) -> Result<Checkpoint> {
        match &self.source {
            Source::Folder(folder) => folder::weights(&folder.join(part.folder()), part, naming),
            Source::Single { .. } => unreachable!("its parts are slices"),
            #[cfg(feature = "demo-model")]
            Source::Demo => {
                let name = format!("{}/{}.safetensors", part.folder(), part.stem());
                let file = Arc::new(WeightFile::from_static(&self.path(&name), builtin::demo_weights(&name))?);
                let names: Vec<&str> = file.names().collect();
                Checkpoint::of_file(&file, naming(&names))
            }
        }
    }

    /// A part of a single-file checkpoint.
    fn slice(&self, file: &Arc<WeightFile>, part: Part, prefix: &str, naming: Naming) -> Result<Checkpoint> {
        if Contents::of_file(file).has_prefix(prefix) {
            return Checkpoint::of_file(file, naming);
        }
        let remedy = match part {
            Part::Vae => "give one with --vae FILE",
            Part::TextEncoder | Part::UNet => "a whole checkpoint is wanted",
        };
        let message = format!("holds no {} (no tensors {prefix}*); {remedy}", part.title());
        Err(Error::Model { path: file.path().to_path_buf(), message })
    }
}

/// A text file of a model, if it is there.
fn read_text(path: &Path) -> Result<Option<Cow<'static, [u8]>>> {
    let wrong = |message: String| Error::Model { path: path.to_path_buf(), message };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(Error::File { path: path.to_path_buf(), source }),
    };
    if !metadata.is_file() {
        return Err(wrong("is no file".into()));
    }
    if metadata.len() > MAX_TEXT {
        return Err(wrong(format!("has {} bytes, which is too long for what it should be", metadata.len())));
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
        Err(source) => Err(Error::File { path: path.to_path_buf(), source }),
    }
}

/// A text encoder's names behind `prefix`, which some exports give without their common root.
fn text_naming<'a>(mut names: impl Iterator<Item = &'a str>, prefix: &str) -> Naming {
    const ROOT: &str = "text_model";
    let rootless = format!("{prefix}embeddings.");
    let naming = Naming::new(prefix, UNREAD_TEXT);
    if !names.any(|name| name.starts_with(&rootless)) {
        return naming;
    }
    naming.with(["embeddings", "encoder", "final_layer_norm"].map(|module| (module.into(), format!("{ROOT}.{module}"))))
}

/// A VAE's names: the latent-diffusion code's, diffusers' of today, or diffusers' of before it renamed attention.
fn vae_naming(names: &[&str], config: &VaeConfig) -> Naming {
    let prefix = if names.iter().any(|name| name.starts_with(ldm::VAE)) { ldm::VAE } else { "" };
    let module = |half: &str, part: &str| format!("{half}.mid_block.attentions.0.{part}");
    if names.iter().any(|name| name.strip_prefix(prefix).is_some_and(|name| name.starts_with("decoder.mid."))) {
        return ldm::vae(config, prefix);
    }
    let naming = Naming::new(prefix, &[]);
    if !names.iter().any(|name| name.ends_with(&format!("{}.weight", module("decoder", "query")))) {
        return naming;
    }
    let renamed = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    let halves = ["encoder", "decoder"].into_iter();
    naming.with(halves.flat_map(|half| renamed.map(|(old, new)| (module(half, old), module(half, new)))))
}
