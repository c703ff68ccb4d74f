"""Goldens of the parts that need no model: noise, schedules, token ids, mask operations."""

import cv2
import numpy as np
import torch
from diffusers import DDIMScheduler
from scipy.ndimage import binary_fill_holes

from storage import save_json, save_tensors

SEEDS = [0, 3, 27, 99, 2**32 - 1, 2**32 + 3]
# Sizes on both sides of 16, whole and ragged blocks, the latents of SD1.5, and more than one state of the twister.
SIZES = [1, 2, 15, 16, 17, 31, 32, 1000, 1024, 4 * 64 * 64]

PROMPTS = [
    "",
    "horse",
    "zebra",
    "a horse on snow",
    "a zebra on snow",
    "bowl of fruits",
    "sports cars",
    "HORSE",
    "  a   horse ,\n on\tgrass  ",
    "a photograph of an astronaut riding a horse",
    "it's the horse's mane; they've said we'll see, I'd say he's 'right'",
    "highly detailed, 8k, f/1.4, (masterpiece:1.2), trending on artstation",
    "1234567890 3.14159 2023-12-13",
    "hello!!! what?? ... --- ###",
    "naïve café Übermensch façade",
    "nai\u0308ve cafe\u0301",
    "東京の馬",
    "лошадь и зебра",
    "حصان",
    "🐎 → 🦓",
    "a horse\u00a0with a non-breaking space",
    "<|startoftext|>horse<|endoftext|>",
    "<html> &amp; entities &lt;b&gt;",
    "snake_case and kebab-case and CamelCase",
    "antidisestablishmentarianism",
    "zzzzqqqqxxxxjjjj",
    "$100 + 20% = ₿?",
    "\u2019curly\u2019 \u201cquotes\u201d \u2014 dashes",
    "ﬁligature ½ ² Ⅳ",
    "horse " * 100,
    "a, " * 60,
]

BLURS = range(3, 33, 2)
MASK_SHAPES = [(16, 16), (32, 32), (24, 17), (5, 3), (2, 2), (1, 9), (7, 1), (1, 1), (40, 6)]


def rng_goldens(path):
    """Uniforms and normals of torch's CPU generator."""
    tensors = {}
    for seed in SEEDS:
        torch.manual_seed(seed)
        tensors[f"uniforms.{seed}"] = torch.rand(1500)
    for size in SIZES:
        torch.manual_seed(3)
        tensors[f"normals.3.{size}"] = torch.randn(size)
    torch.manual_seed(5)
    # One stream through small, large and uniform draws: the cached normal of a small draw outlives the others.
    for index, (draw, size) in enumerate([("n", 3), ("n", 40), ("u", 5), ("n", 2), ("n", 16), ("n", 5), ("u", 20)]):
        kind = {"n": "normals", "u": "uniforms"}[draw]
        tensors[f"stream.{index}.{kind}"] = {"n": torch.randn, "u": torch.rand}[draw](size)
    save_tensors(path, tensors)


def scheduler_goldens(path):
    """Schedules of diffusers' DDIM for SD1.5's betas and for linear ones, and single steps."""
    tensors = {}
    stable_diffusion = dict(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    variants = {
        "leading": dict(stable_diffusion, steps_offset=1, timestep_spacing="leading"),
        "linspace": dict(stable_diffusion, timestep_spacing="linspace"),
        "trailing": dict(stable_diffusion, timestep_spacing="trailing", set_alpha_to_one=True),
        "linear": dict(clip_sample=False),
    }
    for name, config in variants.items():
        scheduler = DDIMScheduler(**config)
        tensors[f"{name}.alphas"] = scheduler.alphas_cumprod
        for steps in [1, 2, 3, 7, 20, 50, 333, 999 if name == "leading" else 1000]:
            scheduler.set_timesteps(steps)
            if int(scheduler.timesteps.max()) < 1000:
                tensors[f"{name}.{steps}.timesteps"] = scheduler.timesteps.to(torch.int32)
        scheduler.set_timesteps(50)
        torch.manual_seed(1)
        latents, noise, epsilon = torch.randn(3, 1, 4, 2, 3)
        tensors |= {f"{name}.latents": latents, f"{name}.noise": noise, f"{name}.epsilon": epsilon}
        timesteps = scheduler.timesteps
        # In double precision, from the single-precision alphas: the truth that both sides round.
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
        scheduler.final_alpha_cumprod = torch.as_tensor(scheduler.final_alpha_cumprod).double()
        latents, noise, epsilon = (tensor.double() for tensor in (latents, noise, epsilon))
        stepped = [scheduler.step(epsilon, t, latents).prev_sample for t in timesteps]
        noised = [scheduler.add_noise(latents, noise, t.reshape(1)) for t in timesteps]
        tensors[f"{name}.stepped"] = torch.stack(stepped).float()  # (50, 4, 2, 3)
        tensors[f"{name}.noised"] = torch.stack(noised).float()  # (50, 4, 2, 3)
    save_tensors(path, tensors)


def token_goldens(path, tokenizer):
    """Token ids of prompts, cut and padded to 77."""
    encoded = [
        {"text": text, "ids": tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids}
        for text in PROMPTS
    ]
    save_json(path, encoded)


def mask_goldens(path):
    """Blurs by OpenCV and filled holes by SciPy of random masks, at three densities a shape."""
    generator = np.random.default_rng(0)
    tensors = {f"kernel.{size}": fixed_kernel(size) for size in BLURS}
    for width, height in MASK_SHAPES:
        for level, share in enumerate([0.1, 0.4, 0.7]):
            mask = blobs(generator, width, height, share)
            name = f"{width}x{height}.{level}"
            tensors[f"{name}.mask"] = mask
            tensors[f"{name}.filled"] = binary_fill_holes(mask).astype(np.uint8)
            blurred = [cv2.GaussianBlur(mask, (k, k), 0).reshape(mask.shape) > 0.1 for k in BLURS]
            tensors[f"{name}.blurred"] = np.stack(blurred).astype(np.uint8)  # (15, height, width)
            floats = [cv2.GaussianBlur(mask.astype(np.float32), (k, k), 0).reshape(mask.shape) for k in BLURS]
            # 2 where rounding decides, and both answers are right.
            dilated = [np.where(abs(blur - 0.1) < 1e-5, 2, blur > 0.1) for blur in floats]
            tensors[f"{name}.dilated"] = np.stack(dilated).astype(np.uint8)  # (15, height, width)
    save_tensors(path, tensors)


def fixed_kernel(size):
    """OpenCV's 8-bit weights in 1/256, from its answer to a line with one bright pixel."""
    line = np.zeros((1, 4 * size), np.uint8)
    line[0, 2 * size] = 255
    answer = cv2.GaussianBlur(line, (size, 1), 0)[0]
    start = 2 * size - size // 2
    # No weight exceeds 128, so 255 / 256 of each, rounded, is the weight itself.
    return answer[start : start + size].astype(np.int32)


def blobs(generator, width, height, share):
    """A random mask with lumps and lone cells, about `share` of it set."""
    noise = generator.random((height, width)).astype(np.float32)
    lumps = cv2.GaussianBlur(noise, (3, 3), 0).reshape(noise.shape) * 2 + noise
    return (lumps < np.quantile(lumps, share)).astype(np.uint8)
