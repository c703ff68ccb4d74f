"""A small classifier that says what an edit shows. It never sees the model, only scenes with all art."""

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import checkpoint
from .scenes import draw_scene
from .sprites import SHARES

NOTHING = "nothing"
CLASSES = (*SHARES, NOTHING)
SIDE = 64  # of what it looks at, pixels
MARGIN = 1.25  # of the square it looks at, in longer sides of the object
SCENE_SIZE = 128


def make_network():
    def stage(inputs, outputs, kernel, stride):
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        return convolution, nn.BatchNorm2d(outputs), nn.ReLU()

    return nn.Sequential(
        *stage(3, 24, 5, 2), *stage(24, 48, 3, 2), *stage(48, 96, 3, 2), *stage(96, 96, 3, 1),
        nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(384, len(CLASSES)),
    )  # fmt: skip


class Judge:
    """Trained when first needed, and kept in the file `path`."""

    def __init__(self, path, book, scenes, seed):
        self.network = make_network()
        if not path.exists():
            checkpoint.save(path, train(self.network, book, scenes, seed))
        saved = checkpoint.load(path)
        self.accuracy = saved["accuracy"]
        self.network.load_state_dict(saved["parameters"])
        self.network.eval()

    @torch.no_grad()
    def name(self, picture, outline):
        """The concept that a picture (H, W, 3) of bytes shows where an outline (H, W) is."""
        crop = torch.from_numpy(look_at(picture, bounds(outline)))
        return CLASSES[int(self.network(to_input(crop[None])).argmax())]


def bounds(outline):
    """Centre and longer side of the box around an outline, pixels."""
    rows, columns = np.where(outline > 0.5 * outline.max())
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return (left + right) / 2, (top + bottom) / 2, max(bottom - top, right - left)


def look_at(picture, box):
    """The square around a box, shrunk to SIDE; beyond the picture its edge goes on."""
    x, y, side = box
    side *= MARGIN
    scale = SIDE / side
    move = np.array([[scale, 0, SIDE / 2 - x * scale], [0, scale, SIDE / 2 - y * scale]])
    if scale < 1:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale)
    return cv2.warpAffine(picture, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def to_input(crops):
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1


def train(network, book, count, seed, epochs=4, batch=64):
    """Trains on crops of `count` scenes and measures on a tenth of them; returns what the file holds."""
    torch.manual_seed(seed)
    crops, labels = draw_crops(book, count, seed)
    held = max(1, len(labels) // 10)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    rounds = epochs * ((len(labels) - held) // batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=rounds)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels) - held).split(batch):
            loss = functional.cross_entropy(network(spoil(to_input(crops[chosen]))), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        right = network(to_input(crops[-held:])).argmax(1) == labels[-held:]
    accuracy = right.float().mean().item()
    print(f"judge: {accuracy:.3f} of {held} held-out crops", flush=True)
    return {"parameters": network.state_dict(), "accuracy": accuracy}


def draw_crops(book, count, seed):
    """Crops (n, SIDE, SIDE, 3) of objects and of empty ground, and their classes."""
    crops, labels = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = draw_scene(rng, book, SCENE_SIZE)
        for placed in scene.objects:
            if placed.outline.sum() > 100:
                x, y, side = bounds(placed.outline)
                box = (*(rng.normal((x, y), 0.05 * side)), side * rng.uniform(0.85, 1.2))
                crops.append(look_at(scene.pixels, box))
                labels.append(CLASSES.index(placed.concept))
        if not scene.objects:
            box = (*rng.uniform(0.2, 0.8, 2) * SCENE_SIZE, rng.uniform(0.3, 0.8) * SCENE_SIZE)
            crops.append(look_at(scene.pixels, box))
            labels.append(CLASSES.index(NOTHING))
    return torch.from_numpy(np.stack(crops)), torch.tensor(labels)


def spoil(crops):
    """Half of the batches blurred, a third noisy, as a VAE's pictures are."""
    if torch.rand(()) < 0.5:
        side = int(torch.randint(20, 40, ()))
        small = functional.interpolate(crops, size=(side, side), mode="area")
        crops = functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear")
    if torch.rand(()) < 0.33:
        crops = crops + 0.08 * torch.randn_like(crops)
    return crops.flip(3) if torch.rand(()) < 0.5 else crops
