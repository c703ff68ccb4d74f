"""Scenes: objects on grounds with their true outlines. A scene depends on its seed and number alone."""

from dataclasses import dataclass

import cv2
import numpy as np

from .grounds import draw_ground
from .sprites import premultiply

cv2.setNumThreads(1)

# How many scenes have no object, one, and two.
EMPTY, SINGLE = 0.09, 0.58


@dataclass
class Placed:
    """An object in a scene: its concept, its name in captions, and how much of each pixel it covers (size, size)."""

    concept: str
    name: str
    outline: np.ndarray


@dataclass
class Scene:
    """A picture (size, size, 3) of bytes, the kind of its ground and its objects from left to right."""

    pixels: np.ndarray
    ground: str
    objects: list


def draw_scene(rng, book, size, concepts=None, ground=None):
    """A scene; `concepts` names its objects, none to two of them."""
    if concepts is None:
        concepts = choose_concepts(rng, book)
    canvas, ground = draw_ground(rng, size, ground)
    return compose(rng, book, canvas, ground, concepts, choose_places(rng, len(concepts)))


def draw_pair(rng, book, size):
    """Two scenes that differ in one object, as before and after an edit: the second has another there, or none."""
    concepts = choose_concepts(rng, book) or [book.choose(rng)]
    canvas, ground = draw_ground(rng, size)
    places = choose_places(rng, len(concepts))
    # The rest of the second scene is drawn as in the first.
    seed = rng.integers(2**32)
    before = compose(np.random.default_rng(seed), book, canvas, ground, concepts, places)
    count = len(concepts) - 1 if rng.random() < 0.2 else len(concepts)
    changed = [*concepts[:-1], book.choose(rng)][:count]
    return before, compose(np.random.default_rng(seed), book, canvas, ground, changed, places)


def compose(rng, book, canvas, ground, concepts, places):
    """Objects at their places (extent, x, y) on a ground; each hides what is behind it."""
    size = len(canvas)
    objects = []
    for concept, (extent, x, y) in zip(concepts, places):
        sprite = book.draw(rng, concept)
        colours, cover = set_sprite(rng, sprite.pixels, size, extent, x, y)
        canvas = canvas * (1 - cover[..., None]) + colours
        for placed in objects:
            placed.outline *= 1 - cover
        objects.append(Placed(concept, sprite.name, cover))
    return Scene(np.clip(canvas + 0.5, 0, 255).astype(np.uint8), ground, objects)


def choose_concepts(rng, book):
    chance = rng.random()
    if chance < EMPTY:
        return []
    first = book.choose(rng)
    if chance < EMPTY + SINGLE:
        return [first]
    return [first, first if rng.random() < 0.25 else book.choose(rng)]


def choose_places(rng, count):
    """Extent and centre of each object, as shares of the picture."""
    if count < 2:
        extent = rng.uniform(0.42, 0.88)
        margin = extent * 0.42
        return [(extent, rng.uniform(margin, 1 - margin), rng.uniform(max(margin, 0.4), 1 - margin))]
    extents = rng.uniform(0.42, 0.58) * rng.uniform(0.9, 1.1, 2)
    columns = (rng.uniform(0.24, 0.3), rng.uniform(0.7, 0.76))
    return list(zip(extents, columns, rng.uniform(0.42, 0.72, 2)))


def set_sprite(rng, pixels, size, extent, x, y):
    """A sprite turned, stretched and scaled into place: its premultiplied colours and its cover, both of the picture's
    size. `extent` is that of its longer side."""
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    height, width = pixels.shape[:2]
    scale = extent * size / max(height, width) * rng.uniform(0.93, 1.07, 2)
    target = (max(8, int(width * scale[0])), max(8, int(height * scale[1])))
    small = cv2.resize(premultiply(pixels), target, interpolation=cv2.INTER_AREA)
    centre = (target[0] / 2, target[1] / 2)
    turn = cv2.getRotationMatrix2D(centre, rng.uniform(-7, 7), 1)
    turn[:, 2] += (x * size - centre[0], y * size - centre[1])
    placed = cv2.warpAffine(small, turn, (size, size), flags=cv2.INTER_LINEAR)
    return placed[..., :3], placed[..., 3] / 255
