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
# How edits overdo a replacement: guidance carries latents up to this much beyond those of what is new, and leaves them
# off by waves of up to so many deviations.
OVERSHOOT, DRIFT = 0.6, 0.5
WAVE_CELLS = 4  # from crest to trough
# How many masks are rough, and by how much of a cell's cover waves move their outlines.
ROUGH_SHARE, ROUGHNESS = 0.6, 0.25
BORDER_WEIGHT = 3.0  # of the pixels of cells beside a mask
# Of squared errors, that of absolute ones being 1. The decoder is judged by the former.
SQUARED, DECODER_SQUARED = 3.0, 10.0


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
        pictures = to_tensor(scenes)
        torch.manual_seed(int(rng.integers(2**32)))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = self.vae.encode(pictures).latent_dist
            decoded = self.vae.decode(disturb(rng, posterior.sample())).sample
        error, metrics = picture_loss(decoded.float(), pictures, torch.ones_like(pictures[:, :1]), SQUARED)
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        prior = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return error + PRIOR_WEIGHT * prior, metrics | {"prior": prior.item()}


class Decoder:
    """The task of decoding latents whose object was replaced, so that the rest of the picture stays as it was.

    Group norms and attention see the whole picture and convolutions see across the mask's edge: a decoder that only
    ever saw one picture's latents lets a change of the object show everywhere. The encoder is frozen.

    First the latents are spliced of those of two pictures, one in the object's place. Then half of them are edits by
    the trained denoiser, of which the decoder learns the part outside the masks alone: `repaints` are those.
    """

    name = "decoder"
    betas = (0.9, 0.99)
    weight_decay = 0.0

    def __init__(self, recipe, rank, book, encoder, repaints):
        self.recipe, self.rank, self.book, self.encoder, self.repaints = recipe, rank, book, encoder, repaints
        self.steps = recipe.decoder_steps
        self.vae = encoder.vae
        for module in (self.vae.decoder, self.vae.post_quant_conv):
            module.requires_grad_(True)
        self.parameters = {name: value for name, value in self.vae.named_parameters() if value.requires_grad}

    def learning_rate(self, step):
        """A cosine for the splices alone, and one of half the rate for what follows."""
        recipe = self.recipe
        if step < recipe.spliced_steps:
            return cosine(recipe.decoder_rate, step, recipe.spliced_steps)
        return cosine(recipe.decoder_rate / 2, step - recipe.spliced_steps, self.steps - recipe.spliced_steps)

    def loss(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 4, step, self.rank])
        repainted = round(recipe.repainted_share * recipe.decoder_batch) if step >= recipe.spliced_steps else 0
        parts = [self.draw_spliced(rng, recipe.decoder_batch - repainted)]
        if repainted:
            parts.append(self.draw_repainted(rng, step, repainted))
        latents, wanted, weight = (torch.cat(each) for each in zip(*parts))
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.vae.decode(disturb(rng, latents)).sample
        return picture_loss(decoded.float(), wanted, weight, DECODER_SQUARED)

    def draw_spliced(self, rng, count):
        """Latents, the pictures they are to become, and weights of the pixels."""
        pairs = [draw_pair(rng, self.book, self.recipe.size) for _ in range(count)]
        masks = torch.stack([draw_mask(rng, *pair) for pair in pairs])
        before, after = map(to_tensor, zip(*pairs))
        with torch.no_grad():
            latents = splice(rng, self.encoder(before), self.encoder(after), masks)
        weight = torch.from_numpy(np.stack([object_weight(*pair) for pair in pairs]))[:, None]
        return latents, torch.lerp(before, after, enlarge(masks)), weight * border_weight(masks)

    def draw_repainted(self, rng, step, count):
        """The same of edits; pixels inside masks have no weight."""
        recipe = self.recipe
        available = recipe.first_repaints + recipe.repaints_a_step * (step - recipe.spliced_steps)
        latents, masks, before = self.repaints.sample_edits(rng, available, count)
        return latents, before, border_weight(masks) * enlarge(1 - masks)


def cosine(rate, step, steps, warm_up=50):
    return rate * min(1, (step + 1) / warm_up) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)


