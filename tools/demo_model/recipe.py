"""The numbers of the recipe: the full one, and the short one that shows that everything runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    size: int = 256  # side of the pictures, pixels
    drawing_size: int = 320  # side at which artwork is rasterised, pixels
    processes: int = 2
    seed: int = 20

    # The autoencoder, where it is trained from nothing: first on small pictures, then on whole ones.
    autoencoder_steps: int = 4500
    autoencoder_batch: int = 4  # a process
    autoencoder_rate: float = 1.2e-3

    # The bank of latents.
    scenes: int = 24_000
    first_scenes: int = 256  # a process, before the first step
    scenes_a_step: int = 3  # a process, after every step until the bank is full

    # The UNet and the text encoder; where they are trained from nothing, first on pictures of half the side.
    small_steps: int = 3000
    denoiser_steps: int = 12_000
    denoiser_batch: int = 12  # a process
    denoiser_rate: float = 6e-4
    caption_dropout: float = 0.1

    # The decoder, on latents of two pictures spliced.
    decoder_steps: int = 1800
    decoder_batch: int = 4  # a process
    decoder_rate: float = 4e-4

    trials: float = 1.0  # of the 200 evaluated


FULL = Recipe()
SMOKE = Recipe(
    size=64,
    drawing_size=64,
    autoencoder_steps=4,
    autoencoder_batch=2,
    scenes=32,
    first_scenes=8,
    scenes_a_step=4,
    small_steps=4,
    denoiser_steps=6,
    denoiser_batch=2,
    decoder_steps=4,
    decoder_batch=2,
    trials=0.001,
)
