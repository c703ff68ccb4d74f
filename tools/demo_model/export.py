"""Writes the model as a folder in diffusers' layout, in half precision."""

import json
import shutil

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import save_file

from . import denoiser
from .networks import make_text_encoder, make_unet

MOST_BYTES = 30_000_000
PARTS = {
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(folder, recipe, average, vocabulary, vae, scaling, tokenizer):
    """The model folder, from the moving average of the denoiser's parameters, the VAE with its scaling factor, and
    the folder of the tokenizer."""
    shutil.rmtree(folder, ignore_errors=True)
    unet = make_unet(recipe.size)
    unet.load_state_dict(part(average, "unet"))
    unet.half().save_pretrained(folder / "unet")
    save_text_encoder(folder / "text_encoder", part(average, "text_encoder"), vocabulary.used, recipe.seed)
    vae.register_to_config(scaling_factor=scaling, sample_size=recipe.size)
    vae.half().save_pretrained(folder / "vae")
    forget_origin(folder / "vae/config.json")
    make_scheduler().save_pretrained(folder / "scheduler")
    shutil.copytree(tokenizer, folder / "tokenizer")
    write_index(folder / "model_index.json")
    (folder / "words.txt").write_text("\n".join(vocabulary.words) + "\n", encoding="utf-8")
    write_defaults(folder, size=[recipe.size] * 2, **recipe.edit_defaults())
    StableDiffusionPipeline.from_pretrained(folder)  # loads, or says why not
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB", flush=True)
    if size > MOST_BYTES:
        raise RuntimeError(f"the model has {size} bytes, more than {MOST_BYTES}")


def part(average, name):
    """The parameters of one network."""
    return {key.removeprefix(f"{name}."): value for key, value in average.items() if key.startswith(f"{name}.")}


def save_text_encoder(folder, trained, used, seed):
    """The text encoder with its whole table: trained rows in their places, the others random."""
    torch.manual_seed(seed)
    encoder = make_text_encoder()
    table = encoder.get_input_embeddings().weight.data.clone()
    name = next(key for key in trained if key.endswith("token_embedding.weight"))
    table[used] = trained[name]
    encoder.load_state_dict(trained | {name: table})
    encoder.half().save_pretrained(folder)
    add_prefix(folder / "model.safetensors", encoder.state_dict())


def add_prefix(path, tensors):
    """The names of Stable Diffusion's text encoders start with `text_model.`; recent transformers leave that out."""
    named = {
        name if name.startswith("text_model.") else f"text_model.{name}": tensor for name, tensor in tensors.items()
    }
    named = {name: tensor.contiguous() for name, tensor in named.items() if not name.endswith("position_ids")}
    save_file(named, path, metadata={"format": "pt"})


def forget_origin(path):
    """Removes the path that the network was loaded from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    write_json(path, config)


def make_scheduler():
    return DDIMScheduler(
        beta_start=denoiser.FIRST_BETA,
        beta_end=denoiser.LAST_BETA,
        beta_schedule="scaled_linear",
        num_train_timesteps=denoiser.TRAINING_STEPS,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def write_index(path):
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.33.1"}
    index |= {"feature_extractor": [None, None], "safety_checker": [None, None]}
    index |= PARTS | {"requires_safety_checker": False}
    write_json(path, index)


def write_defaults(folder, **defaults):
    """Adds to the defaults that suit the model: `diffedit` takes its options' defaults from this file."""
    path = folder / "diffedit.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_json(path, known | defaults)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
