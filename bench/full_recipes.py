"""Whole trainings of the recipes that need a GPU, in pieces of minutes: on 45,000 images and on all 50,000.

    python bench/full_recipes.py DATA [--recipes gold resnet18 seed_resnet18 seed_resnet164_v2] [--minutes 9]
        [--set KEY=VALUE] [--runs runs/full] [--report]

For each recipe, in order: a training with a tenth held out, for its accuracy and the logits of the hold-out
(<runs>/<recipe>-held/hold_out.safetensors), then one on all labelled images, whose submission goes to
bench/results/submission-<recipe>.csv. Started again, it goes on with the step at which the time was up, and what is
finished stays; --report writes bench/results/full-recipes.json of what there is. On a GPU networks are compiled
(compile=default), which --set compile=none turns off.
"""

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import show_progress, write_result

import podium
from podium import api
from podium.data import Dataset
from podium.recipe import Recipe, load_recipe
from podium.run import Run

RECIPES = ["gold", "resnet18", "seed_resnet18", "seed_resnet164_v2"]
RESULTS = Path(__file__).parent / "results"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the CIFAR-10 competition's folder")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--minutes", type=float, default=9.0, help="of this sitting, until its last checkpoint begins")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all recipes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/full"), help="where the runs go")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the submissions go")
    parser.add_argument("--report", action="store_true", help="train nothing")
    return parser.parse_args(words)


def recipe_of(name: str, part: str, settings: list[str]) -> Recipe:
    """The recipe as it is trained; `part` is held or all."""
    compiled = ["compile=default"] if torch.cuda.is_available() else []
    return load_recipe(name, [*compiled, *settings, *(["hold_out=0"] if part == "all" else [])])


def train_some(folder: Path, data: Dataset, recipe: Recipe, seed: int, is_up: Callable[[], bool]) -> Run:
    """Begins or goes on with a training; whether it is finished says the run."""
    if not (folder / "manifest.json").exists():
        return podium.train(
            data, recipe, seed=seed, out=folder, on_progress=show_progress, should_stop=is_up, checkpoint_seconds=300
        )
    run = Run.open(folder)
    if run.recipe != recipe:
        raise SystemExit(f"{folder} holds a run with other settings: remove it first, or give the same --set.")
    return podium.resume(run, data, on_progress=show_progress, should_stop=is_up, checkpoint_seconds=300)


def sit(args: argparse.Namespace, clock: Callable[[], float] = time.monotonic) -> bool:
    """Trains until all is done (True) or the time is up."""
    end = clock() + 60 * args.minutes
    data = podium.open(args.data)
    for name in args.recipes:
        for part in ("held", "all"):
            folder = args.runs / f"{name}-{part}"
            if clock() >= end:
                return False
            print(folder, flush=True)
            recipe = recipe_of(name, part, args.set)
            run = train_some(folder, data, recipe, args.seed, lambda: clock() >= end)
            if not run.is_finished:
                return False
            submission = args.results / f"submission-{name}.csv"
            if part == "all" and not (folder / "submitted").exists():
                api.submit(run, data, submission)
                (folder / "submitted").write_text(hashlib.sha256(submission.read_bytes()).hexdigest() + "\n")
    return True


def rows(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is known of each recipe's two runs."""
    found = []
    for name in args.recipes:
        for part in ("held", "all"):
            folder = args.runs / f"{name}-{part}"
            if not (folder / "manifest.json").exists():
                continue
            run = Run.open(folder)
            steps = run.metrics()
            found.append(
                {
                    "recipe": name,
                    "part": part,
                    "seed": run.manifest["seed"],
                    "is_finished": run.is_finished,
                    "epochs": run.recipe.epochs,
                    "step": steps[-1]["step"] if steps else 0,
                    "num_train": run.manifest["split"]["num_train"],
                    "num_hold_out": run.manifest["split"]["num_hold_out"],
                    "accuracy": run.manifest.get("hold_out", {}).get("accuracy"),
                    "interval": run.manifest.get("hold_out", {}).get("interval"),
                    "tta": run.recipe.tta,
                    "train_seconds": run.manifest.get("train_seconds"),
                    "num_sittings": 1 + len(run.manifest.get("resumed", [])),
                    "hardware": run.manifest["hardware"],
                    "versions": run.manifest.get("versions"),
                    "commit": run.manifest.get("commit"),
                    "submission_sha256": _text(folder / "submitted"),
                }
            )
    return found


def _text(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None


def main() -> None:
    args = arguments()
    if not args.report:
        done = sit(args)
        print("All is done." if done else "The time is up; start it again to go on.", flush=True)
    settings = "".join(f" --set {setting}" for setting in args.set)
    command = f"python bench/full_recipes.py DATA --recipes {' '.join(args.recipes)}{settings}"
    print(write_result("full-recipes", command, {"n": 1, "runs": rows(args)}).read_text())


if __name__ == "__main__":
    main()
