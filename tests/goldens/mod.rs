//! Tensors stored by `tools/goldens.py`; `tools/README.md` names them.

// Every test file takes what it needs.
#![allow(dead_code)]

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};

/// A path inside the package.
pub fn path(inside: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// One file of `tests/goldens/`.
pub struct Goldens {
    bytes: Vec<u8>,
}

impl Goldens {
    /// Opens `tests/goldens/{stem}.safetensors`.
    pub fn open(stem: &str) -> Goldens {
        let path = path(&format!("tests/goldens/{stem}.safetensors"));
        Goldens { bytes: std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
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
        self.tensors().tensor(name).unwrap_or_else(|error| panic!("{name}: {error}")).shape().to_vec()
    }

    /// Values of an f32 tensor.
    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.data(name, Dtype::F32).as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    /// Values of an i32 tensor.
    pub fn i32(&self, name: &str) -> Vec<i32> {
        self.data(name, Dtype::I32).as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect()
    }

    /// Values of a u8 tensor.
    pub fn u8(&self, name: &str) -> Vec<u8> {
        self.data(name, Dtype::U8).to_vec()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("goldens are safetensors")
    }

    fn data(&self, name: &str, dtype: Dtype) -> &[u8] {
        let tensor = self.tensors().tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), dtype, "{name}");
        tensor.data()
    }
}
