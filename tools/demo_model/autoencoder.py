"""Training of the VAE: the whole of it from nothing, and its decoder on latents as edits leave them."""

import math

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from .bank import to_tensor
from .networks import LATENT_FACTOR, make_vae
from .scenes import draw_pair, draw_scene

BLUR = 0.03  # noise on latents while training, in their deviations
PRIOR_WEIGHT = 2e-4
OBJECT_WEIGHT = 2.0  # of an object's pixels, that of the ground being 1
SMALL_SHARE = 0.7  # of the steps from nothing, at half the size
PLAIN_SHARE = 0.3  # of the decoder's pictures that are not spliced


class Autoencoder:
    """The task of reconstructing scenes, encoder and decoder together."""

    name = "autoencoder"
    betas = (0.9, 0.99)
    weight_decay = 0.0

    def __init__(self, recipe, rank, book):
        self.recipe, self.rank, self.book = recipe, rank, book
        self.steps = recipe.autoencoder_steps
        torch.manual_seed(recipe.seed)
        self.vae = make_vae(recipe.size).to(memory_format=torch.channels_last)
        self.parameters = dict(self.vae.named_parameters())

    def learning_rate(self, step):
        return cosine(self.recipe.autoencoder_rate, step, self.steps)

    def loss(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 3, step, self.rank])
        small = step < SMALL_SHARE * self.steps
        size, count = (recipe.size // 2, 4) if small else (recipe.size, 1)
        scenes = [draw_scene(rng, self.book, size) for _ in range(recipe.autoencoder_batch * count)]
        pictures = to_tensor(torch.from_numpy(np.stack([scene.pixels for scene in scenes])))
        torch.manual_seed(int(rng.integers(2**32)))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = self.vae.encode(pictures).latent_dist
            decoded = self.vae.decode(disturb(rng, posterior.sample())).sample
        error, metrics = picture_loss(decoded.float(), pictures, torch.ones_like(pictures[:, :1]))
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        prior = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return error + PRIOR_WEIGHT * prior, metrics | {"prior": prior.item()}


class Decoder:
    """The task of decoding latents whose object was replaced, so that the rest of the picture stays as it was.

    Group norms and attention see the whole picture and convolutions see across the mask's edge: a decoder that only
    ever saw one picture's latents lets a change of the object show everywhere. The encoder is frozen.
    """

    name = "decoder"
    betas = (0.9, 0.99)
    weight_decay = 0.0

    def __init__(self, recipe, rank, book, encoder):
        self.recipe, self.rank, self.book, self.encoder = recipe, rank, book, encoder
        self.steps = recipe.decoder_steps
        self.vae = encoder.vae
        for module in (self.vae.decoder, self.vae.post_quant_conv):
            module.requires_grad_(True)
        self.parameters = {name: value for name, value in self.vae.named_parameters() if value.requires_grad}

    def learning_rate(self, step):
        return cosine(self.recipe.decoder_rate, step, self.steps)

    def loss(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 4, step, self.rank])
        pairs = [draw_pair(rng, self.book, recipe.size) for _ in range(recipe.decoder_batch)]
        masks = torch.stack([draw_mask(rng, *pair) for pair in pairs])
        before, after = (
            to_tensor(torch.from_numpy(np.stack([pair[index].pixels for pair in pairs]))) for index in (0, 1)
        )
        with torch.no_grad():
            latents = torch.lerp(self.encoder(before), self.encoder(after), masks)
        wanted = torch.lerp(before, after, enlarge(masks))
        weight = torch.from_numpy(np.stack([object_weight(*pair) for pair in pairs]))[:, None]
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.vae.decode(disturb(rng, latents)).sample
        return picture_loss(decoded.float(), wanted, weight)


def cosine(rate, step, steps, warm_up=50):
    return rate * min(1, (step + 1) / warm_up) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)


def disturb(rng, latents):
    """Adds noise of up to BLUR deviations, another amount for each picture, as a UNet's latents are not exact."""
    noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
    amount = torch.from_numpy(rng.random((len(latents), 1, 1, 1), np.float32))
    return latents + noise * amount * BLUR * latents.detach().std()


def picture_loss(decoded, pictures, weight):
    """Absolute error of values and of differences between neighbours, and squared error."""
    weight = weight / weight.mean()
    error = decoded - pictures
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    absolute = (error.abs() * weight).mean()
    edges = (across.abs() * weight[..., 1:]).mean() + (down.abs() * weight[..., 1:, :]).mean()
    squared = (error.square() * weight).mean()
    loss = absolute + 0.5 * edges + 3 * squared
    plain = error.detach().square().mean().item()
    return loss, {"loss": loss.item(), "psnr": 10 * math.log10(4 / plain)}


def draw_mask(rng, before, after):
    """A mask (1, h, w) as an edit may find it: nothing, or what changes and up to three cells around it, or less."""
    changed = np.abs(before.pixels.astype(np.float32) - after.pixels).max(-1)[None, None] > 8
    cells = functional.avg_pool2d(torch.from_numpy(changed).float(), LATENT_FACTOR)
    if rng.random() < PLAIN_SHARE:
        return torch.zeros_like(cells[0])
    margin = int(rng.integers(0, 4))
    mask = (cells > rng.uniform(0.05, 0.5)).float()
    return functional.max_pool2d(mask, 2 * margin + 1, stride=1, padding=margin)[0]


def enlarge(masks):
    """Cells to pixels."""
    return functional.interpolate(masks, scale_factor=LATENT_FACTOR)


def object_weight(before, after):
    """More weight to the pixels of objects, which the ground outnumbers."""
    outlines = [placed.outline for scene in (before, after) for placed in scene.objects]
    cover = np.max(outlines, axis=0) if outlines else np.zeros(before.pixels.shape[:2])
    return (1 + (OBJECT_WEIGHT - 1) * cover).astype(np.float32)


def assemble(folder, size, state):
    """A VAE with trained parameters: all of them, or the decoder's over those of the VAE in `folder`."""
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32) if folder else make_vae(size)
    missing = vae.load_state_dict(state, strict=folder is None)
    if missing.unexpected_keys:
        raise ValueError(f"not parameters of the VAE: {missing.unexpected_keys}")
    return vae
