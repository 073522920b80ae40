"""Trains `sprint` with several seeds on nine tenths of the labelled images and measures it on the other tenth.

    python bench/sprint_accuracy.py DATA [--seeds 0 1 2]

Nothing is chosen on the hold-out: recipe and number of epochs are the published ones. A run that was interrupted is
resumed when the script is started again.
"""

import argparse
import statistics
import sys
from pathlib import Path

from common import show_progress, train_or_resume, write_result

import podium


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the CIFAR-10 competition's folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default="sprint")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="where the runs go")
    args = parser.parse_args()

    data = podium.open(args.data)
    recipe = podium.load_recipe(args.recipe)
    rows = []
    for seed in args.seeds:
        folder = args.runs / f"{args.recipe}-{seed}"
        print(folder, flush=True)
        run = train_or_resume(folder, data, recipe, seed, show_progress)
        lines = run.metrics()
        plain = [line["accuracy"] for line in lines if line["kind"] == "hold-out"][-1]
        figures = run.manifest["hold_out"]
        rows.append(
            {
                "seed": seed,
                "accuracy": figures["accuracy"],
                "accuracy_without_tta": plain,
                "train_minutes": round(run.manifest["train_seconds"] / 60, 2),
                "evaluate_minutes": round(figures["seconds"] / 60, 2),
            }
        )
        print(rows[-1], flush=True)

    accuracies = [row["accuracy"] for row in rows]
    spread = statistics.stdev(accuracies) if len(rows) > 1 else None
    path = write_result(
        f"{args.recipe}-accuracy",
        f"python bench/sprint_accuracy.py DATA --recipe {args.recipe} --seeds {' '.join(map(str, args.seeds))}",
        {
            "n": len(rows),
            "num_train": run.manifest["split"]["num_train"],
            "num_hold_out": run.manifest["split"]["num_hold_out"],
            "accuracy_mean": statistics.mean(accuracies),
            "accuracy_median": statistics.median(accuracies),
            "accuracy_std": spread,
            "accuracy_without_tta_mean": statistics.mean(row["accuracy_without_tta"] for row in rows),
            "train_minutes_median": statistics.median(row["train_minutes"] for row in rows),
            "trained_at_commit": run.manifest["commit"],
            "tta": run.recipe.tta,
            "hardware": run.manifest["hardware"],
            "runs": rows,
        },
    )
    print(path.read_text(), file=sys.stderr)


if __name__ == "__main__":
    main()
