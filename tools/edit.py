"""One edit by the reference, with every stage's tensors under the names of `--dump`."""

from dataclasses import dataclass

import torch

import reference as stages


@dataclass
class Case:
    """An edit; the fields are the command line's options."""

    name: str
    image: str
    source: str
    target: str
    negative: str = ""
    size: tuple = (128, 128)
    steps: int = 50
    guidance: float = 7.5
    strength: float = 0.75
    seed: int = 3
    maps: int = 10
    mask_strength: float = 0.5
    threshold: float = 0.25
    blur: int = 7
    fill_holes: bool = False
    dilate: int = 0


def run(reference, case, root):
    """All tensors of the edit, named as `--dump` names them, and those of `check.*` for tests of single stages."""
    reference.set_steps(case.steps)
    tensors = {}
    encode_inputs(reference, case, root, tensors)
    make_mask(reference, case, tensors)
    denoise(reference, case, tensors)
    decoded = reference.decode(tensors["latents.final"])
    tensors["decoded.float"] = decoded
    tensors["decoded"] = stages.to_pixels(decoded)
    return tensors


def encode_inputs(reference, case, root, tensors):
    """tokens.*, text.*, picture, latents, and noise.posterior with check.sample."""
    for name, prompt in {"source": case.source, "target": case.target, "uncond": case.negative}.items():
        tensors[f"tokens.{name}"] = reference.tokenize(prompt)
        tensors[f"text.{name}"] = reference.embed(tensors[f"tokens.{name}"])
    tensors["picture"] = stages.load_picture(root / case.image, case.size)
    mean, deviation = reference.moments(stages.to_tensor(tensors["picture"]))
    tensors["latents"] = mean
    torch.manual_seed(99)
    tensors["noise.posterior"] = stages.draw_noise(*mean.shape[2:])
    tensors["check.sample"] = mean + deviation * tensors["noise.posterior"]


def texts(tensors):
    return {name: tensors[f"text.{name}"] for name in ("source", "target", "uncond")}


def make_mask(reference, case, tensors):
    """noise.maps, predictions.*, maps, map, mask.threshold, mask."""
    latents, text = tensors["latents"], texts(tensors)
    step = reference.start_step(case.mask_strength)
    noises, maps, guided = [], [], {"source": [], "target": []}
    for index in range(case.maps):
        torch.manual_seed(3 * index)
        noises.append(stages.draw_noise(*latents.shape[2:]))
        noisy = reference.add_noise(latents, noises[-1], step)
        predicted = {name: reference.predict(noisy, reference.timesteps[step], text[name]) for name in text}
        maps.append((predicted["target"] - predicted["source"]).abs().mean(dim=1)[0])
        for name, predictions in guided.items():
            predictions.append(reference.guide(predicted["uncond"], predicted[name], case.guidance))
        if index == 0:
            tensors["check.unet.latents"] = noisy
            tensors["check.unet.source"], tensors["check.unet.target"] = predicted["source"], predicted["target"]
    for name, predictions in guided.items():
        tensors[f"predictions.{name}"] = torch.stack(predictions).mean(dim=0)
    tensors["noise.maps"] = torch.cat(noises)
    tensors["maps"] = torch.stack(maps)
    tensors["map"] = stages.normalise(tensors["maps"].mean(dim=0))
    check_guided_map(guided, tensors["map"])
    cut_map(case, tensors)


def cut_map(case, tensors):
    """mask.threshold, mask."""
    mask = (tensors["map"] > case.threshold).to(torch.uint8).numpy()
    tensors["mask.threshold"] = mask
    mask = stages.blur(mask, case.blur)
    mask = stages.fill_holes(mask) if case.fill_holes else mask
    tensors["mask"] = stages.dilate(mask, case.dilate)


def check_guided_map(guided, expected):
    """The map of the guided predictions, as first published, is the same: guidance and the unconditional cancel."""
    differences = (torch.stack(guided["target"]) - torch.stack(guided["source"])).abs()
    guided_map = stages.normalise(differences.mean(dim=0).mean(dim=1)[0])
    assert (guided_map - expected).abs().max() < 1e-4


def denoise(reference, case, tensors):
    """noise.start, noise.steps, latents.start, latents.steps, latents.final, and check.steps.*."""
    latents, text = tensors["latents"], texts(tensors)
    mask = torch.from_numpy(tensors["mask"]).float()
    start = reference.start_step(case.strength)
    checked = checked_steps(start, case.steps)
    torch.manual_seed(case.seed)
    tensors["noise.start"] = stages.draw_noise(*latents.shape[2:])
    current = tensors["latents.start"] = reference.add_noise(latents, tensors["noise.start"], start)
    noises, after, checks = [], [], []
    for step in range(start, case.steps):
        predictions = reference.predict_guiding(current, step, text)
        noise = stages.draw_noise(*latents.shape[2:]) if step + 1 < case.steps else torch.zeros_like(latents)
        following = reference.masked_step(current, predictions, case.guidance, step, latents, noise, mask)
        check_ddim(reference, current, reference.guide(*predictions, case.guidance), step)
        if step in checked:
            checks.append([current, *predictions, noise, following])
        noises.append(noise)
        after.append(following)
        current = following
    tensors["noise.steps"] = torch.cat(noises[:-1]) if len(noises) > 1 else torch.zeros(0, *latents.shape[1:])
    tensors["latents.steps"] = torch.cat(after)
    tensors["latents.final"] = current
    tensors["check.steps"] = torch.tensor(checked, dtype=torch.int32)
    for name, column in zip(("latents", "uncond", "target", "noise", "next"), zip(*checks)):
        tensors[f"check.steps.{name}"] = torch.cat(column)


def checked_steps(start, steps):
    """The first, middle and last step of an edit, as indices into all the steps."""
    return [start, (start + steps) // 2, steps - 1]


def check_ddim(reference, latents, epsilon, step):
    """Our step is diffusers'."""
    ours = reference.ddim_step(latents, epsilon, step)
    theirs = reference.scheduler.step(epsilon, reference.timesteps[step], latents).prev_sample
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
