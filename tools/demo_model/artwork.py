"""Emoji artwork from npm packages: which versions, which drawings show which concept, and their pixels."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass

import numpy as np
import resvg_py
from PIL import Image


@dataclass(frozen=True)
class Package:
    """An npm package of icons in Iconify's JSON form. `sha256` is that of the archive npm delivers."""

    name: str
    version: str
    licence: str
    sha256: str

    @property
    def archive(self):
        return f"iconify-json-{self.name}-{self.version}.tgz"


TRAINING = (
    Package("noto", "1.2.9", "Apache-2.0", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    Package("noto-v1", "1.2.5", "Apache-2.0", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
    Package("fxemoji", "1.2.2", "Apache-2.0", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"),
    Package("fluent-emoji", "1.2.7", "MIT", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"),
    Package("fluent-emoji-flat", "1.2.6", "MIT", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175"),
)

# Never trained on: their drawings serve evaluation alone, and no picture or weight made from them is passed on.
UNSEEN = (
    Package("twemoji", "1.2.5", "CC-BY-4.0", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
    Package("emojione", "1.2.3", "CC-BY-4.0", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
    Package(
        "streamline-emojis", "1.2.4", "CC-BY-4.0", "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc"
    ),
)

# Concept to the icons that show it; packages disagree on names.
ICONS = {
    "horse": ("horse",),
    "zebra": ("zebra",),
    "cow": ("cow",),
    "pig": ("pig", "pigside"),
    "elephant": ("elephant",),
    "tiger": ("tiger", "tigerside"),
    "apple": ("red-apple", "redapple"),
    "green apple": ("green-apple", "greenapple"),
    "pear": ("pear",),
    "orange": ("tangerine",),
    "lemon": ("lemon",),
    "car": ("automobile", "sport-utility-vehicle"),
    "sports car": ("racing-car", "racingcar"),
    "bus": ("bus", "trolleybus"),
}

# Heads, front views and drawings that do not show what their name says.
REJECTED = {
    ("fxemoji", "pig"),
    ("fxemoji", "tiger"),
    ("twemoji", "zebra"),
    ("emojione", "cow"),
    ("emojione", "pig"),
    ("emojione", "tiger"),
    ("emojione", "racing-car"),
    ("noto-v1", "bus"),
}


def fetch(folder):
    """Downloads the packages that `folder` lacks, with npm, and checks all against their digests."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in TRAINING + UNSEEN:
        archive = folder / package.archive
        if not archive.exists():
            print(f"fetching {package.archive}", flush=True)
            specification = f"@iconify-json/{package.name}@{package.version}"
            subprocess.run(["npm", "pack", "--silent", specification], cwd=folder, check=True, stdout=subprocess.PIPE)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != package.sha256:
            raise RuntimeError(f"{archive} has SHA-256 {digest}, but {package.sha256} was expected: delete it")


def load(folder, packages, width):
    """Drawings of each concept, as RGBA pixels (h, w, 4) trimmed to what is visible; `width` is that of the icon."""
    drawings = {concept: [] for concept in ICONS}
    for package in packages:
        for concept, found in load_package(folder, package, width).items():
            drawings[concept] += found
    return drawings


def load_package(folder, package, width):
    """The drawings of a package, kept beside its archive once they are rasterised."""
    kept = folder / f"{package.archive.removesuffix('.tgz')}-{width}.npz"
    if not kept.exists():
        icons = read_icons(folder / package.archive)
        drawings = {
            f"{concept}/{name}": trim(rasterise(icons, name, width))
            for concept, names in ICONS.items()
            for name in names
            if name in icons["icons"] and (package.name, name) not in REJECTED
        }
        partial = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez_compressed(partial, **drawings)
        os.replace(partial, kept)
    with np.load(kept) as file:
        drawings = {}
        for key in file.files:
            drawings.setdefault(key.split("/")[0], []).append(file[key])
    return drawings


def read_icons(archive):
    """The icon set in a package's archive."""
    with tarfile.open(archive) as files:
        return json.load(files.extractfile("package/icons.json"))


def rasterise(icons, name, width):
    """An icon as RGBA pixels (width, width, 4), not premultiplied."""
    icon = icons["icons"][name]

    def measure(key, default):
        return icon.get(key, icons.get(key, default))

    box = f"{measure('left', 0)} {measure('top', 0)} {measure('width', 16)} {measure('height', 16)}"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{width}" height="{width}">{icon["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=width))
    return np.array(Image.open(io.BytesIO(png)).convert("RGBA"))


def trim(drawing):
    """Without its transparent margin."""
    rows, columns = np.where(drawing[..., 3] > 20)
    return drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
