//! Where a model's files come from: a diffusers folder, or the miniature that is part of the program.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::weights::Checkpoint;

/// The files of one model, in diffusers' layout.
#[derive(Clone, Debug)]
pub struct ModelFiles(Source);

#[derive(Clone, Debug)]
enum Source {
    Folder(PathBuf),
    #[cfg(feature = "demo-model")]
    Demo,
}

impl ModelFiles {
    /// A folder as `save_pretrained` of diffusers writes it.
    pub fn folder(path: &Path) -> Result<ModelFiles> {
        let wrong = |message: &str| Error::Model { path: path.to_path_buf(), message: message.into() };
        if !path.exists() {
            return Err(wrong(
                "there is no such folder; give the folder of a Stable Diffusion 1.x model in diffusers' layout",
            ));
        }
        if !path.join("unet").is_dir() {
            return Err(wrong(
                "not a model in diffusers' layout: it has no folder `unet` (wanted: unet, vae, text_encoder, tokenizer, scheduler)",
            ));
        }
        Ok(ModelFiles(Source::Folder(path.to_path_buf())))
    }

    /// The miniature that is part of the program.
    #[cfg(feature = "demo-model")]
    pub fn demo() -> ModelFiles {
        ModelFiles(Source::Demo)
    }

    /// What messages call a file.
    pub fn path(&self, name: &str) -> PathBuf {
        match &self.0 {
            Source::Folder(folder) => folder.join(name),
            #[cfg(feature = "demo-model")]
            Source::Demo => Path::new("(demo model)").join(name),
        }
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
        match &self.0 {
            Source::Folder(folder) => match std::fs::read(folder.join(name)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(Error::File { path: folder.join(name), source }),
            },
            #[cfg(feature = "demo-model")]
            Source::Demo => Ok(demo::file(name).map(Cow::Borrowed)),
        }
    }

    /// A JSON file.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|error| Error::Model { path: self.path(name), message: format!("cannot be used: {error}") })
    }

    /// The weights `{part}/{stem}.safetensors`, or their `.fp16` variant.
    pub fn checkpoint(&self, part: &str, stem: &str) -> Result<Checkpoint> {
        let names = ["", ".fp16"].map(|variant| format!("{part}/{stem}{variant}.safetensors"));
        match &self.0 {
            Source::Folder(folder) => {
                let found = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
                let path = found.ok_or_else(|| Error::Model {
                    path: folder.join(&names[0]),
                    message: "is missing (nor is there an .fp16 variant); weights must be safetensors".into(),
                })?;
                Checkpoint::open(&path)
            }
            #[cfg(feature = "demo-model")]
            Source::Demo => {
                let bytes = demo::file(&names[0]).expect("the miniature is complete");
                Ok(Checkpoint::from_static(&self.path(&names[0]).to_string_lossy(), bytes))
            }
        }
    }
}

#[cfg(feature = "demo-model")]
mod demo {
    /// Bytes aligned for fp16, so that weights are read in place.
    #[repr(C, align(8))]
    struct Aligned<T: ?Sized>(T);

    macro_rules! files {
        ($($name:literal)*) => {
            /// A file of `models/demo/`, as it was when the program was built.
            pub fn file(name: &str) -> Option<&'static [u8]> {
                match name {
                    $($name => {
                        static FILE: &Aligned<[u8]> =
                            &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/", $name)));
                        Some(&FILE.0)
                    })*
                    _ => None,
                }
            }
        };
    }

    files! {
        "diffedit.json"
        "scheduler/scheduler_config.json"
        "text_encoder/config.json"
        "text_encoder/model.safetensors"
        "tokenizer/merges.txt"
        "tokenizer/vocab.json"
        "unet/config.json"
        "unet/diffusion_pytorch_model.safetensors"
        "vae/config.json"
        "vae/diffusion_pytorch_model.safetensors"
    }
}
