"""Captions as token ids, and the few rows of CLIP's vocabulary that captions use."""

import torch
from transformers import CLIPTokenizerFast

from .captions import EMPTY, PLACES, plural
from .sprites import CAR_HUES, SHARES

CONTEXT = 77  # tokens a caption, padded
OTHER_WORDS = "a an two and photo picture of fruits cars"


class Vocabulary:
    """CLIP's tokenizer, with the tokens of all captions numbered anew from 0: `used` holds their true ids, `words` the
    words of captions."""

    def __init__(self, folder):
        self.tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        texts = [OTHER_WORDS, " ".join(CAR_HUES), *SHARES, *(plural(concept) for concept in SHARES)]
        texts += [text for each in (*PLACES.values(), *EMPTY.values()) for text in each]
        self.used = torch.unique(self.tokenize(texts))
        self.words = sorted({word for text in texts for word in text.split()})

    def tokenize(self, texts):
        """True token ids (n, CONTEXT)."""
        padded = self.tokenizer(texts, padding="max_length", max_length=CONTEXT, truncation=True)
        return torch.tensor(padded.input_ids)

    def number(self, texts):
        """Token ids counted among `used`."""
        ids = self.tokenize(texts)
        numbers = torch.searchsorted(self.used, ids).clamp(max=len(self.used) - 1)
        if not torch.equal(self.used[numbers], ids):
            raise ValueError(f"a word outside the vocabulary in {texts}")
        return numbers
