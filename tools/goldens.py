"""Regenerates tests/goldens/: `python tools/goldens.py`, about three minutes on one core. See tools/README.md."""

import argparse
import dataclasses
import json
from pathlib import Path

import torch

import edit
import primitives
import tokenizer_goldens
import yardstick
from reference import Reference
from storage import save_json, save_tensors

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/demo"
GOLDENS = ROOT / "tests/goldens"

# Only these keep every tensor; of the others, what the tests of single stages need.
WHOLE = ["0-horse-grass", "car-wide"]
LEFT_OUT = ("noise.maps", "noise.start", "noise.steps", "maps", "predictions.", "latents.steps")


def cases():
    """The scenes of the demo model, the first with its defaults, the others smaller; and three of other settings."""
    scenes = json.loads((MODEL / "scenes/scenes.json").read_text(encoding="utf-8"))
    defaults = json.loads((MODEL / "diffedit.json").read_text(encoding="utf-8"))
    whole = defaults | {"size": tuple(defaults["size"])}
    small = {name: value for name, value in defaults.items() if name not in ("size", "steps")}
    for number, scene in enumerate(scenes):
        name, settings = scene["file"].removesuffix(".png"), small if number else whole
        yield edit.Case(name, f"models/demo/scenes/{scene['file']}", scene["source"], scene["target"], **settings)
    # From pure noise.
    yield edit.Case(
        "horse-noise", "models/demo/scenes/1-horse-sand.png", "horse", "zebra", seed=1, **small | {"strength": 1.0},
    )  # fmt: skip
    # Nothing at its default, and a picture that has to be stretched.
    yield edit.Case(
        "car-wide", "models/demo/scenes/5-car-grass.png", "a car", "a bus", negative="grass",
        size=(192, 128), steps=30, guidance=5.0, strength=0.6, seed=7, maps=4, mask_strength=0.4,
        threshold=0.2, blur=5, fill_holes=True, dilate=1,
    )  # fmt: skip
    # Latents of 9 x 13: every level of the UNet is odd in one direction at least, or becomes so on the way down.
    yield edit.Case(
        "apple-odd", "models/demo/scenes/4-apple-grass.png", "apple", "orange",
        size=(72, 104), steps=16, maps=4, **small,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", metavar="FOLDER", type=Path, help="also write every tensor of every case there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    reference = Reference(MODEL)
    primitives.rng_goldens(GOLDENS / "rng.safetensors")
    primitives.scheduler_goldens(GOLDENS / "scheduler.safetensors")
    primitives.mask_goldens(GOLDENS / "mask.safetensors")
    primitives.token_goldens(GOLDENS / "tokens.json", reference.tokenizer)
    tokenizer_goldens.write(reference.tokenizer, GOLDENS)

    settings, errors = [], {}
    for case in cases():
        print(case.name, flush=True)
        with torch.no_grad():
            tensors = edit.run(reference, case, ROOT)
            errors[case.name] = yardstick.errors(reference, case, tensors)
        settings.append(dataclasses.asdict(case))
        if arguments.whole:
            save_tensors(arguments.whole / f"{case.name}.safetensors", tensors, settings[-1])
        kept = tensors if case.name in WHOLE else thinned(tensors)
        save_tensors(GOLDENS / f"{case.name}.safetensors", kept, settings[-1])
    save_json(GOLDENS / "cases.json", settings)
    save_json(GOLDENS / "yardstick.json", errors)


def thinned(tensors):
    """Without what is left out, and the largest tensor in half precision."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(LEFT_OUT)}
    return kept | {"decoded.float": tensors["decoded.float"].half()}


if __name__ == "__main__":
    main()
