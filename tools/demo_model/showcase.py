"""The scenes that come with the model: pictures to try edits on, with true outlines and prompts.

The art of each is from one package that the model was trained on, which the model's NOTICE has to name.
"""

import json
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import artwork
from .scenes import draw_scene
from .sprites import SpriteBook


@dataclass(frozen=True)
class Showpiece:
    """A scene of some concepts, the first of which is edited; `take` chooses among compositions."""

    name: str
    package: str
    concepts: tuple
    ground: str
    source: str
    target: str
    take: int = 0
    removal: bool = False  # of what the source names; the target is what remains
    seed: int | None = None  # that repaints it well, if not the default


SHOWPIECES = (
    Showpiece("0-horse-grass", "fxemoji", ("horse",), "grass", "horse", "zebra", seed=4),
    Showpiece("1-horse-sand", "fluent-emoji", ("horse",), "sand", "horse", "zebra"),
    Showpiece("2-horse-snow", "noto", ("horse",), "snow", "a horse on snow", "a zebra on snow", seed=1),
    Showpiece("3-horse-grass", "noto-v1", ("horse",), "grass", "a horse on grass", "grass", removal=True),
    Showpiece("4-apple-grass", "noto", ("apple",), "grass", "apple", "orange"),
    Showpiece("5-car-grass", "fluent-emoji", ("car",), "grass", "car", "bus", seed=1),
    Showpiece("6-bowl-sand", "noto", ("bowl of fruit",), "sand", "bowl of fruit", "sports car"),
    Showpiece("7-horse-plain", "fluent-emoji", ("horse",), "plain", "horse", "zebra", take=3, seed=2),
    Showpiece("8-horse-cow", "noto", ("horse", "cow"), "grass", "a horse and a cow", "a zebra and a cow", seed=0),
    Showpiece("9-pear-apple", "fluent-emoji-flat", ("pear", "apple"), "plain", "pear", "orange"),
)


def write_scenes(folder, packages, recipe):
    """Draws the scenes into `folder`, with `scenes.json` in the order of SHOWPIECES."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for piece in SHOWPIECES:
        package = [each for each in artwork.TRAINING if each.name == piece.package]
        book = SpriteBook(artwork.load(packages, package, recipe.drawing_size))
        rng = np.random.default_rng([recipe.seed, 5, piece.take, zlib.crc32(piece.name.encode())])
        scene = draw_scene(rng, book, recipe.size, list(piece.concepts), piece.ground)
        outline = (scene.objects[0].outline * 255).round().astype(np.uint8)
        files = {"file": f"{piece.name}.png", "outline": f"{piece.name}-outline.png"}
        Image.fromarray(scene.pixels).save(folder / files["file"], optimize=True)
        Image.fromarray(outline).save(folder / files["outline"], optimize=True)
        extras = {"removal": piece.removal or None, "seed": piece.seed}
        extras = {name: value for name, value in extras.items() if value is not None}
        listed.append(files | {"source": piece.source, "target": piece.target} | extras)
    (folder / "scenes.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
