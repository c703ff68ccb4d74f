//! A model folder in diffusers' layout: which of its files hold the weights.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{Part, read_text};
use crate::error::{Error, Result};
use crate::weights::{Checkpoint, Naming, WeightFile};

/// The pipelines of diffusers whose models are those of plain Stable Diffusion.
const PIPELINES: [&str; 4] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionDiffEditPipeline",
    "StableDiffusionInpaintPipelineLegacy",
];

/// Fails if a folder is no model in diffusers' layout, or another pipeline's.
pub fn check(folder: &Path) -> Result<()> {
    let wrong = |message: String| Error::Model { path: folder.to_path_buf(), message };
    if !folder.exists() {
        return Err(wrong(
            "there is no such folder; give the folder of a Stable Diffusion 1.x model in diffusers' layout".into(),
        ));
    }
    check_pipeline(folder)?;
    if folder.join("unet").is_dir() {
        return Ok(());
    }
    let wanted = "not a model in diffusers' layout: it has no folder `unet` (wanted: unet, vae, text_encoder, \
                  tokenizer, scheduler)";
    let files = |extension: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        found.sort();
        found
    };
    if let Some(file) = files("safetensors").first() {
        return Err(wrong(format!("{wanted}; for a single-file checkpoint give the file, such as {}", file.display())));
    }
    Err(wrong(wanted.into()))
}

/// Refuses what `model_index.json` says is another pipeline, by its name.
fn check_pipeline(folder: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(rename = "_class_name")]
        class_name: String,
    }
    let path = folder.join("model_index.json");
    let Some(text) = read_text(&path)? else { return Ok(()) };
    let wrong = |message: String| Error::Model { path: path.clone(), message };
    let Index { class_name } =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("cannot be used: {error}")))?;
    if PIPELINES.contains(&class_name.as_str()) {
        return Ok(());
    }
    Err(wrong(format!("this is a model of {class_name}; only Stable Diffusion 1.x ({}) is supported", PIPELINES[0])))
}

/// The weights of a part, in one file or in shards, plain or half-precision, whichever comes first.
pub fn weights(folder: &Path, part: Part, naming: impl FnOnce(&[&str]) -> Naming) -> Result<Checkpoint> {
    let stem = part.stem();
    for variant in ["", ".fp16"] {
        let whole = folder.join(format!("{stem}{variant}.safetensors"));
        if whole.symlink_metadata().is_ok() {
            let file = Arc::new(WeightFile::open(&whole)?);
            let names: Vec<&str> = file.names().collect();
            return Checkpoint::of_file(&file, naming(&names));
        }
        let index = folder.join(format!("{stem}.safetensors.index{variant}.json"));
        if let Some(text) = read_text(&index)? {
            return shards(folder, &index, &text, naming);
        }
    }
    let wanted = folder.join(format!("{stem}.safetensors"));
    let pickles = ["diffusion_pytorch_model.bin", "pytorch_model.bin", "diffusion_pytorch_model.fp16.bin"];
    let message = match pickles.iter().find(|name| folder.join(name).exists()) {
        None => "is missing (nor is there an .fp16 variant, or an index of shards); weights must be safetensors".into(),
        Some(pickle) => format!(
            "is missing; {pickle} is a pickle, which runs whatever code its author put into it when it is read, so it is \
             refused: take the model's safetensors files, or convert it with diffusers (save_pretrained with \
             safe_serialization=True)"
        ),
    };
    Err(Error::Model { path: wanted, message })
}

/// The file that an index names for each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The tensors that `index` lists, each from its shard.
fn shards(folder: &Path, index: &Path, text: &[u8], naming: impl FnOnce(&[&str]) -> Naming) -> Result<Checkpoint> {
    let wrong = |message: String| Error::Model { path: index.to_path_buf(), message };
    let Index { weight_map } =
        serde_json::from_slice(text).map_err(|error| wrong(format!("is no index of shards: {error}")))?;
    let mut files: BTreeMap<&str, Arc<WeightFile>> = BTreeMap::new();
    let mut missing: Vec<&str> = Vec::new();
    for shard in weight_map.values() {
        if files.contains_key(shard.as_str()) || missing.contains(&shard.as_str()) {
            continue;
        }
        let plain = matches!(Path::new(shard).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        if !plain {
            return Err(wrong(format!("names the shard {shard:?}, which is not a file of its folder")));
        }
        let path = folder.join(shard);
        if path.symlink_metadata().is_ok() {
            files.insert(shard, Arc::new(WeightFile::open(&path)?));
        } else {
            missing.push(shard);
        }
    }
    if !missing.is_empty() {
        return Err(wrong(format!("lists shards that are missing: {}; download them again", missing.join(", "))));
    }
    let absent: Vec<String> = weight_map
        .iter()
        .filter(|(name, shard)| files[shard.as_str()].view(name).is_none())
        .map(|(name, shard)| format!("{name} in {shard}"))
        .collect();
    if let Some(first) = absent.first() {
        let count = absent.len();
        return Err(wrong(format!("lists {count} tensors that their shards lack, such as {first}; download it again")));
    }
    let names: Vec<&str> = weight_map.keys().map(String::as_str).collect();
    let stored = weight_map.iter().map(|(name, shard)| (&files[shard.as_str()], name.as_str()));
    Checkpoint::new(index, naming(&names), stored)
}
