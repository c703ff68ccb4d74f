"""Edits of trials by PyTorch and by the program `diffedit`: the same files from both, and none made twice."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

from .networks import LATENT_FACTOR

# The reference pipeline is a set of plain programs beside this package, which import each other by their bare names.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import reference as stages

import edit


def map_path(folder, trial):
    return folder / f"{trial.name}-map.npy"


def mask_path(folder, trial):
    return folder / f"{trial.name}-mask.png"


def picture_path(folder, trial):
    return folder / f"{trial.name}.png"


def pasted_path(folder, trial):
    return folder / f"{trial.name}-pasted.png"


class PyTorch:
    """The pipeline of `tools/reference.py` in single precision."""

    name = "pytorch"

    def __init__(self, model, recipe):
        torch.set_num_threads(1)
        self.reference = stages.Reference(model)
        self.settings = {"size": (recipe.size, recipe.size)} | recipe.edit_defaults()

    @torch.no_grad()
    def find_map(self, pictures, trial, out):
        self.begin(pictures, self.case(pictures, trial), trial, out)

    @torch.no_grad()
    def edit(self, pictures, trial, out, threshold):
        case = self.case(pictures, trial, threshold)
        tensors = self.begin(pictures, case, trial, out)
        edit.cut_map(case, tensors)
        edit.denoise(self.reference, case, tensors)
        Image.fromarray(np.kron(tensors["mask"], np.full((LATENT_FACTOR, LATENT_FACTOR), 255, np.uint8))).save(
            mask_path(out, trial)
        )
        decoded = self.reference.decode(tensors["latents.final"])
        Image.fromarray(stages.to_pixels(decoded).numpy()).save(picture_path(out, trial))

    def begin(self, pictures, case, trial, out):
        """Tensors of the inputs and the map, which is written."""
        self.reference.set_steps(case.steps)
        tensors = {}
        edit.encode_inputs(self.reference, case, pictures, tensors)
        latents, text = tensors["latents"], edit.texts(tensors)
        step = self.reference.start_step(case.mask_strength)
        maps = []
        for index in range(case.maps):
            torch.manual_seed(3 * index)
            maps.append(self.reference.difference(latents, stages.draw_noise(*latents.shape[2:]), step, text))
        tensors["map"] = stages.normalise(torch.stack(maps).mean(dim=0))
        np.save(map_path(out, trial), tensors["map"].numpy())
        return tensors

    @torch.no_grad()
    def round_trip(self, pictures, trial, out):
        """The picture encoded and decoded, with no edit between."""
        picture = stages.to_tensor(stages.load_picture(picture_path(pictures, trial), self.settings["size"]))
        decoded = self.reference.decode(self.reference.moments(picture)[0])
        Image.fromarray(stages.to_pixels(decoded).numpy()).save(picture_path(out, trial))

    def case(self, pictures, trial, threshold=0.25):
        image = picture_path(pictures, trial).name
        prompts = trial.source, trial.target
        return edit.Case(trial.name, image, *prompts, threshold=threshold, **self.settings)


class Program:
    """The program itself, on the emulator where there is no GPU."""

    name = "diffedit"

    def __init__(self, program, model):
        self.program, self.model = program, model

    def find_map(self, pictures, trial, out):
        files = ["--map-out", map_path(out, trial), "--out", mask_path(out, trial)]
        self.run("mask", pictures, trial, files)

    def edit(self, pictures, trial, out, threshold):
        dump = out / f"{trial.name}.safetensors"
        files = ["--map-out", map_path(out, trial), "--mask-out", mask_path(out, trial), "--dump", dump]
        files += ["--out", pasted_path(out, trial)]
        self.run("edit", pictures, trial, [*files, "--threshold", str(threshold)])
        # What the model made, as PyTorch's pipeline gives it, before it was laid back into the picture.
        Image.fromarray(load_file(dump)["decoded"]).save(picture_path(out, trial))
        dump.unlink()

    def run(self, command, pictures, trial, options):
        prompts = ["--from", trial.source, "--to", trial.target]
        image = ["--image", picture_path(pictures, trial)]
        subprocess.run(
            [self.program, command, "--model", self.model, *image, *prompts, *options],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip


def do_all(trials, path, action, label):
    """Runs `action` on each trial whose file `path(trial)` is missing."""
    missing = [trial for trial in trials if not path(trial).exists()]
    for number, trial in enumerate(missing):
        action(trial)
        print(f"{label}: {number + 1} of {len(missing)}", flush=True)
