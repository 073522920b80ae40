"""Tunes a recipe that was spoiled on purpose, then trains the winner beside the recipe as it ships.

    python bench/tune_spoiled.py DATA [--minutes 60] [--trial-epochs 2] [--seeds 0 1 2] [--runs runs/tune-spoiled]

All learning rates of `sprint` are multiplied by 10. The study may vary these, each from a 30th to 3 times what it is
now, and nothing else, for the given minutes, in trials of two epochs. Trials are judged on a tenth of the images that
aren't held out. Then winner and shipped recipe are trained in as many epochs, with the same seeds, on the usual split,
and measured on the usual hold-out, which no trial saw. An interrupted comparison is gone on with; a study that had its
minutes isn't searched on.
"""

import argparse
import json
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import show_progress, train_or_resume, write_result

import podium
from podium.data import Dataset
from podium.errors import RunError
from podium.recipe import Recipe, load_recipe, stretched
from podium.runtime import prepare

RATES = ("learning_rate", "bias_learning_rate", "head_learning_rate")
SPOILED = 10.0
FACTORS = [1 / 30, 3.0]


def spoiled_of(recipe: Recipe) -> Recipe:
    rates = {key: SPOILED * getattr(recipe, key) for key in RATES}
    return replace(recipe, name=f"{recipe.name}-spoiled", **rates)


def search(
    data: Dataset, recipe: Recipe, folder: Path, minutes: float, epochs: float, threads: int | None
) -> dict[str, Any]:
    """The study's figures, found now or, where its minutes are over, before."""
    kept = folder / "figures.json"
    if kept.exists():
        return json.loads(kept.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "space.toml"
    space.write_text("".join(f"{key} = {{ factors = {FACTORS} }}\n" for key in RATES))

    def on_trial(row: Any, num_done: int) -> None:
        print(f"trial {row.number}: {row.state} {row.values} {row.curve}; {num_done} done", flush=True)

    runtime = prepare(recipe.precision, num_threads=threads)
    found = podium.tune(
        data,
        recipe,
        minutes=minutes,
        epochs=epochs,
        search=space,
        out=folder / "study",
        runtime=runtime,
        on_trial=on_trial,
    )
    assert found.best is not None, "no trial came to its end: more --minutes"
    figures = {
        "minutes": minutes,
        "epochs_of_a_trial": epochs,
        "num_judged": found.num_judged,
        "trials": dict(Counter(row.state for row in found.rows)),
        "median_trial_seconds": statistics.median(row.seconds for row in found.rows if row.state == "finished"),
        "accuracy_of_best_trial": found.best.accuracy,
        "accuracy_of_spoiled_trial": found.own_accuracy,
        "factors_of_shipped": {
            key: round(SPOILED * value / getattr(recipe, key), 3) for key, value in found.best.values.items()
        },
    }
    kept.write_text(json.dumps(figures))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set: the CIFAR-10 competition's folder")
    parser.add_argument("--recipe", default="sprint", help="one that Muon trains")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--trial-epochs", type=float, default=2.0)
    parser.add_argument("--epochs", type=float, help="of the comparison; the recipe's own if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs/tune-spoiled"), help="where study and runs go")
    parser.add_argument("--name", default="tune-spoiled", help="of the result")
    args = parser.parse_args()

    data = podium.open(args.data)
    shipped = load_recipe(args.recipe)
    spoiled = spoiled_of(shipped)
    study = search(data, spoiled, args.runs, args.minutes, args.trial_epochs, args.threads)
    print(json.dumps(study, indent=2), flush=True)

    epochs = args.epochs or shipped.epochs
    compared = {
        "shipped": (shipped, args.seeds),
        "winner": (load_recipe(args.runs / "study" / "winner.toml"), args.seeds),
        "spoiled": (spoiled, args.seeds[:1]),
    }
    rows = []
    for name, (recipe, seeds) in compared.items():
        for seed in seeds:
            folder = args.runs / f"{name}-{seed}"
            print(folder, flush=True)
            try:
                run = train_or_resume(folder, data, stretched(recipe, epochs), seed, show_progress)
            except RunError as error:
                if "diverged" not in str(error):
                    raise
                rows.append({"recipe": name, "seed": seed, "accuracy": None, "diverged": True})
                continue
            found = run.manifest["hold_out"]
            rows.append({"recipe": name, "seed": seed, "accuracy": found["accuracy"], "interval": found["interval"]})
            print(rows[-1], flush=True)

    means = {
        name: statistics.mean(row["accuracy"] for row in rows if row["recipe"] == name)
        for name in ("shipped", "winner")
        if all(row["accuracy"] is not None for row in rows if row["recipe"] == name)
    }
    figures = {
        "recipe": args.recipe,
        "spoiled_by": SPOILED,
        "searched": dict.fromkeys(RATES, FACTORS),
        "study": study,
        "epochs": epochs,
        "num_hold_out": run.manifest["split"]["num_hold_out"],
        "tta": run.recipe.tta,
        "hardware": run.manifest["hardware"],
        "n": len(args.seeds),
        "accuracy_mean": means,
        "points_below_shipped": round(100 * (means["shipped"] - means["winner"]), 2) if len(means) == 2 else None,
        "runs": rows,
    }
    command = f"python bench/tune_spoiled.py DATA --minutes {args.minutes:g} --trial-epochs {args.trial_epochs:g}"
    print(write_result(args.name, command, figures).read_text())


if __name__ == "__main__":
    main()