def splice(rng, before, after, masks):
    """Latents (n, 4, h, w) of pictures before an edit, and in the masks (n, 1, h, w) those after it, as guidance leaves
    them: in half of the pictures as encoded, in the others overdone."""
    count = len(before)
    overdone = torch.from_numpy(rng.integers(0, 2, (count, 1, 1, 1)).astype(np.float32))
    strength, drift = torch.from_numpy(rng.random((2, count, 1, 1, 1), np.float32)) * overdone
    waves = draw_waves(rng, before.shape)
    edited = torch.lerp(before, after, 1 + OVERSHOOT * strength) + DRIFT * after.std() * drift * waves
    return torch.lerp(before, edited, masks)


def draw_waves(rng, shape):
    """Smooth noise."""
    count, channels, height, width = shape
    coarse = rng.standard_normal((count, channels, height // WAVE_CELLS, width // WAVE_CELLS), np.float32)
    return functional.interpolate(torch.from_numpy(coarse), size=(height, width), mode="bilinear")


def disturb(rng, latents):
    """Adds noise of up to BLUR deviations, another amount for each picture, as a UNet's latents are not exact."""
    noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
    amount = torch.from_numpy(rng.random((len(latents), 1, 1, 1), np.float32))
    return latents + noise * amount * BLUR * latents.detach().std()


def picture_loss(decoded, pictures, weight, squares):
    """Absolute error of values and of differences between neighbours, and `squares` times the squared error."""
    weight = weight / weight.mean()
    error = decoded - pictures
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    absolute = (error.abs() * weight).mean()
    edges = (across.abs() * weight[..., 1:]).mean() + (down.abs() * weight[..., 1:, :]).mean()
    squared = (error.square() * weight).mean()
    loss = absolute + 0.5 * edges + squares * squared
    plain = error.detach().square().mean().item()
    return loss, {"loss": loss.item(), "psnr": 10 * math.log10(4 / plain)}


def draw_mask(rng, before, after):
    """A mask (1, h, w) as an edit may find it: nothing, a rough one, or what changes and up to 3 cells around it."""
    cells = changed_cells(before, after)
    chance = rng.random()
    if chance < PLAIN_SHARE:
        return torch.zeros_like(cells[0])
    if chance < PLAIN_SHARE + (1 - PLAIN_SHARE) * ROUGH_SHARE:
        return draw_rough_mask(rng, cells)[0]
    return widen((cells > rng.uniform(0.05, 0.5)).float(), int(rng.integers(0, 4)))[0]


def draw_rough_mask(rng, cells):
    """A mask (1, 1, h, w) of roughly the cells that change, which cuts into them here and there."""
    rounded = functional.avg_pool2d(cells, 3, stride=1, padding=1)
    return (rounded + ROUGHNESS * draw_waves(rng, cells.shape) > rng.uniform(0.2, 0.6)).float()


def changed_cells(before, after):
    """How much of each cell (1, 1, h, w) differs between two scenes."""
    changed = np.abs(before.pixels.astype(np.float32) - after.pixels).max(-1)[None, None] > 8
    return functional.avg_pool2d(torch.from_numpy(changed).float(), LATENT_FACTOR)


def widen(masks, margin):
    """Masks and so many cells around them."""
    return functional.max_pool2d(masks, 2 * margin + 1, stride=1, padding=margin)


def enlarge(masks):
    """Cells to pixels."""
    return functional.interpolate(masks, scale_factor=LATENT_FACTOR)


def object_weight(before, after):
    """More weight to the pixels of objects, which the ground outnumbers."""
    outlines = [placed.outline for scene in (before, after) for placed in scene.objects]
    cover = np.max(outlines, axis=0) if outlines else np.zeros(before.pixels.shape[:2])
    return (1 + (OBJECT_WEIGHT - 1) * cover).astype(np.float32)


def border_weight(masks):
    """More weight to the pixels of cells beside masks, where an edit is seen first."""
    return enlarge(1 + (BORDER_WEIGHT - 1) * (widen(masks, 1) - masks))


def assemble(folder, size, state):
    """A VAE with trained parameters: all of them, or the decoder's over those of the VAE in `folder`."""
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32) if folder else make_vae(size)
    missing = vae.load_state_dict(state, strict=folder is None)
    if missing.unexpected_keys:
        raise ValueError(f"not parameters of the VAE: {missing.unexpected_keys}")
    return vae
