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

    # The banks of latents: each starts with some entries a process, and grows by some a process and step until full.
    scenes: int = 10_400
    first_scenes: int = 256
    scenes_a_step: int = 3
    edits: int = 12_000
    first_edits: int = 256
    edits_a_step: int = 2

    # The UNet and the text encoder; where they are trained from nothing, first on pictures of half the side.
    small_steps: int = 3000
    plain_steps: int = 1800  # of the denoiser, on scenes alone; then a share of the batch are edits
    edited_share: float = 0.5
    denoiser_steps: int = 8200
    denoiser_batch: int = 12  # a process
    denoiser_rate: float = 6e-4
    caption_dropout: float = 0.1

    # The decoder, on latents of two pictures spliced; then a share of the batch are edits by the trained denoiser.
    spliced_steps: int = 1700
    repainted_share: float = 0.5
    repaints: int = 600
    first_repaints: int = 128
    repaints_a_step: int = 1
    decoder_steps: int = 2100
    decoder_batch: int = 4  # a process
    decoder_rate: float = 4e-4

    # What suits edits with the model, and what it is evaluated by.
    edit_steps: int = 20
    edit_strength: float = 0.65
    edit_guidance: float = 4.0
    edit_blur: int = 3  # latent cells; wider ones round thin legs off

    trials: float = 1.0  # of the 200 evaluated

    def edit_defaults(self):
        """Under the names that `diffedit.json` and the reference share."""
        return {
            "steps": self.edit_steps,
            "strength": self.edit_strength,
            "guidance": self.edit_guidance,
            "blur": self.edit_blur,
        }


FULL = Recipe()
SMOKE = Recipe(
    size=64,
    drawing_size=64,
    autoencoder_steps=4,
    autoencoder_batch=2,
    scenes=32,
    first_scenes=8,
    scenes_a_step=4,
    edits=16,
    first_edits=4,
    edits_a_step=2,
    small_steps=4,
    plain_steps=3,
    denoiser_steps=6,
    denoiser_batch=2,
    spliced_steps=2,
    repaints=16,
    first_repaints=4,
    decoder_steps=4,
    decoder_batch=2,
    trials=0.001,
)
