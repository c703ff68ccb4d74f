"""Objects cut out for scenes: drawings recoloured, striped, bent, or heaped in a bowl."""

from dataclasses import dataclass

import cv2
import numpy as np

from .artwork import trim

# Concept to its share in scenes. A bowl of fruit is composed of the drawings of fruit.
SHARES = {
    "horse": 3.0,
    "zebra": 3.0,
    "cow": 1.3,
    "pig": 1.2,
    "elephant": 1.3,
    "tiger": 1.5,
    "apple": 1.5,
    "green apple": 1.0,
    "pear": 1.0,
    "orange": 1.5,
    "lemon": 1.0,
    "car": 1.6,
    "sports car": 1.2,
    "bus": 1.3,
    "bowl of fruit": 1.5,
}
FRUIT = ("apple", "green apple", "pear", "orange", "lemon", "apple", "orange")

# Cars that are painted, of all, and their hues in OpenCV's half degrees.
PAINTED = 0.5
CAR_HUES = {"red": 0, "yellow": 26, "green": 60, "blue": 108, "purple": 140}

# Few drawings of zebras exist: most zebras are horses with stripes, so far apart in lengths of the drawing.
STRIPED, STRIPE = 0.8, 0.105

BOWL_COLOURS = ((90, 140, 215), (230, 225, 215), (170, 105, 60), (200, 80, 70))


@dataclass
class Sprite:
    """An object's pixels (h, w, 4), its concept, and the name a caption gives it."""

    pixels: np.ndarray
    concept: str
    name: str


class SpriteBook:
    """Draws objects from a set of drawings. Concepts without a drawing are left out."""

    def __init__(self, drawings):
        self.drawings = drawings
        self.concepts = [concept for concept in SHARES if self.drawable(concept)]
        shares = np.array([SHARES[concept] for concept in self.concepts])
        self.shares = shares / shares.sum()

    def drawable(self, concept):
        if concept == "zebra":
            return bool(self.drawings["zebra"] or self.drawings["horse"])
        if concept == "bowl of fruit":
            return all(self.drawings[fruit] for fruit in FRUIT)
        return bool(self.drawings[concept])

    def choose(self, rng):
        """A concept, by its share."""
        return self.concepts[rng.choice(len(self.concepts), p=self.shares)]

    def draw(self, rng, concept, replaced=None):
        """An object of a concept, different each time.

        What replaces another concept is always drawn after the same drawing, the first: what the caption does not tell
        could not be learned from it, and would come out blurred. But a zebra that replaces a horse is that horse with
        stripes, if the generator is in the state that the horse was drawn from, and the other way round.
        """
        place, hue, striping, painting = rng.random(4)
        striped, painted = striping < STRIPED, painting < PAINTED
        if replaced:
            striped, painted = True, False
            place = place if {replaced, concept} == {"horse", "zebra"} else 0.0
        if concept == "bowl of fruit":
            return Sprite(self.fill_bowl(rng), concept, concept)
        if concept == "zebra" and (not self.drawings["zebra"] or striped):
            pixels = draw_stripes(at(self.drawings["horse"], place))
        else:
            pixels = at(self.drawings[concept], place)
        name = concept
        if concept == "car" and painted:
            colour = at(list(CAR_HUES), hue)
            pixels = paint(pixels, CAR_HUES[colour])
            name = f"{colour} car"
        pixels = shift_colours(pixels, rng.uniform(-4, 4), rng.uniform(0.85, 1.15), rng.uniform(0.85, 1.1))
        return Sprite(bend(rng, pixels), concept, name)

    def fill_bowl(self, rng, width=256):
        """Four to six fruits heaped in a bowl."""
        heap = np.zeros((width, width, 4), np.float32)
        count = rng.integers(4, 7)
        places = np.linspace(0.24, 0.76, count) * width + rng.uniform(-8, 8, count)
        for place in rng.permutation(places):
            fruit = pick(rng, self.drawings[str(rng.choice(FRUIT))])
            side = int(rng.uniform(78, 100))
            height = int(side * fruit.shape[0] / fruit.shape[1])
            fruit = cv2.resize(fruit, (side, height), interpolation=cv2.INTER_AREA).astype(np.float32)
            rise = 25 * np.sin((place - 30) / 196 * np.pi)
            top = max(0, int(128 - 0.72 * height - rise + rng.uniform(-5, 5)))
            left = int(np.clip(place - side / 2, 0, width - side))
            lay(heap[top : top + height, left : left + side], fruit)
        lay(heap, draw_bowl(rng, width))
        return trim(heap.astype(np.uint8))


def pick(rng, drawings):
    return at(drawings, rng.random())


def at(drawings, place):
    """The drawing at a place from 0 to 1 among all."""
    return drawings[int(place * len(drawings))]


