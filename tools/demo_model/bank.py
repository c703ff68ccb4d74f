"""Scenes encoded once: their latents and what is in them, on disk, one share a process."""

import json

import numpy as np
import torch
from torch.nn import functional

from .networks import LATENT_FACTOR
from .scenes import draw_pair, draw_scene

CHUNK = 8  # entries encoded at a time
# An edit changes the latent cells of which the object covers more than this share.
CHANGED_COVER = 0.15


class LatentBank:
    """Every `world`-th entry from number `rank` on, drawn and encoded when first asked for.

    `encode` turns pictures (n, 3, H, W) in -1 to 1 into unscaled latents. The description of an entry is appended after
    its latents are written, so that what is described is whole. Subclasses say what an entry is:

    width           latents an entry
    draw(rng)       an entry as drawn
    finish(drawn)   latents (n, width * 4, h, w) of drawn entries, and their descriptions
    """

    def __init__(self, folder, rank, world, seed, capacity, size, book, encode):
        folder.mkdir(parents=True, exist_ok=True)
        self.rank, self.world, self.seed, self.size = rank, world, seed, size
        self.book, self.encode = book, encode
        self.descriptions_path = folder / f"{rank}-of-{world}.jsonl"
        cells = size // LATENT_FACTOR
        path = folder / f"{rank}-of-{world}.f16"
        mode = "r+" if path.exists() else "w+"
        self.latents = np.memmap(path, np.float16, mode, shape=(capacity, self.width * 4, cells, cells))
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
        """Encodes until there are `count` entries, or as many as there is room for."""
        count = min(count, len(self.latents))
        while len(self.descriptions) < count:
            self.append(min(CHUNK, count - len(self.descriptions)))

    @torch.no_grad()
    def append(self, count):
        start = len(self.descriptions)
        numbers = (self.rank + index * self.world for index in range(start, start + count))
        latents, described = self.finish(
            [self.draw(np.random.default_rng([self.seed, number, self.width])) for number in numbers]
        )
        self.latents[start : start + count] = latents.numpy()
        self.latents.flush()
        with open(self.descriptions_path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(each) + "\n" for each in described)
        self.descriptions += described

    def encode_scenes(self, scenes):
        return self.encode(to_tensor(scenes))

    def sample(self, rng, available, batch):
        """Latents (batch, width * 4, h, w) and descriptions of entries among the first `available`, which are encoded
        where they are not."""
        self.grow(available)
        indices = rng.integers(0, min(available, len(self.latents)), batch)
        latents = torch.from_numpy(self.latents[indices].astype(np.float32))
        return latents, [self.descriptions[index] for index in indices]


class SceneBank(LatentBank):
    """Scenes. A description is a ground and the names of objects."""

    width = 1

    def draw(self, rng):
        return draw_scene(rng, self.book, self.size)

    def finish(self, drawn):
        return self.encode_scenes(drawn), [describe(scene) for scene in drawn]


class EditBank(LatentBank):
    """Scenes before and after an edit. The second is that before except where the object was that changes: there it
    shows what has come into its place. A description is that of the scene after."""

    width = 2

    def draw(self, rng):
        return draw_pair(rng, self.book, self.size)

    def finish(self, drawn):
        before, after = (self.encode_scenes([pair[index] for pair in drawn]) for index in (0, 1))
        outlines = torch.from_numpy(np.stack([pair[0].objects[-1].outline for pair in drawn]).astype(np.float32))
        inside = functional.avg_pool2d(outlines[:, None], LATENT_FACTOR) > CHANGED_COVER
        latents = torch.cat([before, torch.where(inside, after, before)], 1)
        return latents, [describe(scene) for _, scene in drawn]


def describe(scene):
    return [scene.ground, [placed.name for placed in scene.objects]]


def to_tensor(scenes):
    """The pictures of scenes as floats (n, 3, H, W) in -1 to 1."""
    pixels = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)
