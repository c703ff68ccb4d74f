"""The stages of the recipe. Each goes on where it was left, and returns at once when its work is done."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import artwork, parallel, trainer
from .bank import LatentBank
from .denoiser import Denoiser
from .encoder import Encoder, measure_scaling
from .recipe import Recipe
from .sprites import SpriteBook
from .vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/demo"


@dataclass
class Workshop:
    """Where everything lies, and what several stages need."""

    folder: Path
    recipe: Recipe

    def __post_init__(self):
        self.folder = self.folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def book(self):
        return SpriteBook(artwork.load(self.folder / "packages", artwork.TRAINING, self.recipe.drawing_size))

    @cached_property
    def vocabulary(self):
        return Vocabulary(MODEL / "tokenizer")

    @cached_property
    def encoder(self):
        return Encoder(MODEL / "vae")

    @cached_property
    def scaling(self):
        return measure_scaling(self.folder / "scaling.json", self.encoder, self.book, self.recipe)

    def make_denoiser(self, rank, world):
        recipe = self.recipe
        capacity = recipe.scenes // world
        bank = LatentBank(
            self.folder / "latents", rank, world, recipe.seed, capacity, recipe.size, self.book, self.encoder
        )
        return Denoiser(recipe, rank, self.vocabulary, bank, self.scaling)


def fetch(workshop):
    artwork.fetch(workshop.folder / "packages")


def train_denoiser(workshop):
    assert workshop.scaling > 0
    fresh = Workshop(workshop.folder, workshop.recipe)
    parallel.launch(trainer.train, workshop.recipe.processes, fresh.make_denoiser, workshop.folder)


STAGES = {"fetch": fetch, "denoiser": train_denoiser}
