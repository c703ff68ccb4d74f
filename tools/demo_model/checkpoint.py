"""Files that are whole at every moment, whatever ends the program."""

import os

import torch


def save(path, contents):
    """Writes a checkpoint beside `path`, then puts it in place."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        torch.save(contents, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)
