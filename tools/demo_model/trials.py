"""Held-out scenes with prompts: those that the threshold is chosen on, and those that count."""

import json
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from .captions import EMPTY, PLACES, with_articles
from .replacements import ALL, ANIMALS, FRUIT, VEHICLES
from .scenes import draw_scene

LIMIT = (("bowl of fruit", "sports car"),)
# What stands beside the object that is edited, in scenes of two.
NEIGHBOURS = ("cow", "tiger", "elephant", "pig", "car", "bus", "apple", "pear")

# Trials of each kind with each art among the 200 that count; `SINGLE` are those with one object that is replaced.
COUNTS = {"animal": 24, "fruit": 14, "vehicle": 12, "two": 30, "removal": 15, "limit": 5}
PAIRS = {"animal": ANIMALS, "fruit": FRUIT, "vehicle": VEHICLES, "limit": LIMIT}
SINGLE = ("animal", "fruit", "vehicle")


@dataclass
class Trial:
    """A scene and an edit of it. `before` and `after` are concepts, `after` empty where the object is to go."""

    name: str
    art: str  # known, that is trained on, or unseen
    kind: str
    ground: str
    before: str
    after: str
    source: str
    target: str


def make_trials(folder, seed, share, books, size):
    """Draws trials, `share` of COUNTS of them with each art, into `folder`, unless they are there; lists them."""
    index = folder / "trials.json"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        trials = []
        for art, (name, book) in enumerate(books.items()):
            for kind, count in enumerate(COUNTS.values()):
                for number in range(max(1, round(count * share))):
                    rng = np.random.default_rng([seed, art, kind, number])
                    trials.append(make_trial(rng, folder, name, list(COUNTS)[kind], number, book, size))
        index.write_text(json.dumps([asdict(trial) for trial in trials], indent=1) + "\n", encoding="utf-8")
    return [Trial(**each) for each in json.loads(index.read_text(encoding="utf-8"))]


def make_trial(rng, folder, art, kind, number, book, size):
    pairs = [pair for pair in PAIRS.get(kind, ALL) if book.drawable(pair[0])]
    before, after = pairs[number % len(pairs)]
    concepts = [before]
    if kind == "two":
        others = [other for other in NEIGHBOURS if other not in (before, after)]
        concepts.insert(int(rng.integers(2)), others[rng.integers(len(others))])
    scene = draw_scene(rng, book, size, concepts)
    edited = next(placed for placed in scene.objects if placed.concept == before)
    name = f"{art}-{kind}-{number:02}"
    Image.fromarray(scene.pixels).save(folder / f"{name}.png")
    Image.fromarray((edited.outline * 255).round().astype(np.uint8)).save(folder / f"{name}-outline.png")
    names = [edited.name if placed is edited else placed.name for placed in scene.objects]
    position = scene.objects.index(edited)
    if kind == "removal":
        after, source, target = "", f"{with_articles([before])} {PLACES[scene.ground][0]}", EMPTY[scene.ground][0]
    else:
        source, target = replacing_prompts(rng, scene.ground, names, position, before, after)
    return Trial(name, art, kind, scene.ground, before, after, source.strip(), target.strip())


def replacing_prompts(rng, ground, names, position, before, after):
    """The pair of prompts: a third each bare words, the object with its ground, and all that the scene shows."""
    form = rng.integers(3)
    if form == 0:
        return before, after
    place = PLACES[ground][0] if form == 1 else ""
    prompts = []
    for concept in (before, after):
        shown = [concept] if form == 1 else [*names[:position], concept, *names[position + 1 :]]
        prompts.append(f"{with_articles(shown)} {place}")
    return prompts
