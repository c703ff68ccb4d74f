//! Prompts to token ids, as CLIP does it: lower case, byte-pair encoding, start, end and padding to a fixed length.

use serde_json::{Value, json};

use super::ModelFiles;
use crate::error::{Error, Result};

/// CLIP's `<|startoftext|>` and `<|endoftext|>`; the latter also pads. Some configs hold other numbers, which the
/// models were not trained with.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// CLIP's tokenizer with its vocabulary.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
}

/// A prompt as the text encoder takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Start, the prompt, end, and ends as padding.
    pub ids: Vec<i32>,
    /// The end of the prompt that did not fit, from the first character that is not kept whole.
    pub dropped: Option<String>,
}

impl Tokenizer {
    /// The tokenizer of a model whose text encoder knows this many tokens.
    pub fn load_for(files: &ModelFiles, vocab_size: usize) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::load(files)?;
        let largest = tokenizer.inner.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if largest < vocab_size {
            return Ok(tokenizer);
        }
        let message = format!("has token {largest}, but the text encoder's vocab_size is {vocab_size}");
        Err(Error::Model { path: files.path("tokenizer/vocab.json"), message })
    }

    /// Reads `tokenizer/tokenizer.json`, or else `vocab.json` and `merges.txt`.
    pub fn load(files: &ModelFiles) -> Result<Tokenizer> {
        const WHOLE: &str = "tokenizer/tokenizer.json";
        let (name, document) = match files.read_optional(WHOLE)? {
            Some(bytes) => (WHOLE, bytes.into_owned()),
            None => ("tokenizer/vocab.json", clip_document(files)?),
        };
        let wrong = |message: String| Error::Model { path: files.path(name), message };
        let mut inner = tokenizers::Tokenizer::from_bytes(document)
            .map_err(|error| wrong(format!("not a tokenizer that can be used: {error}")))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| wrong(error.to_string()))?;
        let id = |token| inner.token_to_id(token).ok_or_else(|| wrong(format!("the vocabulary lacks {token}")));
        let (start, end) = (id(START)?, id(END)?);
        Ok(Tokenizer { start, end, inner })
    }

    /// Encodes a prompt into exactly `length` ids (77 for CLIP), cutting what is too long.
    pub fn encode(&self, prompt: &str, length: usize) -> Result<Tokens> {
        let encoding = self
            .inner
            .encode(prompt, false)
            .map_err(|error| Error::Request(format!("prompt {prompt:?} cannot be tokenized: {error}")))?;
        let room = length - 2;
        let ids = encoding.get_ids();
        let dropped = (ids.len() > room).then(|| {
            let from = encoding.get_offsets()[room].0;
            prompt.get(from..).unwrap_or_default().trim().to_string()
        });
        let ids = std::iter::once(self.start)
            .chain(ids.iter().copied().take(room))
            .chain(std::iter::repeat(self.end))
            .take(length)
            .map(|id| id as i32)
            .collect();
        Ok(Tokens { ids, dropped })
    }
}

/// CLIP's tokenizer around the model folder's vocabulary and merges, as a `tokenizer.json`.
fn clip_document(files: &ModelFiles) -> Result<Vec<u8>> {
    let vocabulary: Value = files.json("tokenizer/vocab.json")?;
    let merges = files.read("tokenizer/merges.txt")?;
    let merges = std::str::from_utf8(&merges)
        .map_err(|_| Error::Model { path: files.path("tokenizer/merges.txt"), message: "not UTF-8 text".into() })?;
    let merges: Vec<&str> = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty()).collect();
    // Written out in a prompt, in any case, these two are themselves, not text.
    let special = [START, END].map(|token| {
        json!({
            "id": vocabulary[token], "content": token, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
        })
    });
    if special.iter().any(|token| !token["id"].is_u64()) {
        let message = format!("the vocabulary lacks {START} or {END}");
        return Err(Error::Model { path: files.path("tokenizer/vocab.json"), message });
    }
    check_merges(&vocabulary, &merges)
        .map_err(|message| Error::Model { path: files.path("tokenizer/merges.txt"), message })?;
    let document = json!({
        "version": "1.0",
        "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"},
                "behavior": "Removed",
                "invert": true,
            },
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "model": {
            "type": "BPE",
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    Ok(serde_json::to_vec(&document).expect("a Value serialises"))
}

/// Tokens of CLIP that are no merges: bytes, bytes that end words, start and end.
const UNMERGED: usize = 2 * 256 + 2;

/// Every merge is of two tokens into one that there is, and there is one for every token. The tokenizer would say the
/// former too, but not of which file.
fn check_merges(vocabulary: &Value, merges: &[&str]) -> Result<(), String> {
    for merge in merges {
        let wrong = |reason: String| format!("is damaged, or not of this vocabulary: the merge {merge:?} {reason}");
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(wrong("is not two pieces".into()));
        };
        let merged = format!("{left}{right}");
        if let Some(unknown) = [left, right, &merged].into_iter().find(|piece| vocabulary.get(piece).is_none()) {
            return Err(wrong(format!("is of {unknown:?}, which vocab.json lacks")));
        }
    }
    let tokens = vocabulary.as_object().map_or(0, serde_json::Map::len);
    if merges.len() + UNMERGED < tokens {
        return Err(format!("is cut short: {} merges for a vocabulary of {tokens} tokens", merges.len()));
    }
    Ok(())
}
