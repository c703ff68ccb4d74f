//! Models of the Hugging Face hub by their ids: from its cache, which other programs share, or fetched into it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use super::fetch::{self, OFFLINE};
use super::progress::Download;
use crate::model::Part;

/// The hub's own switch against fetching.
const HUB_OFFLINE: &str = "HF_HUB_OFFLINE";

/// Files that a model may do without.
const OPTIONAL: [&str; 3] = ["diffedit.json", "words.txt", "model_index.json"];

/// Files that it may not do without, beside weights and tokenizer.
const CONFIGS: [&str; 4] =
    ["scheduler/scheduler_config.json", "text_encoder/config.json", "unet/config.json", "vae/config.json"];

/// A model's name on the hub, and which of its revisions.
#[derive(Debug, PartialEq, Eq)]
pub struct Id {
    name: String,
    revision: String,
}

impl Id {
    /// `owner/name` or `owner/name@revision`; `None` for what can only be a path.
    pub fn parse(text: &str) -> Option<Id> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, model) = name.split_once('/')?;
        let word = |word: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !word.is_empty() && !word.starts_with('.') && word.bytes().all(known)
        };
        let file = model.ends_with(".safetensors") || model.ends_with(".ckpt");
        let fits = word(owner) && word(model) && !file && revision.split('/').all(word);
        fits.then(|| Id { name: name.to_owned(), revision: revision.to_owned() })
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_owned())
    }
}

/// The folder of a model in the hub's cache. What of it is not there is fetched, with progress on stderr: half-precision
/// weights where there are such, and nothing that an edit does not need. `offline`, or `DIFFEDIT_OFFLINE` or
/// `HF_HUB_OFFLINE` in the environment, forbids fetching.
pub fn model(id: &Id, offline: bool) -> Result<PathBuf> {
    let cache = cache()?;
    if let Some(folder) = cached(&cache, id) {
        return Ok(folder);
    }
    let Id { name, revision } = id;
    if let Some(switch) = fetch::forbidden_by(offline, &[OFFLINE, HUB_OFFLINE]) {
        bail!(
            "there is no folder or file {name}, and as a model of the Hugging Face hub (revision {revision}) it is not \
             whole in the cache {}; fetching it is forbidden by {switch}",
            cache.path().display()
        );
    }
    download(&cache, id).map_err(|error| {
        anyhow!(
            "there is no folder or file {name}; fetching it from the Hugging Face hub (revision {revision}): {error:#}"
        )
    })
}

/// A path from the environment.
fn path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder of the hub's own tools.
fn home() -> Option<PathBuf> {
    path("HF_HOME").or_else(|| Some(path("HOME")?.join(".cache/huggingface")))
}

/// The token that is set, or else what logging in has left.
fn token() -> Option<String> {
    let kept = || fs::read_to_string(path("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token")))?).ok();
    let token = env::var("HF_TOKEN").ok().or_else(kept)?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

/// The cache that the hub's own tools use.
fn cache() -> Result<Cache> {
    let folder = path("HF_HUB_CACHE").or_else(|| Some(home()?.join("hub")));
    let folder = folder.context("neither HF_HOME nor HOME names a folder for models")?;
    Ok(Cache::new(std::path::absolute(folder)?))
}

/// The folder of a model that is whole in the cache.
fn cached(cache: &Cache, id: &Id) -> Option<PathBuf> {
    let repo = cache.repo(id.repo(&id.revision));
    // A revision is a branch or tag, of which the cache knows the commit, or the commit itself.
    let reference = cache.path().join(id.repo(&id.revision).folder_name()).join("refs").join(&id.revision);
    let commit = fs::read_to_string(reference).unwrap_or_else(|_| id.revision.clone());
    let folder = repo.pointer_path(commit.trim());
    wanted(&files_of(&folder)).ok().map(|_| folder)
}

/// The files of a model folder, below the folders that it has.
fn files_of(folder: &Path) -> Vec<String> {
    let names = |inner: &str| -> Vec<String> {
        let entries = fs::read_dir(folder.join(inner)).into_iter().flatten().flatten();
        // A link to a file that is not whole yet points nowhere.
        let whole = entries.filter(|entry| entry.path().is_file());
        whole.filter_map(|entry| Some(format!("{inner}{}", entry.file_name().to_str()?))).collect()
    };
    ["", "scheduler/", "text_encoder/", "tokenizer/", "unet/", "vae/"].into_iter().flat_map(names).collect()
}

/// Fetches what is wanted and not there.
fn download(cache: &Cache, id: &Id) -> Result<PathBuf> {
    let mut builder = ApiBuilder::from_cache(cache.clone()).with_progress(false).with_retries(3);
    if let Some(endpoint) = env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty()) {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let api = builder.with_token(token()).build().map_err(explain)?;
    let info = api.repo(id.repo(&id.revision)).info().map_err(explain)?;
    let listed: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    let files = wanted(&listed).map_err(|message| anyhow!(message))?;
    // By its commit, so that all files are of one, whatever is pushed meanwhile.
    let remote = api.repo(id.repo(&info.sha));
    let folder = cache.repo(id.repo(&info.sha)).pointer_path(&info.sha);
    for file in files {
        if !folder.join(&file).is_file() {
            remote.download_with_progress(&file, Download::default()).map_err(explain).context(file)?;
        }
    }
    cache.repo(id.repo(&id.revision)).create_ref(&info.sha)?;
    Ok(folder)
}

