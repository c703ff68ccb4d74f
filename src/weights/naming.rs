//! How a container's names become diffusers', and back for messages.

use std::collections::HashMap;

/// Modules of a checkpoint under two names each: as stored, behind a prefix, and as diffusers calls them.
///
/// A tensor whose module is not listed keeps the name that follows the prefix.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    prefix: String,
    to_diffusers: HashMap<String, String>,
    to_stored: HashMap<String, String>,
    ignored: &'static [&'static str],
}

impl Naming {
    /// Names that follow `prefix`, which may be empty; those that begin or end with one of `ignored` are passed over.
    pub fn new(prefix: &str, ignored: &'static [&'static str]) -> Naming {
        Naming { prefix: prefix.into(), ignored, ..Naming::default() }
    }

    /// Adds modules: as stored without the prefix, and as diffusers calls them.
    pub fn with(mut self, modules: impl IntoIterator<Item = (String, String)>) -> Naming {
        for (stored, diffusers) in modules {
            self.to_stored.insert(diffusers.clone(), stored.clone());
            self.to_diffusers.insert(stored, diffusers);
        }
        self
    }

    /// diffusers' name of a stored tensor; `None` if it is another part's, or ignored.
    pub fn diffusers(&self, stored: &str) -> Option<String> {
        let name = stored.strip_prefix(&self.prefix)?;
        let ignored = self.ignored.iter().any(|part| name.starts_with(part) || name.ends_with(part));
        (!ignored).then(|| translate(&self.to_diffusers, name))
    }

    /// The name under which a tensor of diffusers' name is stored.
    pub fn stored(&self, name: &str) -> String {
        format!("{}{}", self.prefix, translate(&self.to_stored, name))
    }
}

/// Replaces the module that a name begins with, in whole components.
fn translate(modules: &HashMap<String, String>, name: &str) -> String {
    let ends = name.match_indices('.').map(|(end, _)| end).chain([name.len()]);
    let found = ends.filter_map(|end| Some((modules.get(&name[..end])?, &name[end..]))).next_back();
    found.map_or_else(|| name.to_owned(), |(module, rest)| format!("{module}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_replaced_in_whole_components() {
        let pairs = [("in.1", "down.0"), ("in.1.op", "down.0.conv"), ("in.10", "down.5")];
        let pairs = pairs.map(|(stored, diffusers)| (stored.to_owned(), diffusers.to_owned()));
        let naming = Naming::new("model.", &["position_ids"]).with(pairs);
        for (stored, diffusers) in [
            ("model.in.1.weight", "down.0.weight"),
            ("model.in.1.op.weight", "down.0.conv.weight"),
            ("model.in.10.weight", "down.5.weight"),
            ("model.other.weight", "other.weight"),
            ("model.in.1", "down.0"),
        ] {
            assert_eq!(naming.diffusers(stored).as_deref(), Some(diffusers));
            assert_eq!(naming.stored(diffusers), stored);
        }
        assert_eq!(naming.diffusers("vae.in.1.weight"), None);
        assert_eq!(naming.diffusers("model.position_ids"), None);
    }
}