def lay(below, above):
    """Lays RGBA pixels over others, in place."""
    cover = above[..., 3:] / 255
    below[..., :3] = below[..., :3] * (1 - cover) + above[..., :3] * cover
    below[..., 3:] = np.maximum(below[..., 3:], above[..., 3:])


def draw_bowl(rng, width):
    """The front of a bowl with a foot and a lighter rim, shaded to its sides: RGBA floats."""
    shape = np.zeros((width, width), np.float32)
    cv2.ellipse(shape, (128, 122), (116, 92), 0, 0, 180, 1.0, -1, cv2.LINE_AA)
    cv2.rectangle(shape, (88, 205), (168, 220), 1.0, -1)
    base = np.clip(np.array(BOWL_COLOURS[rng.choice(4)]) + rng.uniform(-15, 15, 3), 0, 255)
    shade = 1.12 - np.linspace(-1, 1, width) ** 2 * 0.5
    colour = np.clip(base * shade[None, :, None], 0, 255) * np.ones((width, 1, 1))
    rim = tuple(float(channel) for channel in np.clip(base * 1.15 + 10, 0, 255))
    cv2.rectangle(colour, (0, 118), (width, 130), rim, -1)
    return np.dstack([colour, shape * 255]).astype(np.float32)


def draw_stripes(drawing):
    """A horse's drawing with a striped white body; what is dark (mane, tail, hooves) stays dark.

    Stripes are upright on the body and level on the legs, and always the same: what is random about them could not be
    learned from a caption, and would come out grey.
    """
    luma = drawing[..., :3].astype(np.float32) @ np.array([0.3, 0.59, 0.11], np.float32) / 255
    opaque = luma[drawing[..., 3] > 200]
    dark = np.percentile(opaque, 25)
    body = np.clip((luma - dark * 0.75) / (dark * 0.35 + 1e-3), 0, 1)[..., None]
    height, width = luma.shape
    side = max(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / side
    across = x + 0.15 * y + 0.03 * np.sin(y * 9) + 0.02 * np.sin(x * 13)
    upright = np.sin(2 * np.pi * across / STRIPE)
    level = np.sin(2 * np.pi * (y + 0.01 * np.sin(x * 20)) / (STRIPE * 0.8))
    leg = np.clip((y - 0.62 * height / side) / (0.08 * height / side), 0, 1)
    light = 1 / (1 + np.exp(-6 * (upright * (1 - leg) + level * leg + 0.15)))[..., None]
    shading = 0.85 + 0.15 * np.clip(luma / max(np.median(opaque), 0.1), 0, 1.1)[..., None]
    white, black = np.float32(0.95) * shading, np.array([0.16, 0.15, 0.17], np.float32)
    colour = (white * light + black * (1 - light)) * body + black * (1 - body)
    return np.dstack([np.clip(colour * 255, 0, 255).astype(np.uint8), drawing[..., 3]])


def paint(drawing, hue):
    """Turns the hues of a drawing so that the commonest among its vivid pixels becomes `hue`."""
    hsv = cv2.cvtColor(np.ascontiguousarray(drawing[..., :3]), cv2.COLOR_RGB2HSV)
    vivid = hsv[..., 1] > 110
    solid = vivid & (drawing[..., 3] > 200)
    common = int(np.median(hsv[..., 0][solid])) if solid.any() else 0
    hsv[..., 0] = np.where(vivid, (hsv[..., 0].astype(int) - common + hue) % 180, hsv[..., 0])
    return np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), drawing[..., 3]])


def shift_colours(drawing, hue, saturation, value):
    """Adds to the hue (half degrees) and multiplies saturation and value."""
    hsv = cv2.cvtColor(np.ascontiguousarray(drawing[..., :3]), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + hue) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * (saturation, value), 0, 255)
    return np.dstack([cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), drawing[..., 3]])


def bend(rng, drawing, strength=0.035):
    """Displaces a drawing by a smooth random field of up to about `strength` of its size, so that few drawings vary."""
    height, width = drawing.shape[:2]
    margin = int(strength * max(height, width)) + 2
    padded = cv2.copyMakeBorder(premultiply(drawing), *[margin] * 4, cv2.BORDER_CONSTANT)
    height, width = padded.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for axis in (x, y):
        field = cv2.resize(
            rng.uniform(-1, 1, (3, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        axis += field * strength * max(height, width)
    bent = cv2.remap(padded, x, y, cv2.INTER_LINEAR)
    cover = np.maximum(bent[..., 3:], 1) / 255
    bent[..., :3] /= cover
    return trim(np.clip(bent, 0, 255).astype(np.uint8))


def premultiply(drawing):
    """RGBA floats whose colours are multiplied by their cover."""
    pixels = drawing.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels
