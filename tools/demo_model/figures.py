"""What edits are worth, in figures."""

import cv2
import numpy as np
from PIL import Image

from .edits import map_path, mask_path, pasted_path, picture_path, stages
from .networks import LATENT_FACTOR
from .trials import SINGLE

THRESHOLDS = [round(0.05 * step, 2) for step in range(1, 15)]
# A latent cell belongs to an object that covers more than this share of it.
CELL_COVER = 0.35
# What the table of figures shows: heading to name and form.
SHOWN = {
    "overlap": ("overlap", "{:.2f}"),
    "target seen": ("target_seen", "{:.0%}"),
    "source seen": ("source_seen", "{:.0%}"),
    "background, dB": ("background", "{:.1f}"),
    "round trip there, dB": ("background_of_round_trip", "{:.1f}"),
    "round trip, dB": ("round_trip", "{:.1f}"),
    "background kept": ("kept", "{:.0%}"),
}


def read(path):
    return np.array(Image.open(path))


def true_cells(scenes, trial):
    """The object's true outline on the latent grid."""
    outline = read(scenes / f"{trial.name}-outline.png").astype(np.float32) / 255
    side = outline.shape[0] // LATENT_FACTOR
    return cv2.resize(outline, (side, side), interpolation=cv2.INTER_AREA) > CELL_COVER


def overlap(mask, truth):
    """Intersection over union."""
    union = (mask | truth).sum()
    return float((mask & truth).sum() / union) if union else 1.0


def cut(difference, threshold, blur):
    """The program's mask from its map."""
    return stages.blur((difference > threshold).astype(np.uint8), blur) > 0


def sweep(scenes, out, trials, blur):
    """Mean overlap of the trials' masks at each threshold."""
    maps = [(np.load(map_path(out, trial)), true_cells(scenes, trial)) for trial in trials]
    return {t: float(np.mean([overlap(cut(each, t, blur), truth) for each, truth in maps])) for t in THRESHOLDS}


def choose_threshold(scenes, out, trials, blur):
    """The threshold whose masks overlap best in scenes with one object."""
    means = sweep(scenes, out, [trial for trial in trials if trial.kind in SINGLE], blur)
    return max(means, key=means.get)


def measure(scenes, round_trips, out, trial, judge):
    """The figures of one edit."""
    original = read(picture_path(scenes, trial))
    returned = read(picture_path(round_trips, trial))
    edited = read(picture_path(out, trial))
    mask = read(mask_path(out, trial)) > 127
    seen = judge.name(edited, read(scenes / f"{trial.name}-outline.png"))
    pasted = pasted_path(out, trial)
    kept = {"kept": bool((read(pasted) == original)[~mask].all())} if pasted.exists() else {}
    return kept | {
        "overlap": overlap(mask[::LATENT_FACTOR, ::LATENT_FACTOR], true_cells(scenes, trial)),
        "target_seen": seen == (trial.after or "nothing"),
        "source_seen": seen == trial.before,
        "background": psnr(edited, original, ~mask),
        "background_of_round_trip": psnr(returned, original, ~mask),
        "round_trip": psnr(returned, original, np.ones_like(mask)),
    }


def psnr(picture, original, where):
    """dB, over the pixels chosen by a mask."""
    squares = (picture.astype(np.float64) - original) ** 2
    return float(10 * np.log10(255**2 / max(squares[where].mean(), 1e-9))) if where.any() else 99.0


def summarise(rows):
    """Means over the trials of each kind and art: `rows` are (trial, figures)."""
    groups = {"single": SINGLE, "two": ("two",), "removal": ("removal",), "limit": ("limit",)}
    summary = {}
    for name, kinds in groups.items():
        for art in ("known", "unseen", "all"):
            chosen = [row for trial, row in rows if trial.kind in kinds and art in (trial.art, "all")]
            if chosen:
                means = {key: round(float(np.mean([row[key] for row in chosen])), 3) for key in chosen[0]}
                summary[f"{name}, {art}"] = {"trials": len(chosen)} | means
    return summary


def table(pipelines):
    """The means of pipelines, by name, as a table in Markdown for the model card; a cell has their values in order."""
    lines = [f"Values of {' / '.join(pipelines)}.", "", f"| scenes, art | trials | {' | '.join(SHOWN)} |"]
    lines.append("|---|" + "---:|" * (len(SHOWN) + 1))
    for group, first in next(iter(pipelines.values())).items():
        rows = [means[group] for means in pipelines.values()]
        cells = [" / ".join(form.format(row[key]) for row in rows if key in row) for key, form in SHOWN.values()]
        lines.append(f"| {group} | {first['trials']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def seen_by_edit(pipelines):
    """How often each edit was seen as its target, as a table in Markdown: `pipelines` has (trial, figures) by name."""
    lines = ["| edit | trials | target seen |", "|---|---:|---:|"]
    edits = dict.fromkeys((trial.before, trial.after) for trial, _ in next(iter(pipelines.values())))
    for before, after in sorted(edits, key=lambda edit: not edit[1]):
        of_edit = [
            [row["target_seen"] for trial, row in rows if (trial.before, trial.after) == (before, after)]
            for rows in pipelines.values()
        ]
        counts = " / ".join(str(sum(seen)) for seen in of_edit)
        lines.append(f"| {before} to {after or 'nothing'} | {len(of_edit[0])} | {counts} |")
    return "\n".join(lines) + "\n"


def sheet(path, scenes, outs, trials):
    """A contact sheet: a column a trial; original, then map, mask and result of each pipeline."""
    columns = []
    for trial in trials:
        original = read(picture_path(scenes, trial))
        rows = [original]
        for out in outs:
            rows += [stretch(np.load(map_path(out, trial)), original.shape[0])]
            for file in (mask_path(out, trial), picture_path(out, trial)):
                if file.exists():
                    picture = read(file)
                    rows.append(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2))
        columns.append(np.concatenate(rows))
    Image.fromarray(np.concatenate(columns, 1)).save(path)


def stretch(difference, side):
    bytes_ = (difference * 255).astype(np.uint8)
    return np.repeat(np.kron(bytes_, np.ones((side // len(bytes_),) * 2, np.uint8))[..., None], 3, 2)
