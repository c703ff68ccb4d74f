"""Files of goldens."""

import json

import numpy as np
import torch
from safetensors.numpy import save_file


def save_tensors(path, tensors, about=None):
    """Writes a safetensors file; `about` becomes one JSON text in its metadata."""
    arrays = {name: np.ascontiguousarray(as_array(tensor)) for name, tensor in tensors.items()}
    save_file(arrays, path, metadata={"about": json.dumps(about)} if about else None)


def save_json(path, values):
    """Writes a list or an object, one member a line."""

    def encode(value):
        return json.dumps(value, ensure_ascii=False)

    if isinstance(values, dict):
        start, end, lines = "{", "}", [f"{encode(key)}: {encode(value)}" for key, value in values.items()]
    else:
        start, end, lines = "[", "]", [encode(value) for value in values]
    with open(path, "w", encoding="utf-8") as file:
        file.write(start + "\n" + ",\n".join(lines) + "\n" + end + "\n")


def as_array(tensor):
    return tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)
