"""Scenes as the trained denoiser repaints them: latents of edits, which the decoder has to live with."""

import numpy as np
import torch

from .autoencoder import changed_cells, draw_rough_mask
from .bank import LatentBank, to_tensor
from .captions import describe_edited
from .denoiser import copy_parameters, make_networks, named_parameters
from .export import make_scheduler
from .scenes import draw_pair


class Painter:
    """The trained UNet and text encoder. It edits latents inside masks, as the program does."""

    def __init__(self, recipe, vocabulary, scaling, trained):
        self.recipe, self.vocabulary, self.scaling = recipe, vocabulary, scaling
        self.unet, self.text = (network.eval() for network in make_networks(recipe.size, vocabulary.used))
        copy_parameters(named_parameters(self.unet, self.text), trained)

    @torch.no_grad()
    def __call__(self, rng, latents, masks, captions):
        """Unscaled latents (n, 4, h, w) repainted under their captions where masks (n, 1, h, w) are 1."""
        kept = latents * self.scaling
        context = self.text(self.vocabulary.number([""] * len(captions) + captions)).last_hidden_state
        scheduler = make_scheduler()
        scheduler.set_timesteps(self.recipe.edit_steps)
        timesteps = scheduler.timesteps[-int(self.recipe.edit_strength * self.recipe.edit_steps) :]
        current = noised(rng, scheduler, kept, timesteps[0])
        for index, timestep in enumerate(timesteps):
            with torch.autocast("cpu", torch.bfloat16):
                both = torch.cat([current, current]).contiguous(memory_format=torch.channels_last)
                predicted = self.unet(both, timestep, encoder_hidden_states=context, return_dict=False)[0]
            unconditional, conditional = predicted.float().chunk(2)
            guided = torch.lerp(unconditional, conditional, self.recipe.edit_guidance)
            painted = scheduler.step(guided, timestep, current).prev_sample
            last = index + 1 == len(timesteps)
            around = kept if last else noised(rng, scheduler, kept, timesteps[index + 1])
            current = torch.lerp(around, painted, masks)
        return current / self.scaling


def noised(rng, scheduler, latents, timestep):
    noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
    return scheduler.add_noise(latents, noise, timestep[None])


class RepaintBank(LatentBank):
    """Edits by the denoiser in rough masks. An entry has the latents and four times the mask; its description is the
    seed that its scene is drawn anew from."""

    width = 2

    def __init__(self, painter, *rest):
        super().__init__(*rest)
        self.painter = painter

    def draw(self, rng):
        """Seed, scene, mask and caption."""
        seed = int(rng.integers(2**32))
        rng = np.random.default_rng(seed)
        before, after = draw_pair(rng, self.book, self.size)
        mask = draw_rough_mask(rng, changed_cells(before, after))
        names = [placed.name for placed in after.objects]
        return seed, before, mask, describe_edited(rng, after.ground, names)

    def finish(self, drawn):
        seeds, scenes, masks, captions = zip(*drawn)
        masks = torch.cat(masks)
        latents = self.painter(np.random.default_rng(seeds), self.encode_scenes(scenes), masks, list(captions))
        return torch.cat([latents, masks.expand_as(latents)], 1), list(seeds)

    def sample_edits(self, rng, available, count):
        """Latents (count, 4, h, w), masks (count, 1, h, w), and pictures (count, 3, H, W) before the edits."""
        entries, seeds = self.sample(rng, available, count)
        scenes = [draw_pair(np.random.default_rng(seed), self.book, self.size)[0] for seed in seeds]
        return entries[:, :4], entries[:, 4:5], to_tensor(scenes)
