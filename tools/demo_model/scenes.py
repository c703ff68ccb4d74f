"""Scenes: objects on grounds with their true outlines. A scene depends on its seed and number alone."""

from dataclasses import dataclass

import cv2
import numpy as np

from .grounds import draw_ground
from .replacements import choose_edit
from .sprites import premultiply

cv2.setNumThreads(1)

# How many scenes have no object, one, and two.
EMPTY, SINGLE = 0.09, 0.58


@dataclass
class Placed:
    """An object in a scene: its concept, its name in captions, height and width of its drawing, and how much of each
    pixel it covers (size, size)."""

    concept: str
    name: str
    shape: tuple
    outline: np.ndarray


@dataclass
class Scene:
    """A picture (size, size, 3) of bytes, the kind of its ground and its objects."""

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
    """Two scenes, before and after an edit: in the second the last object is another, or gone."""
    concepts, after = choose_edit(rng, book)
    canvas, ground = draw_ground(rng, size)
    places = choose_places(rng, len(concepts))
    if rng.random() < 0.5:
        places.reverse()
    # The rest of the second scene is drawn as in the first.
    seed = rng.integers(2**32)
    before = compose(np.random.default_rng(seed), book, canvas, ground, concepts, places)
    replaced = before.objects[-1] if after else None
    changed = [*concepts[:-1], *([after] if after else [])]
    return before, compose(np.random.default_rng(seed), book, canvas, ground, changed, places, replaced)


def compose(rng, book, canvas, ground, concepts, places, replaced=None):
    """Objects at their places (extent, x, y) on a ground; each hides what is behind it. The last is stretched to the
    shape of the object that it replaces."""
    size = len(canvas)
    objects = []
    for number, (concept, (extent, x, y)) in enumerate(zip(concepts, places)):
        instead = replaced if number == len(concepts) - 1 else None
        sprite = book.draw(rng, concept, instead and instead.concept)
        shape = instead.shape if instead else sprite.pixels.shape[:2]
        colours, cover = set_sprite(rng, sprite.pixels, shape, size, extent, x, y)
        canvas = canvas * (1 - cover[..., None]) + colours
        for placed in objects:
            placed.outline *= 1 - cover
        objects.append(Placed(concept, sprite.name, shape, cover))
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


def set_sprite(rng, pixels, shape, size, extent, x, y):
    """A sprite brought to a shape, turned, stretched and scaled into place: its premultiplied colours and its cover,
    both of the picture's size. `extent` is that of its longer side."""
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    height, width = shape
    scale = extent * size / max(height, width) * rng.uniform(0.93, 1.07, 2)
    target = (max(8, int(width * scale[0])), max(8, int(height * scale[1])))
    small = cv2.resize(premultiply(pixels), target, interpolation=cv2.INTER_AREA)
    centre = (target[0] / 2, target[1] / 2)
    turn = cv2.getRotationMatrix2D(centre, rng.uniform(-7, 7), 1)
    turn[:, 2] += (x * size - centre[0], y * size - centre[1])
    placed = cv2.warpAffine(small, turn, (size, size), flags=cv2.INTER_LINEAR)
    return placed[..., :3], placed[..., 3] / 255
