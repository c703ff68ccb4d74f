"""Scenes encoded once: their latents and what is in them, on disk, one share a process."""

import json

import numpy as np
import torch

from .networks import LATENT_FACTOR
from .scenes import draw_scene

CHUNK = 8  # scenes encoded at a time


class LatentBank:
    """Every `world`-th scene from number `rank` on, drawn and encoded when first asked for.

    `encode` turns pictures (n, 3, H, W) in -1 to 1 into unscaled latents. The description of a scene is appended after
    its latents are written, so that what is described is whole.
    """

    def __init__(self, folder, rank, world, seed, capacity, size, book, encode):
        folder.mkdir(parents=True, exist_ok=True)
        self.rank, self.world, self.seed, self.size = rank, world, seed, size
        self.book, self.encode = book, encode
        self.descriptions_path = folder / f"{rank}-of-{world}.jsonl"
        cells = size // LATENT_FACTOR
        path = folder / f"{rank}-of-{world}.f16"
        mode = "r+" if path.exists() else "w+"
        self.latents = np.memmap(path, np.float16, mode, shape=(capacity, 4, cells, cells))
        self.descriptions = self.read_descriptions()

    def read_descriptions(self):
        """The whole lines; a line cut off when the program ended is removed."""
        if not self.descriptions_path.exists():
            return []
        text = self.descriptions_path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.descriptions_path.write_text(whole, encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]

    def grow(self, count):
        """Encodes until there are `count` scenes, or as many as there is room for."""
        count = min(count, len(self.latents))
        while len(self.descriptions) < count:
            self.append(min(CHUNK, count - len(self.descriptions)))

    @torch.no_grad()
    def append(self, count):
        start = len(self.descriptions)
        scenes = [self.draw(index) for index in range(start, start + count)]
        pixels = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
        self.latents[start : start + count] = self.encode(to_tensor(pixels)).numpy()
        self.latents.flush()
        described = [[scene.ground, [placed.name for placed in scene.objects]] for scene in scenes]
        with open(self.descriptions_path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in described)
        self.descriptions += described

    def draw(self, index):
        rng = np.random.default_rng([self.seed, self.rank + index * self.world])
        return draw_scene(rng, self.book, self.size)

    def sample(self, rng, available, batch):
        """Latents (batch, 4, h, w) and descriptions (ground, names) of scenes among the first `available`."""
        indices = rng.integers(0, min(available, len(self.latents)), batch)
        latents = torch.from_numpy(self.latents[indices].astype(np.float32))
        return latents, [self.descriptions[index] for index in indices]


def to_tensor(pixels):
    """Bytes (n, H, W, 3) to floats (n, 3, H, W) in -1 to 1."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)
