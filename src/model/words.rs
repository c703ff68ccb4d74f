//! The words that a model knows, where it was trained on few.

use std::collections::BTreeSet;

use super::ModelFiles;
use crate::error::Result;

/// The file of a model folder that lists them, in lower case, one a line. The miniature has one.
const FILE: &str = "words.txt";

/// A model's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// What the model folder's `words.txt` lists; `None` where there is no such file, and any word may be known.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if it is there and cannot be read.
    pub fn of(files: &ModelFiles) -> Result<Option<Words>> {
        let bytes = files.read_optional(FILE)?;
        Ok(bytes.map(|bytes| Words(words(&String::from_utf8_lossy(&bytes)).collect())))
    }

    /// The words of a prompt that are not among them, each once, in order.
    pub fn missing(&self, prompt: &str) -> Vec<String> {
        let mut missing = Vec::new();
        for word in words(prompt) {
            if !self.0.contains(&word) && !missing.contains(&word) {
                missing.push(word);
            }
        }
        missing
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The words of a text in lower case, without what stands between them.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_missing() {
        let known = Words(words("a\non\nhorse\ngrass\n").collect());
        assert_eq!(known.missing("A horse, on grass!"), Vec::<String>::new());
        assert_eq!(known.missing("a Giraffe and a giraffe on mars"), ["giraffe", "and", "mars"]);
        assert_eq!(known.iter().collect::<Vec<_>>(), ["a", "grass", "horse", "on"]);
    }
}
