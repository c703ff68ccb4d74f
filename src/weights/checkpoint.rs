//! The tensors of one model part under diffusers' names, whatever files and names they are stored under.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::convert::Stored;
use super::problems::Problem;
use super::{Naming, View, WeightFile};
use crate::error::{Error, Result};

/// One model part: text encoder, UNet or VAE. It shares its files with the parts that lie in the same.
#[derive(Clone)]
pub struct Checkpoint {
    path: PathBuf,
    naming: Naming,
    tensors: BTreeMap<String, (Arc<WeightFile>, String)>,
}

impl Checkpoint {
    /// The tensors among `stored`, each the name of one in a file, that belong to the part that `naming` is of. `path`
    /// is what messages call it.
    ///
    /// # Errors
    /// [`Error::Model`] if two are the same tensor to diffusers.
    pub fn new<'a>(
        path: &Path,
        naming: Naming,
        stored: impl IntoIterator<Item = (&'a Arc<WeightFile>, &'a str)>,
    ) -> Result<Checkpoint> {
        let mut tensors: BTreeMap<String, (Arc<WeightFile>, String)> = BTreeMap::new();
        for (file, stored) in stored {
            let Some(name) = naming.diffusers(stored) else { continue };
            if let Some((_, other)) = tensors.insert(name, (file.clone(), stored.to_owned())) {
                let message = format!("{other} and {stored} are the same tensor under two names; one has to go");
                return Err(Error::Model { path: path.to_path_buf(), message });
            }
        }
        Ok(Checkpoint { path: path.to_path_buf(), naming, tensors })
    }

    /// All of a file, or the slice of it that `naming` is of.
    pub fn of_file(file: &Arc<WeightFile>, naming: Naming) -> Result<Checkpoint> {
        Checkpoint::new(file.path(), naming, file.names().map(|name| (file, name)))
    }

    /// What messages call it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// diffusers' names of all its tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of this name, if there is one.
    pub fn view(&self, name: &str) -> Option<View<'_>> {
        let (file, stored) = self.tensors.get(name)?;
        file.view(stored)
    }

    /// The tensor of this name and shape, in a type that becomes fp16. A matrix may be stored as a 1x1 convolution, and
    /// the other way round.
    pub(super) fn find(&self, name: &str, shape: &[usize]) -> Result<Stored<'_>, Problem> {
        let stored = || self.stored_name(name);
        let Some(view) = self.view(name) else {
            return Err(Problem::Missing { name: stored(), wanted: shape.to_vec() });
        };
        if as_matrix(view.shape) != as_matrix(shape) {
            return Err(Problem::Misshapen { name: stored(), found: view.shape.to_vec(), wanted: shape.to_vec() });
        }
        Stored::new(view.dtype, view.bytes).ok_or_else(|| Problem::Type { name: stored(), found: view.dtype })
    }

    /// The file's own name of a tensor.
    pub fn stored_name(&self, name: &str) -> String {
        self.tensors.get(name).map_or_else(|| self.naming.stored(name), |(_, stored)| stored.clone())
    }
}

/// A shape without the last two dimensions of a 1x1 convolution.
fn as_matrix(shape: &[usize]) -> &[usize] {
    match shape {
        [outputs_and_inputs @ .., 1, 1] if outputs_and_inputs.len() == 2 => outputs_and_inputs,
        _ => shape,
    }
}
