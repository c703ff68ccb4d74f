"""The stages of the recipe. Each goes on where it was left, and returns at once when its work is done."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import artwork, checkpoint, parallel, trainer
from .autoencoder import Autoencoder, Decoder, assemble
from .bank import LatentBank
from .denoiser import Denoiser
from .encoder import Encoder, measure_scaling
from .evaluate import Evaluation, make_judge, pipelines
from .export import export
from .recipe import Recipe
from .sprites import SpriteBook
from .vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "models/demo"


@dataclass
class Workshop:
    """Where everything lies, and what several stages need. It travels to the training processes before use."""

    folder: Path
    recipe: Recipe
    from_nothing: bool
    program: Path | None

    def drawings(self, packages):
        return artwork.load(self.folder / "packages", packages, self.recipe.drawing_size)

    @cached_property
    def book(self):
        return SpriteBook(self.drawings(artwork.TRAINING))

    @cached_property
    def unseen_book(self):
        return SpriteBook(self.drawings(artwork.UNSEEN))

    @cached_property
    def all_book(self):
        return SpriteBook(self.drawings(artwork.TRAINING + artwork.UNSEEN))

    @cached_property
    def vocabulary(self):
        return Vocabulary(PUBLISHED / "tokenizer")

    def checkpoint(self, task):
        return self.folder / f"{task.name}.pt"

    def vae(self):
        """The published VAE, or the one trained from nothing."""
        if self.from_nothing:
            return assemble(None, self.recipe.size, checkpoint.load(self.checkpoint(Autoencoder))["average"])
        return assemble(PUBLISHED / "vae", self.recipe.size, {})

    @cached_property
    def encoder(self):
        return Encoder(self.vae())

    def scaling(self):
        return measure_scaling(self.folder / "scaling.json", self)

    def make_autoencoder(self, rank, world):
        return Autoencoder(self.recipe, rank, self.book)

    def make_denoiser(self, rank, world):
        recipe = self.recipe
        capacity = recipe.scenes // world
        bank = LatentBank(
            self.folder / "latents", rank, world, recipe.seed, capacity, recipe.size, self.book, self.encoder
        )
        return Denoiser(recipe, rank, self.vocabulary, bank, self.scaling())

    def make_decoder(self, rank, world):
        return Decoder(self.recipe, rank, self.book, self.encoder)

    def train(self, make_task):
        parallel.launch(trainer.train, self.recipe.processes, make_task, self.folder)


def fetch(workshop):
    artwork.fetch(workshop.folder / "packages")


def train_autoencoder(workshop):
    if workshop.from_nothing:
        workshop.train(workshop.make_autoencoder)


def train_denoiser(workshop):
    Workshop(workshop.folder, workshop.recipe, workshop.from_nothing, None).scaling()
    workshop.train(workshop.make_denoiser)


def train_decoder(workshop):
    workshop.train(workshop.make_decoder)


def export_model(workshop):
    """From the checkpoints as they are, finished or not."""
    recipe = workshop.recipe
    vae = workshop.vae()
    if workshop.checkpoint(Decoder).exists():
        vae.load_state_dict(checkpoint.load(workshop.checkpoint(Decoder))["average"], strict=False)
    denoiser = checkpoint.load(workshop.checkpoint(Denoiser))
    print(f"the denoiser has had {denoiser['progress']['step']} of {recipe.denoiser_steps} steps", flush=True)
    used, tokenizer = workshop.vocabulary.used, PUBLISHED / "tokenizer"
    export(workshop.folder / "model", recipe, denoiser["average"], used, vae, workshop.scaling(), tokenizer)


def evaluation(workshop):
    books = {"known": workshop.book, "unseen": workshop.unseen_book}
    share = workshop.recipe.trials
    return Evaluation(workshop.folder / "evaluation", workshop.folder / "model", books, workshop.recipe.size, share)


def probe(workshop):
    evaluation(workshop).probe()


def evaluate(workshop):
    recipe = workshop.recipe
    judge = make_judge(workshop.folder, workshop.all_book, recipe.trials, recipe.seed)
    whole = evaluation(workshop)
    for pipeline in pipelines(whole, workshop.program, workshop.folder / "model"):
        whole.run(pipeline, judge)


STAGES = {
    "fetch": fetch,
    "autoencoder": train_autoencoder,
    "denoiser": train_denoiser,
    "decoder": train_decoder,
    "export": export_model,
    "probe": probe,
    "evaluate": evaluate,
}
