//! Tensors stored by `tools/goldens.py`; `tools/README.md` names them.

// Every test file takes what it needs.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use diffedit::edit::MaskSettings;
use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A path inside the package.
pub fn path(inside: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// An edit of which there are goldens; the fields are the command line's options.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Stem of the file with its tensors.
    pub name: String,
    /// Path inside the package.
    pub image: String,
    pub source: String,
    pub target: String,
    pub negative: String,
    /// Width and height, pixels.
    pub size: [usize; 2],
    pub steps: usize,
    pub guidance: f32,
    pub strength: f64,
    pub seed: u64,
    pub maps: usize,
    pub mask_strength: f64,
    pub threshold: f32,
    pub blur: usize,
    pub fill_holes: bool,
    pub dilate: usize,
}

impl Case {
    pub fn mask_settings(&self) -> MaskSettings {
        let Case { threshold, blur, fill_holes, dilate, .. } = *self;
        MaskSettings { threshold, blur, fill_holes, dilate }
    }
}

/// All edits of which there are goldens.
pub fn cases() -> Vec<Case> {
    let cases: Vec<Case> = json("cases");
    assert_eq!(cases.len(), 13);
    cases
}

/// The error of a good half-precision run in a case and stage, as `tools/README.md` names them.
pub fn yardstick(case: &str, stage: &str) -> f64 {
    let errors: HashMap<String, HashMap<String, f64>> = json("yardstick");
    *errors.get(case).and_then(|stages| stages.get(stage)).unwrap_or_else(|| panic!("no yardstick {case}: {stage}"))
}

/// A text and its 77 token ids.
#[derive(Debug, Deserialize)]
pub struct Tokens {
    pub text: String,
    pub ids: Vec<i32>,
}

/// Prompts with the ids of CLIP's tokenizer.
pub fn tokens() -> Vec<Tokens> {
    json("tokens")
}

/// `tests/goldens/{stem}.json`.
pub fn json<T: DeserializeOwned>(stem: &str) -> T {
    let path = path(&format!("tests/goldens/{stem}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One file of `tests/goldens/`.
pub struct Goldens {
    bytes: Vec<u8>,
}

impl Goldens {
    /// Opens `tests/goldens/{stem}.safetensors`.
    pub fn open(stem: &str) -> Goldens {
        Goldens::at(&path(&format!("tests/goldens/{stem}.safetensors")))
    }

    /// Opens a file of goldens that lies elsewhere.
    pub fn at(path: &Path) -> Goldens {
        Goldens { bytes: std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    /// What the program that wrote them says about them.
    pub fn about<T: DeserializeOwned>(&self) -> T {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).expect("goldens are safetensors");
        let about = header.metadata().as_ref().and_then(|texts| texts.get("about")).expect("the file says it");
        serde_json::from_str(about).expect("its JSON")
    }

    /// What follows `prefix` in the names that start with it, sorted.
    pub fn names_after(&self, prefix: &str) -> Vec<String> {
        let tensors = self.tensors();
        let mut names: Vec<String> =
            tensors.names().into_iter().filter_map(|name| name.strip_prefix(prefix)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors().tensor(name).is_ok()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensor(name).shape().to_vec()
    }

    /// Values of an f32 or f16 tensor.
    pub fn f32(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensor(name);
        match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Dtype::F16 => tensor.data().as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Values of an i32 tensor.
    pub fn i32(&self, name: &str) -> Vec<i32> {
        let tensor = self.tensor(name);
        assert_eq!(tensor.dtype(), Dtype::I32, "{name}");
        tensor.data().as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect()
    }

    /// Values of a u8 tensor.
    pub fn u8(&self, name: &str) -> Vec<u8> {
        let tensor = self.tensor(name);
        assert_eq!(tensor.dtype(), Dtype::U8, "{name}");
        tensor.data().to_vec()
    }

    fn tensor(&self, name: &str) -> TensorView<'_> {
        self.tensors().tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("goldens are safetensors")
    }
}
