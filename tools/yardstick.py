"""Errors of a good half-precision run against the reference, each stage given the reference's input."""

import torch

import edit
import reference as stages
from rounding import half_rounding, to_half


def errors(reference, case, tensors):
    """Relative RMS errors by stage, and those of the map and the final picture."""
    given = {name: to_half(tensor) if is_float(tensor) else tensor for name, tensor in tensors.items()}
    found = {}
    with half_rounding(reference.unet):
        encoders(reference, given, tensors, found)
        networks(reference, case, given, tensors, found)
        single_steps(reference, case, given, tensors, found)
        whole_map(reference, case, given, tensors, found)
        whole_denoise(reference, case, given, tensors, found)
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def encoders(reference, given, expected, found):
    for name in ("source", "target", "uncond"):
        found[f"text.{name}"] = relative(reference.embed(given[f"tokens.{name}"]), expected[f"text.{name}"])
    # From bytes to -1..1 in one operator.
    picture = to_half(stages.to_tensor(given["picture"]))
    mean, deviation = reference.moments(picture)
    found["latents"] = relative(mean, expected["latents"])
    found["sample"] = relative(mean + deviation * given["noise.posterior"], expected["check.sample"])


def networks(reference, case, given, expected, found):
    timestep = reference.timesteps[reference.start_step(case.mask_strength)]
    for name in ("source", "target"):
        predicted = reference.predict(given["check.unet.latents"], timestep, given[f"text.{name}"])
        found[f"unet.{name}"] = relative(predicted, expected[f"check.unet.{name}"])
    for index, step in enumerate(given["check.steps"].tolist()):
        for name in ("uncond", "target"):
            latents = given["check.steps.latents"][index : index + 1]
            predicted = reference.predict(latents, reference.timesteps[step], given[f"text.{name}"])
            found[f"unet.steps.{index}.{name}"] = relative(predicted[0], expected[f"check.steps.{name}"][index])
    decoded = reference.decode(given["latents.final"])
    found["decoded"] = relative(decoded, expected["decoded.float"])
    found["decoded.psnr"] = psnr(decoded, expected["decoded"])


def single_steps(reference, case, given, expected, found):
    mask = torch.from_numpy(given["mask"]).float()
    for index, step in enumerate(given["check.steps"].tolist()):
        latents, uncond, target, noise = (
            given[f"check.steps.{name}"][index : index + 1] for name in ("latents", "uncond", "target", "noise")
        )
        following = reference.masked_step(
            latents, (uncond, target), case.guidance, step, given["latents"], noise, mask
        )
        found[f"step.{index}"] = relative(following[0], expected["check.steps.next"][index])


def whole_map(reference, case, given, expected, found):
    """Latents, noise and text to the map."""
    step = reference.start_step(case.mask_strength)
    text = edit.texts(given)
    differences = [reference.difference(given["latents"], noise[None], step, text) for noise in given["noise.maps"]]
    error = stages.normalise(torch.stack(differences).mean(dim=0)) - expected["map"]
    found["map.max"] = error.abs().max().item()
    found["map.rms"] = rms(error)


def whole_denoise(reference, case, given, expected, found):
    """Latents, noise, text and mask to the final picture."""
    latents, text = given["latents"], edit.texts(given)
    mask = torch.from_numpy(given["mask"]).float()
    start = reference.start_step(case.strength)
    current = reference.add_noise(latents, given["noise.start"], start)
    found["latents.start"] = relative(current, expected["latents.start"])
    for step in range(start, case.steps):
        predictions = reference.predict_guiding(current, step, text)
        noise = given["noise.steps"][step - start][None] if step + 1 < case.steps else None
        current = reference.masked_step(current, predictions, case.guidance, step, latents, noise, mask)
    found["latents.final"] = relative(current, expected["latents.final"])
    found["picture.psnr"] = psnr(reference.decode(current), expected["decoded"])


def is_float(tensor):
    return isinstance(tensor, torch.Tensor) and tensor.is_floating_point()


def rms(tensor):
    return tensor.double().square().mean().sqrt().item()


def relative(found, expected):
    """RMS of the error over RMS of the truth."""
    return rms(found.double() - expected.double()) / rms(expected)


def psnr(decoded, expected):
    """Of u8 pictures, in dB."""
    error = stages.to_pixels(decoded).double() - expected.double()
    return float(10 * torch.log10(255.0**2 / error.square().mean()))
