"""DiffEdit as a plain program on torch and diffusers, stage by stage."""

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from scipy.ndimage import binary_dilation, binary_fill_holes
from transformers import CLIPTextModel, CLIPTokenizerFast

FACTOR = 8  # pixels a latent cell, in each direction


def draw_noise(height, width):
    """Noise for latents from torch's CPU generator: drawn in single precision, then rounded to half."""
    return torch.randn(1, 4, height, width).half().float()


def load_picture(path, size):
    """Pixels of a picture, stretched to (width, height) by Pillow's bicubic filter if need be: u8 (H, W, 3)."""
    picture = Image.open(path).convert("RGB")
    if picture.size != tuple(size):
        picture = picture.resize(tuple(size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture))


class Reference:
    """A model folder and the stages of an edit. Latents are scaled by the VAE's scaling factor throughout."""

    def __init__(self, folder):
        single = dict(torch_dtype=torch.float32)
        self.tokenizer = CLIPTokenizerFast.from_pretrained(f"{folder}/tokenizer")
        self.text = CLIPTextModel.from_pretrained(f"{folder}/text_encoder", **single).eval()
        self.vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", **single).eval()
        self.unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **single).eval()
        self.scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")

    def set_steps(self, steps):
        self.scheduler.set_timesteps(steps)
        self.steps = steps
        self.timesteps = [int(timestep) for timestep in self.scheduler.timesteps]

    def start_step(self, strength):
        return int(self.steps - self.steps * strength)

    def tokenize(self, prompt):
        ids = self.tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids
        return torch.tensor(ids, dtype=torch.int32)

    def embed(self, tokens):
        """Token ids (77) to text embeddings (77, C)."""
        return self.text(tokens.long()[None]).last_hidden_state[0]

    def moments(self, picture):
        """A picture (1, 3, H, W) to the posterior's mean and deviation, each (1, 4, h, w), both scaled."""
        posterior = self.vae.encode(picture).latent_dist
        scale = self.vae.config.scaling_factor
        return posterior.mean * scale, posterior.std * scale

    def predict(self, latents, timestep, text):
        """Noise predicted in latents (1, 4, h, w) under text embeddings (77, C)."""
        return self.unet(latents, timestep, encoder_hidden_states=text[None]).sample

    def predict_guiding(self, latents, step, text):
        """The predictions that guidance takes: without the prompt, and under the target."""
        return [self.predict(latents, self.timesteps[step], text[name]) for name in ("uncond", "target")]

    def alpha(self, timestep):
        """The share of signal in the variance: alphas_cumprod, and its value beyond the last step."""
        alpha = self.scheduler.alphas_cumprod[timestep] if timestep >= 0 else self.scheduler.final_alpha_cumprod
        return float(alpha)

    def add_noise(self, latents, noise, step):
        """Latents noised to the level of a step; nothing but noise at step 0."""
        if step == 0:
            return noise
        alpha = self.alpha(self.timesteps[step])
        return alpha**0.5 * latents + (1 - alpha) ** 0.5 * noise

    def guide(self, uncond, target, guidance):
        return uncond + guidance * (target - uncond)

    def ddim_step(self, latents, epsilon, step):
        """Deterministic DDIM (arXiv 2010.02502, equation 12) from a step to the next."""
        timestep = self.timesteps[step]
        before = self.alpha(timestep)
        after = self.alpha(timestep - self.scheduler.config.num_train_timesteps // self.steps)
        clean = (latents - (1 - before) ** 0.5 * epsilon) / before**0.5
        return after**0.5 * clean + (1 - after) ** 0.5 * epsilon

    def masked_step(self, latents, predictions, guidance, step, original, noise, mask):
        """One step of the edit: guidance, DDIM, and the original at the next noise level outside the mask."""
        edited = self.ddim_step(latents, self.guide(*predictions, guidance), step)
        kept = original if step + 1 == self.steps else self.add_noise(original, noise, step + 1)
        return mask * edited + (1 - mask) * kept

    def difference(self, latents, noise, step, text):
        """|difference| of the predictions under source and target, the mean over channels (h, w)."""
        noisy = self.add_noise(latents, noise, step)
        source, target = (self.predict(noisy, self.timesteps[step], text[name]) for name in ("source", "target"))
        return (target - source).abs().mean(dim=1)[0]

    def decode(self, latents):
        """Latents to the decoder's output (1, 3, H, W), about -1 to 1."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample


def to_tensor(pixels):
    """u8 (H, W, 3) to (1, 3, H, W) in -1 to 1."""
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def to_pixels(decoded):
    """(1, 3, H, W) in -1 to 1 to u8 (H, W, 3)."""
    return ((decoded[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)


def normalise(differences):
    """Differences (h, w) to 0 to 1."""
    differences = differences - differences.min()
    return differences / differences.max()


def blur(mask, size):
    """smoothing of a u8 mask (h, w) of 0s and 1s: OpenCV's 8-bit blur, then > 0.1."""
    return (cv2.GaussianBlur(mask, (size, size), 0) > 0.1).astype(np.uint8) if size > 1 else mask


def fill_holes(mask):
    return binary_fill_holes(mask).astype(np.uint8)


def dilate(mask, radius):
    """Grown by a square of 2 radius + 1 cells."""
    square = np.ones((2 * radius + 1,) * 2)
    return binary_dilation(mask, square).astype(np.uint8)
