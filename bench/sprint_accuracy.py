"""Trains a recipe with several seeds and measures it.

    python bench/sprint_accuracy.py DATA [--recipe sprint] [--seeds 0 1 2]

Data with an evaluation set (CIFAR's official releases) are trained on whole, and measured once on that set; of others a
tenth is held out. Nothing is chosen on what is reported: recipe and number of epochs are the published ones. A run that
was interrupted is resumed when the script is started again.
"""

import argparse
import statistics
import sys
from pathlib import Path

from common import show_progress, train_or_resume, write_result

import podium


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set: a competition's folder, a release of CIFAR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default="sprint")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="where the runs go")
    args = parser.parse_args()

    data = podium.open(args.data)
    official = data.evaluation_name is not None
    recipe = podium.load_recipe(args.recipe, ["hold_out=0"] if official else [])
    name = f"{args.recipe}-{data.name.removesuffix('-python')}" if official else args.recipe
    rows = []
    for seed in args.seeds:
        folder = args.runs / f"{name}-{seed}"
        print(folder, flush=True)
        run = train_or_resume(folder, data, recipe, seed, show_progress)
        row = {"seed": seed, "train_minutes": round(run.manifest["train_seconds"] / 60, 2)}
        if official:
            evaluation = podium.evaluate(run, data)
            row |= {"accuracy": evaluation.accuracy, "num_images": evaluation.num_images}
        else:
            figures = run.manifest["hold_out"]
            plain = [line["accuracy"] for line in run.metrics() if line["kind"] == "hold-out"][-1]
            row |= {"accuracy": figures["accuracy"], "num_images": figures["num_images"], "accuracy_without_tta": plain}
            row["evaluate_minutes"] = round(figures["seconds"] / 60, 2)
        rows.append(row)
        print(row, flush=True)

    accuracies = [row["accuracy"] for row in rows]
    figures = {
        "n": len(rows),
        "num_train": run.manifest["split"]["num_train"],
        "measured_on": data.evaluation_name or "hold-out",
        "num_measured": rows[0]["num_images"],
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_median": statistics.median(accuracies),
        "accuracy_std": statistics.stdev(accuracies) if len(rows) > 1 else None,
        "train_minutes_median": statistics.median(row["train_minutes"] for row in rows),
        "trained_at_commit": run.manifest["commit"],
        "tta": run.recipe.tta,
        "hardware": run.manifest["hardware"],
        "runs": rows,
    }
    command = f"python bench/sprint_accuracy.py DATA --recipe {args.recipe} --seeds {' '.join(map(str, args.seeds))}"
    print(write_result(f"{name}-accuracy", command, figures).read_text(), file=sys.stderr)


if __name__ == "__main__":
    main()
