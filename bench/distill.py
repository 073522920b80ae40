"""Several runs of a recipe, alone and as an ensemble, and networks that learned the ensemble's answers.

    python bench/distill.py DATA [--recipe sprint] [--seeds 0 1 2] [--students 10 11 12]

All are measured on the same hold-out, which none of them, nor a teacher of theirs, was trained on. The ensemble's
members count the same, so nothing is chosen on what is reported. Runs that were interrupted are resumed when it is
started again.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from common import show_progress, train_or_resume, write_result

import podium
from podium.evaluation import Predictions, ensemble, evaluate_predictions
from podium.run import Run


def described(run: Run) -> dict[str, Any]:
    figures = run.manifest["hold_out"]
    return {
        "seed": run.manifest["seed"],
        "accuracy": figures["accuracy"],
        "cross_entropy": round(figures["cross_entropy"], 4),
        "train_minutes": round(run.manifest["train_seconds"] / 60, 2),
    }


def of_all(rows: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [row["accuracy"] for row in rows]
    return {
        "n": len(rows),
        "accuracy_mean": round(statistics.mean(accuracies), 5),
        "accuracy_median": statistics.median(accuracies),
        "accuracy_std": round(statistics.stdev(accuracies), 5) if len(rows) > 1 else None,
        "cross_entropy_mean": round(statistics.mean(row["cross_entropy"] for row in rows), 4),
        "train_minutes_median": round(statistics.median(row["train_minutes"] for row in rows), 2),
        "runs": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set: a competition's folder, a release of CIFAR")
    parser.add_argument("--recipe", default="sprint")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--students", type=int, nargs="+", default=[10, 11, 12], help="their seeds")
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--runs", type=Path, default=Path("runs/distill"), help="where the runs go")
    parser.add_argument("--name", default="distill", help="of the result")
    args = parser.parse_args()

    data = podium.open(args.data)
    recipe = podium.load_recipe(args.recipe)
    taught = recipe.with_settings({"distill_weight": args.weight, "distill_temperature": args.temperature})

    def run_of(kind: str, seed: int, recipe: podium.Recipe, teachers: tuple[Run, ...] = ()) -> Run:
        folder = args.runs / f"{args.recipe}-{kind}-{seed}"
        print(folder, flush=True)
        run = train_or_resume(folder, data, recipe, seed, show_progress, teachers)
        print(described(run), flush=True)
        return run

    teachers = tuple(run_of("alone", seed, recipe) for seed in args.seeds)
    together = evaluate_predictions(
        ensemble([Predictions.load(run.hold_out_path) for run in teachers]), "hold-out", recipe.tta
    )
    students = [run_of("taught", seed, taught, teachers) for seed in args.students]
    figures = {
        "recipe": args.recipe,
        "num_train": teachers[0].manifest["split"]["num_train"],
        "num_hold_out": together.num_images,
        "alone": of_all([described(run) for run in teachers]),
        "ensemble": {
            "members": len(teachers),
            "accuracy": together.accuracy,
            "cross_entropy": round(together.cross_entropy, 4),
        },
        "taught": of_all([described(run) for run in students]),
        "distill_weight": args.weight,
        "distill_temperature": args.temperature,
    }
    seeds, pupils = " ".join(map(str, args.seeds)), " ".join(map(str, args.students))
    command = f"python bench/distill.py DATA --recipe {args.recipe} --seeds {seeds} --students {pupils}"
    command += f" --weight {args.weight:g} --temperature {args.temperature:g}"
    print(write_result(args.name, command, figures))


if __name__ == "__main__":
    main()
