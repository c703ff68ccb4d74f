"""Checkpoints in the layouts people have, written tensor by tensor: no more than one is in memory."""

import json
import math

import numpy as np

TYPES = {np.float16: "F16", np.float32: "F32"}


class SafetensorsFile:
    """A safetensors file of known names and shapes, to be filled in any order."""

    def __init__(self, path, shapes, dtype, integers=None):
        """`integers` are arrays of int64, small and written at once."""
        self.path, self.dtype, self.offsets = path, dtype, {}
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for name, array in (integers or {}).items():
            header[name] = {"dtype": "I64", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
            self.offsets[name] = end
            end += array.nbytes
        for name, shape in shapes.items():
            size = math.prod(shape) * np.dtype(dtype).itemsize
            header[name] = {"dtype": TYPES[dtype], "shape": shape, "data_offsets": [end, end + size]}
            self.offsets[name] = end
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.start = 8 + len(text)
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(self.start + end)
        for name, array in (integers or {}).items():
            self.write(name, array)

    def put(self, name, weights):
        self.write(name, weights.astype(self.dtype, copy=False))

    def write(self, name, array):
        with open(self.path, "r+b") as file:
            file.seek(self.start + self.offsets[name])
            array.tofile(file)


class Shards:
    """One part of a diffusers folder: a file, or several with an index."""

    def __init__(self, folder, stem, shapes, dtype, shards):
        names = list(shapes)
        if shards == 1:
            files = [f"{stem}.safetensors"]
        else:
            files = [f"{stem}-{index + 1:05}-of-{shards:05}.safetensors" for index in range(shards)]
        total = sum(math.prod(shape) for shape in shapes.values())
        self.file_of, before = {}, 0
        for name in names:
            self.file_of[name] = files[min(before * shards // total, shards - 1)]
            before += math.prod(shapes[name])
        self.files = {
            file: SafetensorsFile(
                folder / file, {name: shapes[name] for name in names if self.file_of[name] == file}, dtype
            )
            for file in files
        }
        if shards > 1:
            index = {"metadata": {"total_size": total * np.dtype(dtype).itemsize}, "weight_map": self.file_of}
            (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")

    def put(self, name, weights):
        self.files[self.file_of[name]].put(name, weights)


class SingleFile:
    """All parts in one file under the names of the latent-diffusion repository, in half precision."""

    def __init__(self, path, shapes):
        """`shapes` by part and name in a diffusers folder."""
        stored = {
            ldm_name(part, name): ldm_shape(part, name, shape)
            for part, tensors in shapes.items()
            for name, shape in tensors.items()
        }
        positions = {"cond_stage_model.transformer.text_model.embeddings.position_ids": np.arange(77)[None]}
        self.file = SafetensorsFile(path, stored, np.float16, positions)

    def put(self, part, name, weights):
        self.file.put(ldm_name(part, name), weights)


def ldm_shape(part, name, shape):
    """The VAE's attention is made of 1x1 convolutions there."""
    linear_in_vae = part == "vae" and "attentions" in name and len(shape) == 2
    return (*shape, 1, 1) if linear_in_vae else shape


def ldm_name(part, name):
    """A tensor's name in a single-file checkpoint, from that in a diffusers folder."""
    if part == "text_encoder":
        return f"cond_stage_model.transformer.{name}"
    if part == "vae":
        return f"first_stage_model.{ldm_vae_name(name)}"
    return f"model.diffusion_model.{ldm_unet_name(name)}"


RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
UNET_ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
             "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}  # fmt: skip


def ldm_unet_name(name):
    """Two ResNets and a change of resolution a block on the way down; three ResNets a block on the way up."""
    layer, end = name.rsplit(".", 1)
    if layer in UNET_ENDS:
        return f"{UNET_ENDS[layer]}.{end}"
    part, *path = layer.split(".")
    if part == "mid_block":
        kind, index, *rest = path
        place = f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}"
    else:
        block, kind, index, *rest = path
        block, index = int(block), int(index)
        if part == "down_blocks":
            position, inside = 1 + 3 * block + index, {"resnets": 0, "attentions": 1}
            place = f"input_blocks.{3 * block + 3}.0.op" if kind == "downsamplers" else None
        else:
            position, inside = 3 * block + index, {"resnets": 0, "attentions": 1}
            # The last block of the three has it behind the attention, where there is one.
            place = f"output_blocks.{3 * block + 2}.{1 if block == 0 else 2}.conv" if kind == "upsamplers" else None
        if place:
            return f"{place}.{end}"
        place = f"{'input' if part == 'down_blocks' else 'output'}_blocks.{position}.{inside[kind]}"
    if kind == "resnets":
        rest = [RESNET[rest[0]]]
    return ".".join([place, *rest, end])


VAE_LAYERS = {"conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q",
              "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}  # fmt: skip


def ldm_vae_name(name):
    """The decoder's blocks are numbered from the picture's end there."""
    for theirs, ours in VAE_LAYERS.items():
        name = name.replace(theirs, ours)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    for index in (0, 1):
        name = name.replace(f"mid_block.resnets.{index}", f"mid.block_{index + 1}")
    for index in range(4):
        name = name.replace(f"down_blocks.{index}.resnets", f"down.{index}.block")
        name = name.replace(f"down_blocks.{index}.downsamplers.0", f"down.{index}.downsample")
        name = name.replace(f"up_blocks.{index}.resnets", f"up.{3 - index}.block")
        name = name.replace(f"up_blocks.{index}.upsamplers.0", f"up.{3 - index}.upsample")
    return name
