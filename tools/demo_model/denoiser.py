"""Joint training of the UNet and the text encoder on the bank of latents."""

import math

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from . import captions
from .networks import MatrixAttention, make_text_encoder, make_unet

# Stable Diffusion 1.5's noise schedule.
TRAINING_STEPS, FIRST_BETA, LAST_BETA = 1000, 0.00085, 0.012
# Most draws fall below this timestep: edits start at 741 and masks are found at 481.
COMMON_BELOW, COMMON_SHARE = 800, 0.85
MIN_SNR = 5.0  # arXiv 2303.09556
WARM_UP = 200
DECAY_SHARE = 0.3  # of all steps, at the end


class Denoiser:
    """The task of predicting the noise in noised latents under captions. `start` holds parameters to start from."""

    name = "denoiser"
    betas = (0.9, 0.99)
    weight_decay = 0.01

    def __init__(self, recipe, rank, vocabulary, bank, scaling, start=None):
        self.recipe, self.rank = recipe, rank
        self.vocabulary, self.bank, self.scaling = vocabulary, bank, scaling
        self.steps = self.count_steps(recipe)
        self.alphas = signal_shares()
        torch.manual_seed(recipe.seed)
        self.unet = make_unet(recipe.size).to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(MatrixAttention())
        self.text = make_text_encoder()
        shrink_table(self.text, vocabulary.used)
        self.parameters = named_parameters(self.unet, self.text)
        if start:
            copy_parameters(self.parameters, start)

    @staticmethod
    def count_steps(recipe):
        return recipe.denoiser_steps

    def learning_rate(self, step):
        """Warm-up, flat, then a cosine to nothing."""
        decayed = max(0.0, (step / self.steps - 1) / DECAY_SHARE + 1)
        return self.recipe.denoiser_rate * min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * decayed)) / 2

    def loss(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1, step, self.rank])
        available = recipe.first_scenes + recipe.scenes_a_step * step
        self.bank.grow(available)
        latents, scenes = self.bank.sample(rng, available, recipe.denoiser_batch)
        latents *= self.scaling
        texts = [
            "" if rng.random() < recipe.caption_dropout else captions.describe(rng, ground, names)
            for ground, names in scenes
        ]
        timesteps = draw_timesteps(rng, len(latents))
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
        alphas = self.alphas[timesteps].view(-1, 1, 1, 1)
        noised = (alphas.sqrt() * latents + (1 - alphas).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            context = self.embed(texts)
            predicted = self.unet(noised, timesteps, encoder_hidden_states=context, return_dict=False)[0]
        errors = (predicted.float() - noise).square().mean((1, 2, 3))
        ratios = alphas.flatten() / (1 - alphas.flatten())
        loss = (errors * ratios.clamp(max=MIN_SNR) / ratios).mean()
        return loss, {"loss": loss.item(), "error": errors.mean().item(), "scenes": len(self.bank.descriptions)}

    def embed(self, texts):
        """Text embeddings (n, 77, width); equal captions are encoded once."""
        unique, inverse = np.unique(texts, return_inverse=True)
        return self.text(self.vocabulary.number(list(unique))).last_hidden_state[torch.from_numpy(inverse)]


class SmallDenoiser(Denoiser):
    """The same on latents of half the side, a third of the work: what it learns holds at the full size."""

    name = "denoiser-small"

    @staticmethod
    def count_steps(recipe):
        return recipe.small_steps


def signal_shares():
    """The share of signal in the variance after each training step: alphas_cumprod."""
    betas = torch.linspace(FIRST_BETA**0.5, LAST_BETA**0.5, TRAINING_STEPS) ** 2
    return torch.cumprod(1 - betas, 0)


def draw_timesteps(rng, count):
    low = rng.integers(0, COMMON_BELOW, count)
    high = rng.integers(COMMON_BELOW, TRAINING_STEPS, count)
    return torch.from_numpy(np.where(rng.random(count) < COMMON_SHARE, low, high))


def shrink_table(text_encoder, used):
    """Keeps only the rows of the token table that captions use, three times as large as CLIP starts them."""
    table = text_encoder.get_input_embeddings().weight.data[used] * 3
    text_encoder.set_input_embeddings(torch.nn.Embedding.from_pretrained(table, freeze=False))


def published_parameters(folder, used):
    """The parameters of a published model, under the names that training gives them."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
    table = text.get_input_embeddings().weight.data[used]
    text.set_input_embeddings(torch.nn.Embedding.from_pretrained(table))
    return named_parameters(unet, text)


@torch.no_grad()
def copy_parameters(parameters, values):
    if parameters.keys() != values.keys():
        raise ValueError(f"other parameters: {sorted(parameters.keys() ^ values.keys())}")
    for name, parameter in parameters.items():
        parameter.copy_(values[name])


def named_parameters(unet, text_encoder):
    networks = {"unet": unet, "text_encoder": text_encoder}
    return {f"{part}.{name}": value for part, network in networks.items() for name, value in network.named_parameters()}
