"""Makes the demo model: `python -m tools.demo_model`, from the repository's root. See README.md beside this file."""

import argparse
import dataclasses
import os
from pathlib import Path

from .recipe import FULL, SMOKE

try:
    from . import stages
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing}; see tools/demo_model/requirements.txt") from None

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "diffedit-demo-model"


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.demo_model", description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[[], *stages.STAGES], help="default: all, in this order")
    parser.add_argument("--folder", type=Path, default=CACHE, help=f"data, checkpoints and logs (default {CACHE})")
    parser.add_argument(
        "--start", type=Path, default=stages.PUBLISHED, help="model to start from (default models/demo)"
    )
    parser.add_argument("--from-nothing", action="store_true", help="start from random weights, the VAE too")
    parser.add_argument(
        "--denoiser-steps", type=int, metavar="N", help=f"in place of {FULL.denoiser_steps}; may change while it trains"
    )
    parser.add_argument("--program", type=Path, help="the program `diffedit`, to have it make the edits as well")
    parser.add_argument("--smoke", action="store_true", help="the whole recipe in miniature, in minutes")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.smoke:
        folder = folder / "smoke"
        arguments.from_nothing = True
    folder.mkdir(parents=True, exist_ok=True)
    recipe = SMOKE if arguments.smoke else FULL
    if arguments.denoiser_steps:
        recipe = dataclasses.replace(recipe, denoiser_steps=arguments.denoiser_steps)
    workshop = stages.Workshop(folder, recipe, arguments.start.resolve(), arguments.from_nothing, arguments.program)
    for name in arguments.stages or stages.STAGES:
        print(f"== {name}", flush=True)
        stages.STAGES[name](workshop)


if __name__ == "__main__":
    main()
