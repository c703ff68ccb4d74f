"""The stages of the recipe. Each goes on where it was left, and returns at once when its work is done."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from . import artwork, checkpoint, figures, parallel, trainer
from .autoencoder import Autoencoder, Decoder, assemble
from .bank import EditBank, SceneBank
from .denoiser import Denoiser, SmallDenoiser, published_parameters
from .encoder import Encoder, measure_scaling
from .evaluate import Evaluation, make_judge, pipelines
from .export import export
from .recipe import Recipe
from .repaints import Painter, RepaintBank
from .showcase import write_scenes
from .sprites import SpriteBook
from .vocabulary import Vocabulary

PUBLISHED = Path(__file__).resolve().parents[2] / "models/demo"


@dataclass
class Workshop:
    """Where everything lies, and what several stages need."""

    folder: Path
    recipe: Recipe
    start: Path  # the model that training starts from
    from_nothing: bool  # then `start` gives the tokenizer alone
    program: Path | None

    def __reduce__(self):
        """Training processes get it without what this one has loaded."""
        return Workshop, (self.folder, self.recipe, self.start, self.from_nothing, self.program)

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
        return Vocabulary(self.start / "tokenizer")

    def checkpoint(self, task):
        return self.folder / f"{task.name}.pt"

    def vae(self):
        """The VAE to start from: a published one, or the one trained from nothing."""
        if self.from_nothing:
            return assemble(None, self.recipe.size, checkpoint.load(self.checkpoint(Autoencoder))["average"])
        return assemble(self.start / "vae", self.recipe.size, {})

    @cached_property
    def encoder(self):
        return Encoder(self.vae())

    def scaling(self):
        if self.from_nothing:
            return measure_scaling(self.folder / "scaling.json", self)
        return self.encoder.vae.config.scaling_factor

    def bank(self, kind, name, capacity, rank, world, size):
        capacity //= world
        return kind(self.folder / name, rank, world, self.recipe.seed, capacity, size, self.book, self.encoder)

    def make_autoencoder(self, rank, world):
        return Autoencoder(self.recipe, rank, self.book)

    def make_small_denoiser(self, rank, world):
        recipe = self.recipe
        scenes = self.bank(SceneBank, "latents-small", recipe.scenes, rank, world, recipe.size // 2)
        return SmallDenoiser(recipe, rank, self.vocabulary, scenes, None, self.scaling())

    def make_denoiser(self, rank, world):
        if self.from_nothing:
            start = checkpoint.load(self.checkpoint(SmallDenoiser))["average"]
        else:
            start = published_parameters(self.start, self.vocabulary.used)
        recipe = self.recipe
        scenes = self.bank(SceneBank, "latents", recipe.scenes, rank, world, recipe.size)
        edits = self.bank(EditBank, "edits", recipe.edits, rank, world, recipe.size)
        return Denoiser(recipe, rank, self.vocabulary, scenes, edits, self.scaling(), start)

    def make_decoder(self, rank, world):
        recipe = self.recipe
        trained = checkpoint.load(self.checkpoint(Denoiser))["average"]
        kind = partial(RepaintBank, Painter(recipe, self.vocabulary, self.scaling(), trained))
        repaints = self.bank(kind, "repaints", recipe.repaints, rank, world, recipe.size)
        return Decoder(recipe, rank, self.book, self.encoder, repaints)

    def train(self, make_task):
        parallel.launch(trainer.train, self.recipe.processes, make_task, self.folder)


def fetch(workshop):
    artwork.fetch(workshop.folder / "packages")


def train_autoencoder(workshop):
    if workshop.from_nothing:
        workshop.train(workshop.make_autoencoder)


def train_small_denoiser(workshop):
    if workshop.from_nothing:
        workshop.scaling()  # once, before two processes would
        workshop.train(workshop.make_small_denoiser)


def train_denoiser(workshop):
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
    vocabulary, tokenizer = workshop.vocabulary, workshop.start / "tokenizer"
    model = workshop.folder / "model"
    export(model, recipe, denoiser["average"], vocabulary, vae, workshop.scaling(), tokenizer)
    write_scenes(model / "scenes", workshop.folder / "packages", recipe)


def evaluation(workshop):
    books = {"known": workshop.book, "unseen": workshop.unseen_book}
    return Evaluation(workshop.folder / "evaluation", workshop.folder / "model", books, workshop.recipe)


def probe(workshop):
    evaluation(workshop).probe()


def evaluate(workshop):
    recipe = workshop.recipe
    judge = make_judge(workshop.folder, workshop.all_book, recipe.trials, recipe.seed)
    whole = evaluation(workshop)
    used = pipelines(whole, workshop.program, workshop.folder / "model")
    rows = {pipeline.name: whole.run(pipeline, judge) for pipeline in used}
    means = {name: figures.summarise(each) for name, each in rows.items()}
    table = f"{figures.table(means)}\n{figures.seen_by_edit(rows)}"
    (whole.results / "figures.md").write_text(table, encoding="utf-8")
    print(table, flush=True)


STAGES = {
    "fetch": fetch,
    "autoencoder": train_autoencoder,
    "denoiser-small": train_small_denoiser,
    "denoiser": train_denoiser,
    "decoder": train_decoder,
    "export": export_model,
    "probe": probe,
    "evaluate": evaluate,
}
