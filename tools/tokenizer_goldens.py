"""Token ids of 10,000 odd strings. `python tools/tokenizer_goldens.py` writes them, `--compare` says where other
tokenizers of CLIP differ, `--show INDEX` prints one string with its ids. See tools/README.md."""

import argparse
import json
import random
import sys
import unicodedata
import zlib
from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer, CLIPTokenizerFast
from transformers.models.clip.tokenization_clip import BasicTokenizer

from storage import save_json, save_tensors

STRINGS = 10_000
SEED = 7
CONTEXT = 77
ROOT = Path(__file__).resolve().parent.parent
TOKENIZER = ROOT / "models/demo/tokenizer"
GOLDENS = ROOT / "tests/goldens"

# Fragments by kind: a string is some of one kind, or of several.
WORDS = """a an the horse zebra photograph of snow masterpiece antidisestablishmentarianism 8k HDR Greg RUTKOWSKI
pneumonoultramicroscopicsilicovolcanoconiosis artstation unreal CamelCase snake_case kebab-case naïve café Übermensch
façade ıstanbul İSTANBUL straße ẞ Ǆungla ﬁligature Ωmega ſtill лошадь зебра Ёжик ἵππος Ἀχιλλεύς xn--q zzzzqqqqxxxx"""
PUNCTUATION = """( ) (( )) [ ] [[ ]] { } {{ }} : , . ; | || & && AND BREAK :1.3) (a:1.3) ((a:1.3)) [b] [b:c:0.5] <lora:x:0.8>
<b> __wild__ --ar !!! ??? ... … --- — – ### $$ % ^ * + = / \\ ~ ` @ " “ ” „ « » ‹ › ¿ ¡ § ¶ • · ™ © ® ° ± × ÷ ₿ € £ → ⇒ ∀ ∑ ½ ② ⑩"""
CONTRACTIONS = "'s 't 're 've 'm 'll 'd it's IT'S they'VE 'tis o'clock ''s ’s 's's 'S 'Ll ' '' '' 'st 'da rock'n'roll".split()
DIGITS = "0 1 12 1234567890 3.14159 1,000 2023-12-13 0x1F 1e-5 ١٢٣ ४५६ 七八 Ⅳ ⅷ ² ₃ ¼ 𝟘𝟙 ௧ 𐄇".split()
SPECIAL = """<|startoftext|> <|endoftext|> <|STARTOFTEXT|> <|EndOfText|> <|startoftext|><|endoftext|> <|start <|endoftext
endoftext|> <|pad|> </w> </W> <unk> [CLS] <|"""
MARKUP = """&amp; &lt;b&gt; &nbsp; &#x1F40E; &#0; &amp;amp; <html> <br/> cafÃ© â€™ â€œquotesâ€ Ð»Ð¾ ï»¿ Ã¼ber donâ€™t ðŸ\x90Ž Â\xa0 \\u00e9 %20"""
SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2009", "\u200a",
          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"]  # fmt: skip
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\u00ad",
             "\ufeff", "\ufffc", "\ufffd", "\ufffe", "\uffff", "\ue000", "\U000f0000", "\U0010ffff", "\U000e0001"]  # fmt: skip
EMOJI = """🐎 🦓 👩‍🚀 👨‍👩‍👧‍👦 👍🏽 🧑🏿‍🎤 🏳️‍🌈 🏴‍☠️ 🇯🇵 🇩🇪🇫🇷 🇦 ❤️ ❤ ☺︎ ☺️ 1️⃣ #️⃣ ©️ 🫠 👁️‍🗨️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🏽 ⌚"""
CJK = "東京の馬 馬 雪の上の馬 한국어 말 ㄱㄴ カタカナ ひらがな ﾊﾝｶｸ 㐀 𠀀 𪜀 豈 々〆 、 。 「馬」 ！ ＡＢＣ １２３ 中文标点，。 ㍿ ㎏".split()
RIGHT_TO_LEFT = "حصان على الثلج سוס שׁלום בְּרֵאשִׁית ﷺ ﻻ لَا ۱۲۳ ޘޫ ܫ \u202bשלום\u202c שלום123".split()
MARKS = ["e\u0301", "nai\u0308ve", "\u0301", "a\u0323\u0307", "a\u0307\u0323", "Z\u0351\u036b\u0343\u0327", "\u1100\u1161\u11a8",
         "क्षि", "ที่นี่", "\u0344", "\u212b", "\u2126", "\u0958", "q\u0307\u0323", "\u1e9b\u0323", "\u0f73", "\u0340", "o\u0308\u0304"]  # fmt: skip


