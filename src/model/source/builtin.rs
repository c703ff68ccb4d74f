//! Model files that are part of the program: the miniature, and what single-file checkpoints of Stable Diffusion 1.5
//! lack.

use std::borrow::Cow;

/// Bytes aligned for fp16, so that weights are read in place.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

macro_rules! files {
    ($function:ident, $folder:literal: $($name:literal)*) => {
        /// A file of the folder, as it was when the program was built.
        fn $function(name: &str) -> Option<&'static [u8]> {
            match name {
                $($name => {
                    static FILE: &Aligned<[u8]> =
                        &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, $name)));
                    Some(&FILE.0)
                })*
                _ => None,
            }
        }
    };
}

files! { configs_of_sd15, "models/sd15/":
    "scheduler/scheduler_config.json"
    "text_encoder/config.json"
    "unet/config.json"
    "vae/config.json"
}

// CLIP's, which the miniature has too.
files! { merges_of_clip, "models/demo/": "tokenizer/merges.txt" }

#[cfg(feature = "demo-model")]
files! { miniature, "models/demo/":
    "diffedit.json"
    "words.txt"
    "scheduler/scheduler_config.json"
    "text_encoder/config.json"
    "text_encoder/model.safetensors"
    "unet/config.json"
    "unet/diffusion_pytorch_model.safetensors"
    "vae/config.json"
    "vae/diffusion_pytorch_model.safetensors"
}

/// A file of Stable Diffusion 1.5 but for its weights.
pub fn sd15(name: &str) -> Option<Cow<'static, [u8]>> {
    configs_of_sd15(name).map(Cow::Borrowed).or_else(|| clip(name))
}

/// A file of the miniature.
#[cfg(feature = "demo-model")]
pub fn demo(name: &str) -> Option<Cow<'static, [u8]>> {
    miniature(name).map(Cow::Borrowed).or_else(|| clip(name))
}

/// Weights of the miniature.
#[cfg(feature = "demo-model")]
pub fn demo_weights(name: &str) -> &'static [u8] {
    miniature(name).expect("the miniature is complete")
}

/// A file of CLIP's tokenizer.
fn clip(name: &str) -> Option<Cow<'static, [u8]>> {
    let merges = merges_of_clip("tokenizer/merges.txt").expect("listed above");
    match name {
        "tokenizer/merges.txt" => Some(Cow::Borrowed(merges)),
        "tokenizer/vocab.json" => Some(Cow::Owned(vocabulary(std::str::from_utf8(merges).expect("UTF-8, as tested")))),
        _ => None,
    }
}

/// CLIP's `vocab.json`, which its merges determine: the 256 bytes as characters, the same as ends of words, every merge
/// in turn, start and end. As `SimpleTokenizer` of openai/CLIP counts them.
fn vocabulary(merges: &str) -> Vec<u8> {
    let bytes = byte_characters();
    let pieces = bytes.iter().map(char::to_string).chain(bytes.iter().map(|byte| format!("{byte}</w>")));
    let merged = merges.lines().filter(|line| !line.starts_with("#version")).map(|line| line.replace(' ', ""));
    let specials = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let tokens = pieces.chain(merged).chain(specials).enumerate().map(|(id, token)| (token, id.into()));
    serde_json::to_vec(&tokens.collect::<serde_json::Map<_, _>>()).expect("a map serialises")
}

/// Bytes as printable characters, in CLIP's order: those that are printable in Latin-1 stand for themselves, the others
/// for the characters from 256 on.
fn byte_characters() -> Vec<char> {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256).filter(|byte| !printable(byte)).count() as u32;
    (0..256).filter(printable).chain(256..256 + others).filter_map(char::from_u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_that_follows_from_the_merges_is_clips() {
        let derived = sd15("tokenizer/vocab.json").expect("it is part of the program");
        let derived: serde_json::Value = serde_json::from_slice(&derived).expect("JSON");
        let published: serde_json::Value =
            serde_json::from_slice(include_bytes!("../../../models/demo/tokenizer/vocab.json")).expect("JSON");
        assert_eq!(derived.as_object().expect("an object").len(), 49408);
        assert_eq!(derived, published);
    }
}
