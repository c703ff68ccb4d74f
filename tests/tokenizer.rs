//! Prompts to token ids: the same as transformers' `CLIPTokenizerFast`, and what is cut off is named.

mod goldens;
mod support;

use std::sync::OnceLock;

use diffedit::model::{ModelFiles, Tokenizer, Tokens};
use goldens::Goldens;
use support::Random;

const CONTEXT: usize = 77;

fn encode(text: &str) -> Tokens {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    let tokenizer = TOKENIZER.get_or_init(|| Tokenizer::load(&ModelFiles::demo()).expect("CLIP's vocabulary"));
    tokenizer.encode(text, CONTEXT).expect("any text can be tokenized")
}

/// The strings of `tools/tokenizer_goldens.py`: fragments of one kind, or of several.
fn odd_strings() -> Vec<String> {
    let kinds: Vec<Vec<String>> = goldens::json("odd-fragments");
    let mut random = Random::new(7);
    let string = |_| {
        let (shape, length) = (random.next(), random.next());
        let single = (shape >> 32 & 3 == 0).then(|| &kinds[shape as usize % kinds.len()]);
        let count = if length >> 32 & 15 == 0 { 40 + length % 200 } else { length % 13 };
        let fragment = |_| {
            let kind = single.unwrap_or_else(|| &kinds[random.next() as usize % kinds.len()]);
            kind[random.next() as usize % kind.len()].as_str()
        };
        (0..count).map(fragment).collect()
    };
    (0..10_000).map(string).collect()
}

/// CRC-32 (IEEE 802.3) of the ids as little-endian 32-bit integers.
fn checksum(ids: &[i32]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !ids.iter().flat_map(|id| id.to_le_bytes()).fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

#[test]
fn prompts_have_the_references_ids() {
    for golden in goldens::tokens() {
        assert_eq!(encode(&golden.text).ids, golden.ids, "{:?}", golden.text);
    }
}

#[test]
fn ten_thousand_odd_strings_have_the_references_ids() {
    let expected = Goldens::open("odd-strings").i32("checksums");
    let strings = odd_strings();
    assert_eq!(strings.len(), expected.len());
    for (index, (text, &expected)) in strings.iter().zip(&expected).enumerate() {
        let ids = encode(text).ids;
        assert!(checksum(&ids) == expected as u32, "{text:?} is {ids:?}; tools/tokenizer_goldens.py --show {index}");
    }
}

/// 74 words of one token each; there is room for one token more.
fn almost_full(end: &str) -> String {
    "horse ".repeat(74) + end
}

#[test]
fn the_dropped_words_are_named() {
    let cases: &[(&str, Option<&str>)] = &[
        ("", None),
        ("zebra", None),
        ("zebra \n ", None),
        ("zebra,", Some(",")),
        ("zebra on  snow \u{a0}", Some("on  snow")),
        // A word of several tokens is cut: its rest is named.
        ("Antidisestablishmentarianism on snow", Some("disestablishmentarianism on snow")),
        // A character of several tokens is cut: it is named whole.
        ("각 on snow", Some("각 on snow")),
        ("horse각!", Some("각!")),
        ("🐎🦓🐎", Some("🦓🐎")),
        // Letters that the tokenizer composes, or of which it makes two.
        ("cafe\u{301} e\u{301}te\u{301}", Some("e\u{301}te\u{301}")),
        ("İstanbul", Some("İstanbul")),
        ("zebra <|endoftext|> snow", Some("<|endoftext|> snow")),
        ("zebra \0", Some("\0")),
    ];
    for &(end, dropped) in cases {
        assert_eq!(encode(&almost_full(end)).dropped.as_deref(), dropped, "{end:?}");
    }
}

/// What is dropped of any string is its end, and what is before the word that was cut is kept.
#[test]
fn what_is_dropped_is_the_end_of_the_prompt() {
    let mut cut = 0;
    for text in odd_strings() {
        let Tokens { ids, dropped: Some(dropped) } = encode(&text) else { continue };
        cut += 1;
        assert!(!dropped.is_empty(), "{text:?}");
        let kept = text.trim_end().strip_suffix(&dropped).unwrap_or_else(|| panic!("{text:?} ends in {dropped:?}"));
        let whole_words = &kept[..kept.rfind(char::is_whitespace).unwrap_or(0)];
        let end = ids[CONTEXT - 1];
        let before = encode(whole_words);
        let count = before.ids.iter().rposition(|&id| id != end).expect("the start") + 1;
        assert!(before.dropped.is_none() && before.ids[..count] == ids[..count], "{text:?} without {dropped:?}");
    }
    assert!(cut > 500, "{cut} strings were too long");
}