/// What the hub's answers mean.
fn explain(error: ApiError) -> anyhow::Error {
    let text = error.to_string();
    // A bare number may be part of a path or of a hash.
    if ["401", "403", "404"].iter().any(|status| text.ends_with(&format!("http status: {status}"))) {
        return anyhow!(
            "there is no such model, or it takes a token: set HF_TOKEN, or log in with `hf auth login` ({text})"
        );
    }
    anyhow!(text)
}

/// Which of a repository's files a model needs.
///
/// # Errors
/// What is missing.
fn wanted(files: &[String]) -> Result<Vec<String>, String> {
    let has = |name: &str| files.iter().any(|file| file == name);
    let mut wanted: Vec<String> = OPTIONAL.iter().filter(|name| has(name)).map(ToString::to_string).collect();
    for name in CONFIGS {
        if !has(name) {
            return Err(format!("it is no Stable Diffusion model in diffusers' layout: it has no {name}"));
        }
        wanted.push(name.into());
    }
    let vocabulary = ["tokenizer/vocab.json", "tokenizer/merges.txt"];
    match (vocabulary.iter().all(|name| has(name)), has("tokenizer/tokenizer.json")) {
        (true, _) => wanted.extend(vocabulary.map(str::to_owned)),
        (false, true) => wanted.push("tokenizer/tokenizer.json".into()),
        (false, false) => return Err("it has no tokenizer".into()),
    }
    for part in [Part::TextEncoder, Part::UNet, Part::Vae] {
        let weights = weights(files, part).ok_or_else(|| {
            format!("its {} has no weights as safetensors; pickles (.bin) are not read", part.title())
        })?;
        wanted.extend(weights);
    }
    Ok(wanted)
}

/// The files of a part's weights: half precision before single, which takes twice the bytes, one file before shards.
fn weights(files: &[String], part: Part) -> Option<Vec<String>> {
    let stem = format!("{}/{}", part.folder(), part.stem());
    [".fp16", ""].into_iter().find_map(|variant| {
        let whole = format!("{stem}{variant}.safetensors");
        if files.contains(&whole) {
            return Some(vec![whole]);
        }
        let index = format!("{stem}.safetensors.index{variant}.json");
        let of_variant = |file: &&String| file.contains("fp16") != variant.is_empty();
        let is_shard = |file: &&String| {
            // Not below another folder, nor above this one.
            let rest = file.strip_prefix(&stem).filter(|rest| !rest.contains('/'));
            rest.is_some_and(|rest| rest.contains("-of-") && rest.ends_with(".safetensors")) && of_variant(file)
        };
        let mut shards: Vec<String> = files.iter().filter(is_shard).cloned().collect();
        let count = shards.first().and_then(|name| {
            let (_, rest) = name.split_once("-of-")?;
            rest.split('.').next()?.parse::<usize>().ok()
        })?;
        if !files.contains(&index) || shards.len() != count {
            return None;
        }
        shards.push(index);
        Some(shards)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = |name: &str, revision: &str| Some(Id { name: name.into(), revision: revision.into() });
        assert_eq!(Id::parse("owner/name"), id("owner/name", "main"));
        assert_eq!(Id::parse("owner/v1.5_x@refs/pr/3"), id("owner/v1.5_x", "refs/pr/3"));
        for path in ["name", "./name", "a/b/c", "/a/b", "../a", "a/", "a/b.safetensors", "a/b@", "a b/c"] {
            assert_eq!(Id::parse(path), None, "{path}");
        }
    }

    #[test]
    fn only_what_is_needed_is_wanted_and_half_precision_first() {
        let base = [
            "README.md",
            "v1-5-pruned.ckpt",
            "v1-5-pruned.safetensors",
            "model_index.json",
            "scheduler/scheduler_config.json",
            "safety_checker/model.safetensors",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "text_encoder/pytorch_model.bin",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.non_ema.safetensors",
            "vae/config.json",
        ];
        let mut files: Vec<String> = base.map(str::to_owned).into();
        assert!(wanted(&files).expect_err("there is no VAE").contains("VAE has no weights"));
        let shard = |number| format!("vae/diffusion_pytorch_model-{number:05}-of-00002.safetensors");
        files.push(shard(1));
        files.push("vae/diffusion_pytorch_model.safetensors.index.json".into());
        wanted(&files).expect_err("a shard is missing");
        files.push(shard(2));
        let mut found = wanted(&files).expect("it is whole");
        found.sort();
        let expected = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
            "tokenizer/merges.txt",
            "tokenizer/vocab.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model-00001-of-00002.safetensors",
            "vae/diffusion_pytorch_model-00002-of-00002.safetensors",
            "vae/diffusion_pytorch_model.safetensors.index.json",
        ];
        assert_eq!(found, expected);
    }

    /// What a server lists is no way out of the model's folder.
    #[test]
    fn shards_of_other_folders_are_no_shards() {
        let index = "vae/diffusion_pytorch_model.safetensors.index.json";
        for (shard, is_one) in [
            ("vae/diffusion_pytorch_model-00001-of-00001.safetensors", true),
            ("vae/diffusion_pytorch_model/../../../x-00001-of-00001.safetensors", false),
            ("vae/diffusion_pytorch_model-old/x-00001-of-00001.safetensors", false),
        ] {
            assert_eq!(weights(&[index.into(), shard.into()], Part::Vae).is_some(), is_one, "{shard}");
        }
    }

    #[test]
    fn only_a_status_says_that_there_is_no_model() {
        let said = |error: std::io::Error| explain(ApiError::IoError(error)).to_string();
        assert!(!said(std::io::Error::other("no space left at blobs/4030a404")).contains("no such model"));
        let status = "request error: http status: 404";
        assert!(said(std::io::Error::other(status)).contains("no such model"));
    }
}
