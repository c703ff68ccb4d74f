"""Captions of scenes: the words the model learns."""

PLACES = {
    "grass": ("on grass", "on the grass", "in a field", "on green grass", "under a blue sky"),
    "sand": ("on sand", "in the desert", "on the beach", "under a blue sky"),
    "snow": ("on snow", "in the snow", "in winter"),
    "sea": ("by the sea", "in the sea", "in the water"),
    "plain": ("on a plain background", ""),
    "night": ("at night", "in the night", "under a night sky"),
}
# A ground with nothing on it: what is left when an object is removed.
EMPTY = {
    "grass": ("grass", "the grass", "a field", "green grass", "grass under a blue sky"),
    "sand": ("sand", "the desert", "a beach", "sand under a blue sky"),
    "snow": ("snow", "the snow", "winter"),
    "sea": ("sea", "the sea", "water"),
    "plain": ("a plain background", "plain background"),
    "night": ("night", "the night", "a night sky"),
}
IRREGULAR = {"sheep": "sheep", "bus": "buses", "bowl of fruit": "bowls of fruit"}


def describe(rng, ground, names):
    """A caption for objects of the given names, from left to right, on a kind of ground.

    Of two different objects a caption often names one alone: so `horse` means a horse whatever stands beside it,
    and an edit of one object leaves the other.
    """
    if not names:
        return pick(rng, EMPTY[ground])
    if len(names) == 1:
        return describe_one(rng, ground, names[0])
    if names[0] == names[1]:
        if rng.random() < 0.15:
            return describe_one(rng, ground, names[0])
        both = pick(rng, (plural(names[0]), f"two {plural(names[0])}"))
        return place(rng, ground, both, 0.35)
    if rng.random() < 0.45:
        return describe_one(rng, ground, pick(rng, names))
    names = names if rng.random() < 0.5 else names[::-1]
    return place(rng, ground, pick(rng, (with_articles(names), " and ".join(names))), 0.4)


def describe_edited(rng, ground, names):
    """A caption for what an edit made: the last of the names is new, or none is left."""
    if not names:
        return pick(rng, EMPTY[ground])
    if len(names) == 1 or rng.random() < 0.6:
        return describe_one(rng, ground, names[-1])
    names = names if rng.random() < 0.5 else names[::-1]
    return place(rng, ground, with_articles(names), 0.5)


def describe_one(rng, ground, name):
    name = vary(rng, name)
    indefinite = with_articles([name])
    chance = rng.random()
    if chance < 0.38:
        return name
    if chance < 0.52:
        return indefinite
    if chance < 0.58:
        return pick(rng, (f"a photo of {indefinite}", f"a picture of {indefinite}"))
    return place(rng, ground, indefinite if rng.random() < 0.7 else name, 1)


def vary(rng, name):
    """People say bowl of fruit and bowl of fruits."""
    return "bowl of fruits" if name == "bowl of fruit" and rng.random() < 0.5 else name


def place(rng, ground, text, chance):
    """Adds where it is, with some chance."""
    if rng.random() >= chance:
        return text
    return f"{text} {pick(rng, PLACES[ground])}".strip()


def pick(rng, choices):
    return choices[rng.integers(len(choices))]


def with_articles(names):
    return " and ".join(f"{article(name)} {name}" for name in names)


def article(name):
    return "an" if name[0] in "aeio" else "a"


def plural(name):
    return IRREGULAR.get(name, f"{name}s")
