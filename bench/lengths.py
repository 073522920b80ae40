"""Accuracy by the number of epochs: what `podium train --minutes` promises of CIFAR-10 rests on it.

    python bench/lengths.py DATA [--runs runs/lengths]

Each recipe as it ships, stretched or shortened as --minutes does it, on the 45,000, measured on the 5,000 held out with
its test-time augmentation. One run each. Nothing is chosen by these figures but the promise.
"""

import argparse
from pathlib import Path

from common import show_progress, train_or_resume, write_result

import podium
from podium.api.choice import stretched
from podium.recipe import load_recipe

LENGTHS = [("sprint", 2.5), ("sprint", 5.0), ("sprint", 11.0), ("sprint_long", 20.0), ("sprint96", 36.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the CIFAR-10 competition's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/lengths"))
    args = parser.parse_args()

    data = podium.open(args.data)
    rows = []
    for name, epochs in LENGTHS:
        folder = args.runs / f"{name}-{epochs:g}"
        print(folder, flush=True)
        run = train_or_resume(folder, data, stretched(load_recipe(name), epochs), 0, show_progress)
        figures = run.manifest["hold_out"]
        rows.append(
            {
                "recipe": name,
                "model": run.recipe.model,
                "epochs": epochs,
                "accuracy": figures["accuracy"],
                "interval": figures["interval"],
                "train_minutes": round(run.manifest["train_seconds"] / 60, 2),
                "trained_at_commit": run.manifest["commit"],
            }
        )
        print(rows[-1], flush=True)
    figures = {"n": 1, "seed": 0, "num_hold_out": run.manifest["split"]["num_hold_out"], "runs": rows}
    print(write_result("lengths", "python bench/lengths.py DATA", figures).read_text())


if __name__ == "__main__":
    main()
