"""Evaluation of the exported model: the threshold from some trials, the figures from others."""

import hashlib
import json
import shutil

from . import figures
from .edits import Program, PyTorch, do_all, map_path, picture_path
from .export import write_defaults
from .judge import Judge
from .trials import SINGLE, make_trials

JUDGE_SCENES = 6000
# Seeds of trials, and how many of COUNTS of each kind with each art.
CHOOSING, COUNTING = (101, 0.3), (102, 1.0)


class Evaluation:
    """The folder of an evaluation; what another model or other settings left in it is removed."""

    def __init__(self, folder, model, books, recipe):
        self.model, self.blur = model, recipe.edit_blur
        self.pytorch = PyTorch(model, recipe)
        self.scenes = {}
        self.trials = {}
        for name, (seed, part) in {"choosing": CHOOSING, "counting": COUNTING}.items():
            self.scenes[name] = folder / name
            self.trials[name] = make_trials(folder / name, seed, part * recipe.trials, books, recipe.size)
        self.results = folder / "results"
        digest = fingerprint(model, recipe.edit_defaults())
        mark = self.results / "model.sha256"
        if not mark.exists() or mark.read_text() != digest:
            shutil.rmtree(self.results, ignore_errors=True)
            self.results.mkdir(parents=True)
            mark.write_text(digest)

    def out(self, *names):
        path = self.results.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def probe(self):
        """Masks of the choosing trials by PyTorch: mean overlap by threshold, in a minute or a few."""
        out = self.out(self.pytorch.name, "choosing")
        trials, scenes = self.trials["choosing"], self.scenes["choosing"]
        self.find_maps(self.pytorch, trials, scenes, out)
        for label, kinds in {"single": SINGLE, "two": ("two",), "removal": ("removal",)}.items():
            means = figures.sweep(scenes, out, [trial for trial in trials if trial.kind in kinds], self.blur)
            print(label, " ".join(f"{threshold}: {mean:.2f}" for threshold, mean in means.items()), flush=True)

    def find_maps(self, pipeline, trials, scenes, out):
        def find(trial):
            pipeline.find_map(scenes, trial, out)

        do_all(trials, lambda trial: map_path(out, trial), find, f"maps by {pipeline.name}")

    def run(self, pipeline, judge):
        """All edits by a pipeline; returns the figures of each."""
        choosing = [trial for trial in self.trials["choosing"] if trial.kind in SINGLE]
        out = self.out(pipeline.name, "choosing")
        self.find_maps(pipeline, choosing, self.scenes["choosing"], out)
        threshold = figures.choose_threshold(self.scenes["choosing"], out, choosing, self.blur)
        write_defaults(self.model, threshold=threshold)
        trials, scenes = self.trials["counting"], self.scenes["counting"]
        out, returned = self.out(pipeline.name, "counting"), self.out("round-trips")

        def edit(trial):
            pipeline.edit(scenes, trial, out, threshold)

        def round_trip(trial):
            self.pytorch.round_trip(scenes, trial, returned)

        do_all(trials, lambda trial: picture_path(out, trial), edit, f"edits by {pipeline.name}")
        do_all(trials, lambda trial: picture_path(returned, trial), round_trip, "round trips")
        rows = [(trial, figures.measure(scenes, returned, out, trial, judge)) for trial in trials]
        figures.sheet(self.results / f"{pipeline.name}.png", scenes, [out], trials[:: max(1, len(trials) // 20)])
        means = figures.summarise(rows)
        summary = {"threshold": threshold, "judge_accuracy": judge.accuracy} | means
        details = {trial.name: row for trial, row in rows}
        path = self.results / f"{pipeline.name}.json"
        path.write_text(json.dumps({"summary": summary, "trials": details}, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(summary, indent=1), flush=True)
        return rows


def pipelines(evaluation, program, model):
    return [evaluation.pytorch] + ([Program(program, model)] if program else [])


def make_judge(folder, book, scale, seed):
    return Judge(folder / "judge.pt", book, max(30, round(JUDGE_SCENES * scale)), seed)


def fingerprint(model, settings):
    """SHA-256 of the weights and of the settings of edits."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for file in sorted(model.rglob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
