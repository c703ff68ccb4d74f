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
# Edits are learned where masks are found, in timesteps of this range, and on the way from where repainting starts.
MASKED, REPAINTED = (350, 800), 741
MIN_SNR = 5.0  # arXiv 2303.09556
WARM_UP = 200
DECAY_SHARE = 0.3  # of all steps, at the end


class Denoiser:
    """The task of predicting the noise in noised latents under captions. `start` holds parameters to start from.

    A caption may also say what is to come into an object's place: the noise to predict then leads to the latents of the
    scene after that edit, which are those of the scene before except where the object was. So the prompts' predictions
    differ where the picture has to change and nowhere else.
    """

    name = "denoiser"
    betas = (0.9, 0.99)
    weight_decay = 0.01

    def __init__(self, recipe, rank, vocabulary, scenes, edits, scaling, start=None):
        self.recipe, self.rank = recipe, rank
        self.vocabulary, self.scenes, self.edits, self.scaling = vocabulary, scenes, edits, scaling
        self.steps = self.count_steps(recipe)
        self.alphas = signal_shares()
        torch.manual_seed(recipe.seed)
        self.unet, self.text = make_networks(recipe.size, vocabulary.used)
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
        rng = np.random.default_rng([self.recipe.seed, 1, step, self.rank])
        latents, wanted, texts, timesteps = self.draw_batch(rng, step)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
        alphas = self.alphas[timesteps].view(-1, 1, 1, 1)
        noised = (alphas.sqrt() * latents + (1 - alphas).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        # The noise that leads from the noised latents to those that are wanted: for scenes, that which was added.
        leading = noise + (alphas / (1 - alphas)).sqrt() * (latents - wanted)
        with torch.autocast("cpu", torch.bfloat16):
            context = self.embed(texts)
            predicted = self.unet(noised, timesteps, encoder_hidden_states=context, return_dict=False)[0]
        errors = (predicted.float() - leading).square().mean((1, 2, 3))
        ratios = alphas.flatten() / (1 - alphas.flatten())
        loss = (errors * ratios.clamp(max=MIN_SNR) / ratios).mean()
        plain = self.recipe.denoiser_batch - self.count_edits(step)
        return loss, {
            "loss": loss.item(),
            "error": errors[:plain].mean().item(),
            "error_of_edits": errors[plain:].sum().item() / max(1, len(errors) - plain),
            "scenes": len(self.scenes.descriptions),
        }

    def count_edits(self, step):
        """How many of the batch of a step are edits."""
        recipe = self.recipe
        return round(recipe.edited_share * recipe.denoiser_batch) if self.edits and step >= recipe.plain_steps else 0

    def draw_batch(self, rng, step):
        """Scaled latents, those that denoising is to lead to, captions and timesteps: scenes first, then edits."""
        edited = self.count_edits(step)
        parts = [self.draw_scenes(rng, step, self.recipe.denoiser_batch - edited)]
        if edited:
            parts.append(self.draw_edits(rng, step, edited))
        latents, wanted, texts, timesteps = zip(*parts)
        return torch.cat(latents) * self.scaling, torch.cat(wanted) * self.scaling, sum(texts, []), torch.cat(timesteps)

    def draw_scenes(self, rng, step, count):
        recipe = self.recipe
        available = recipe.first_scenes + recipe.scenes_a_step * step
        latents, scenes = self.scenes.sample(rng, available, count)
        timesteps = draw_timesteps(rng, count)
        texts = [captions.describe(rng, *scene) for scene in scenes]
        texts = ["" if rng.random() < recipe.caption_dropout else text for text in texts]
        return latents, latents, texts, timesteps

    def draw_edits(self, rng, step, count):
        recipe = self.recipe
        available = recipe.first_edits + recipe.edits_a_step * (step - recipe.plain_steps)
        pairs, scenes = self.edits.sample(rng, available, count)
        before, after = pairs.chunk(2, dim=1)
        texts = [captions.describe_edited(rng, *scene) for scene in scenes]
        timesteps, remaining = self.draw_progress(rng, count)
        return torch.lerp(after, before, remaining), after, texts, timesteps

    def draw_progress(self, rng, count):
        """Timesteps, and how much of the object that goes remains (n, 1, 1, 1) in the latents.

        In half of them all of it, as where a mask is found. In the others as much as repainting has left of it there:
        DDIM carries the predicted noise on, and with it the object, which fades as noise does beside the signal.
        """
        masked = torch.from_numpy(rng.random(count) < 0.5)
        timesteps = torch.from_numpy(np.where(masked, rng.integers(*MASKED, count), rng.integers(0, MASKED[1], count)))
        noise = ((1 - self.alphas) / self.alphas).sqrt()
        remaining = (noise[timesteps] / noise[REPAINTED]).clamp(max=1)
        return timesteps, torch.where(masked, 1.0, remaining).view(-1, 1, 1, 1)

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


def make_networks(size, used):
    """UNet and text encoder with random weights, as they are trained."""
    unet = make_unet(size).to(memory_format=torch.channels_last)
    unet.set_attn_processor(MatrixAttention())
    text = make_text_encoder()
    shrink_table(text, used)
    return unet, text


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