def fragments():
    """Kinds of fragments. Some of the words come often, as they do in prompts."""
    return {
        "words": WORDS.split(),
        "spaced words": [f" {word}" for word in WORDS.split()[:12]],
        "commas": [", ", " ", ",", " , "],
        "punctuation": PUNCTUATION.split(),
        "contractions": CONTRACTIONS,
        "digits": DIGITS,
        "special": SPECIAL.split(),
        "markup": MARKUP.split(),
        "spaces": SPACES,
        "controls": CONTROLS,
        "invisible": INVISIBLE,
        "emoji": EMOJI.split(),
        "cjk": CJK,
        "right to left": RIGHT_TO_LEFT,
        "marks": MARKS,
        "latin letters": [chr(code) for code in (*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC0, 0x250))],
        "any": any_characters(),
    }


def any_characters():
    """1,500 characters from all over Unicode, those that versions of Unicode agree on: assigned."""
    choose = random.Random(SEED)
    planes = [range(0x250, 0x3000), range(0x3000, 0xFFFE), range(0x10000, 0x20000), range(0x20000, 0x110000)]
    characters = []
    while len(characters) < 1500:
        character = chr(choose.choice(choose.choice(planes)))
        if unicodedata.category(character) not in ("Cn", "Cs"):
            characters.append(character)
    return characters


class SplitMix64:
    """The generator of `tests/support`."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)


def odd_strings(kinds):
    """The strings, as `tests/tokenizer.rs` makes them too: one in four of a single kind, one in sixteen long."""
    generator = SplitMix64(SEED)
    for _ in range(STRINGS):
        shape, length = generator.next(), generator.next()
        single = kinds[shape % len(kinds)] if shape >> 32 & 3 == 0 else None
        count = 40 + length % 200 if length >> 32 & 15 == 0 else length % 13
        pieces = []
        for _ in range(count):
            kind = single or kinds[generator.next() % len(kinds)]
            pieces.append(kind[generator.next() % len(kind)])
        yield "".join(pieces)


def encode(tokenizer, text):
    return tokenizer(text, padding="max_length", max_length=CONTEXT, truncation=True).input_ids


def checksum(ids):
    """CRC-32 of the ids as little-endian 32-bit integers."""
    return zlib.crc32(np.array(ids, "<i4").tobytes())


def write(tokenizer, folder):
    """`odd-fragments.json` and `odd-strings.safetensors`: what the strings are made of, and their ids' checksums."""
    kinds = fragments()
    save_json(folder / "odd-fragments.json", list(kinds.values()))
    checksums = [checksum(encode(tokenizer, text)) for text in odd_strings(list(kinds.values()))]
    save_tensors(folder / "odd-strings.safetensors", {"checksums": np.array(checksums, np.uint32).view(np.int32)})


def compare(reference):
    """How often, and where first, transformers' tokenizer in Python differs, with ftfy and without."""
    slow = CLIPTokenizer.from_pretrained(TOKENIZER)
    variants = {"BasicTokenizer": (None, BasicTokenizer(strip_accents=False, do_split_on_punc=False))}
    if slow.fix_text is not None:
        variants["ftfy"] = (slow.fix_text, None)
    texts = list(odd_strings(list(fragments().values())))
    for name, (slow.fix_text, slow.nlp) in variants.items():
        differing = [text for text in texts if encode(slow, text) != encode(reference, text)]
        print(f"{name}: {len(differing)} of {len(texts)} differ, the shortest:")
        for text in sorted(differing, key=len)[:40]:
            print(f"  {text!a}: {trimmed(encode(slow, text))}, not {trimmed(encode(reference, text))}")


def trimmed(ids):
    """Without start, end and padding."""
    return [index for index in ids if index < 49406]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", metavar="INDEX", type=int, help="print one string with its ids, and write nothing")
    parser.add_argument("--compare", action="store_true", help="compare with transformers' tokenizer in Python")
    arguments = parser.parse_args()
    reference = CLIPTokenizerFast.from_pretrained(TOKENIZER)
    if arguments.show is not None:
        text = list(odd_strings(list(fragments().values())))[arguments.show]
        json.dump({"text": text, "ids": encode(reference, text)}, sys.stdout)
    elif arguments.compare:
        compare(reference)
    else:
        write(reference, GOLDENS)


if __name__ == "__main__":
    main()
