"""A checkpoint of Stable Diffusion 1.5's shape and size with random weights, in the layouts people have, and what the
reference program computes with it. See "Full size" in tools/README.md.

    python tools/full_size.py write FOLDER      # FOLDER/{fp16,fp32,sharded}/ and FOLDER/single.safetensors
    python tools/full_size.py goldens FOLDER    # FOLDER/goldens.safetensors, from FOLDER/fp16
    python tools/full_size.py unet              # tests/goldens/full-width.safetensors: one layer a block, small latents
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from checkpoint_files import Shards, SingleFile
from random_weights import random_weights
from reference import Reference, draw_noise, load_picture, to_tensor
from rounding import half_rounding
from storage import save_tensors
from yardstick import relative

ROOT = Path(__file__).resolve().parent.parent
TIMESTEP = 481
PROMPTS = {"target": "a photograph of a zebra on snow", "uncond": ""}
SCHEDULER = {
    "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "trained_betas": None,
}  # fmt: skip
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}  # fmt: skip


def networks(small):
    """The parts without weights: Stable Diffusion 1.5's own configs, or narrow ones of the same depth."""
    wide, deep, heads = ((32, 64, 64, 64), 64, 4) if small else ((320, 640, 1280, 1280), 768, 8)
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, block_out_channels=wide, cross_attention_dim=deep, attention_head_dim=heads
        )
        vae = AutoencoderKL(
            sample_size=512, block_out_channels=wide if small else (128, 256, 512, 512), layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )  # fmt: skip
        text_encoder = CLIPTextModel(
            CLIPTextConfig(hidden_size=deep, intermediate_size=4 * deep, num_attention_heads=deep // 64)
        )
    return {"text_encoder": text_encoder, "unet": unet, "vae": vae}


def write(folder, small):
    """Every layout at once: each tensor is made once, and given to each layout's files."""
    parts = networks(small)
    shapes = {part: shapes_of(network) for part, network in parts.items()}
    folders = {name: folder / name for name in ("fp16", "fp32", "sharded")}
    for path in folders.values():
        write_configs(path, parts)
    single = SingleFile(folder / "single.safetensors", shapes)
    for part, tensors in shapes.items():
        print(f"{part}: {sum(np.prod(shape) for shape in tensors.values()) / 1e6:.1f} million weights", flush=True)
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        layouts = [
            Shards(folders["fp16"] / part, stem, tensors, np.float16, shards=1),
            Shards(folders["fp32"] / part, stem, tensors, np.float32, shards=1),
            Shards(folders["sharded"] / part, stem, tensors, np.float16, shards=3),
        ]
        for name, shape in tensors.items():
            weights = random_weights(name, shape)
            for layout in layouts:
                layout.put(name, weights)
            single.put(part, name, weights)


def shapes_of(network):
    """Names and shapes of a network's tensors but its counters of positions."""
    state = network.state_dict()
    return {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}


def write_configs(folder, parts):
    for part, network in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        network.config.save_pretrained(folder / part) if part == "text_encoder" else network.save_config(folder / part)
    shutil.copytree(ROOT / "models/demo/tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    for name, values in {"scheduler/scheduler_config.json": SCHEDULER, "model_index.json": MODEL_INDEX}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2) + "\n")


def goldens(folder):
    """Each stage by the reference in single precision, and the yardstick's error of it: half precision at its best."""
    reference = Reference(folder / "fp16")
    with torch.no_grad():
        tensors = inputs(reference)
        expected = stages(reference, tensors, tensors)
        given = tensors | {name: tensor.half().float() for name, tensor in expected.items()}
        with half_rounding(reference.unet):
            rounded = stages(reference, tensors, given)
    errors = {name: float(f"{relative(rounded[name], expected[name]):.4g}") for name in expected}
    apart = relative(expected["unet.target"], expected["unet.uncond"])
    assert apart > 0.05, f"the prompt moves the prediction by {apart} only"
    about = {"timestep": TIMESTEP, "prompts": PROMPTS, "yardstick": errors}
    print(json.dumps(about | {"prompts_apart": apart}, indent=2))
    save_tensors(folder / "goldens.safetensors", tensors | expected, about)


def unet_golden(path):
    """A UNet of full width with one layer a block on latents of 8x16 cells, under two prompts of noise."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, layers_per_block=1
        ).eval()
    shapes = shapes_of(unet)
    weights = {name: torch.from_numpy(random_weights(name, shape)).float() for name, shape in shapes.items()}
    unet.load_state_dict(weights, assign=True)
    # Any name of an embedding gives normal numbers.
    text = torch.from_numpy(random_weights("text_model.embeddings", (2, 77, 768))).float()
    latents = torch.from_numpy(random_weights("text_model.embeddings.latents", (1, 4, 8, 16))).float()

    def predict():
        return unet(latents.repeat(2, 1, 1, 1), TIMESTEP, encoder_hidden_states=text).sample

    with torch.no_grad():
        expected = predict()
        with half_rounding(unet):
            error = relative(predict(), expected)
    print(f"prompts {relative(expected[0], expected[1]):.3f} apart, yardstick {error:.4g}")
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    about = {"config": config, "tensors": shapes, "timestep": TIMESTEP, "yardstick": error}
    save_tensors(path, {"prediction": expected}, about)


def inputs(reference):
    """A picture at the size the model was trained at, noise, and token ids."""
    cells = reference.unet.config.sample_size
    torch.manual_seed(3)
    return {
        "picture": load_picture(ROOT / "models/demo/scenes/0-horse-grass.png", (8 * cells, 8 * cells)),
        "unet.latents": draw_noise(cells, cells),
        **{f"tokens.{name}": reference.tokenize(prompt) for name, prompt in PROMPTS.items()},
    }


def stages(reference, inputs, given):
    """Text, encoding, one guided evaluation of the UNet and decoding; each from what came before it in `given`, or else
    in this run. The picture is rounded to half."""
    made = {}

    def take(name):
        return given[name] if name in given else made[name]

    for name in PROMPTS:
        made[f"text.{name}"] = reference.embed(inputs[f"tokens.{name}"])
    made["latents"] = reference.moments(to_tensor(inputs["picture"]).half().float())[0]
    for name in PROMPTS:
        made[f"unet.{name}"] = reference.predict(inputs["unet.latents"], TIMESTEP, take(f"text.{name}"))
    made["decoded"] = reference.decode(take("latents"))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("folder", type=Path)
    writing.add_argument("--width", choices=["full", "small"], default="full", help="small: to see that it works")
    commands.add_parser("goldens").add_argument("folder", type=Path)
    commands.add_parser("unet")
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.folder, arguments.width == "small")
    elif arguments.command == "goldens":
        goldens(arguments.folder)
    else:
        unet_golden(ROOT / "tests/goldens/full-width.safetensors")


if __name__ == "__main__":
    main()
