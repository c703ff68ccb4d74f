"""What is made of what: the edits that the model learns and is judged by."""

ANIMALS = (("horse", "zebra"), ("zebra", "horse"), ("horse", "cow"), ("cow", "tiger"), ("tiger", "zebra"))
FRUIT = (("apple", "orange"), ("orange", "apple"), ("apple", "green apple"), ("lemon", "pear"), ("pear", "apple"))
VEHICLES = (("car", "bus"), ("bus", "car"), ("car", "sports car"), ("sports car", "car"))
ALL = ANIMALS + FRUIT + VEHICLES

# Of concepts of one family any may become any other.
FAMILIES = (
    ("horse", "zebra", "cow", "pig", "elephant", "tiger"),
    ("apple", "green apple", "pear", "orange", "lemon"),
    ("car", "sports car", "bus"),
)

# Among the edits that are learned: removals, and objects with a neighbour; of the others, those of ALL.
REMOVALS, NEIGHBOURED, LISTED = 0.18, 0.52, 0.6


def choose_edit(rng, book):
    """One or two concepts, and what the last of them becomes: another concept, or None where it is removed.

    With a neighbour only edits of ALL are learned: the prompt may name what is new alone, and which of two animals
    becomes a zebra is then a matter of habit.
    """
    chance = rng.random()
    if chance < REMOVALS:
        return [book.choose(rng)], None
    neighboured = chance < REMOVALS + NEIGHBOURED
    if neighboured or rng.random() < LISTED:
        edits = [edit for edit in ALL if all(map(book.drawable, edit))]
        before, after = edits[rng.integers(len(edits))]
    else:
        family = [concept for concept in FAMILIES[rng.integers(len(FAMILIES))] if book.drawable(concept)]
        before, after = rng.permutation(family)[:2].tolist()
    if not neighboured:
        return [before], after
    neighbours = [concept for concept in book.concepts if concept not in (before, after)]
    return [neighbours[rng.integers(len(neighbours))], before], after
