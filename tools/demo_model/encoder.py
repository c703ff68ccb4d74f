"""The frozen encoder: pictures to latents, and the scale that brings latents to unit deviation."""

import json

import numpy as np
import torch

from .bank import to_tensor
from .scenes import draw_scene

SCENES_FOR_SCALE = 64


class Encoder:
    """The encoder of a VAE, in single precision."""

    def __init__(self, vae):
        self.vae = vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def __call__(self, pictures):
        """Pictures (n, 3, H, W) in -1 to 1 to unscaled latents: the posterior's mean."""
        return self.vae.encode(pictures).latent_dist.mean


@torch.no_grad()
def measure_scaling(path, workshop):
    """A scaling factor: one over the deviation of the latents of some scenes. Kept in the file `path`."""
    if not path.exists():
        recipe = workshop.recipe
        rng = np.random.default_rng([recipe.seed, 2])
        scenes = [draw_scene(rng, workshop.book, recipe.size) for _ in range(SCENES_FOR_SCALE)]
        parts = [scenes[start : start + 8] for start in range(0, SCENES_FOR_SCALE, 8)]
        latents = torch.cat([workshop.encoder(to_tensor(part)) for part in parts])
        path.write_text(json.dumps({"scaling_factor": round(1 / latents.std().item(), 5)}), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))["scaling_factor"]
