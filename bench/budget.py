"""Does `podium train --minutes M` keep its time and its promise?

    python bench/budget.py DATA [--minutes 2 5 15 60] [--runs runs/budget]

The command runs as a user would type it, in a process of its own, timed from outside. Beside it the recipe that it
chose in a fixed number of epochs, those that it came to: what is lost by stretching the plan on the way? Both are
measured on the same hold-out.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import show_progress, train_or_resume, write_result

import podium
from podium.api.choice import stretched
from podium.recipe import load_recipe


def in_time(data: str, minutes: float, folder: Path) -> dict[str, Any]:
    """The command's figures; a finished one's are kept beside its folder."""
    kept = folder.parent / f"{folder.name}.json"
    if not kept.exists():
        words = ["train", data, "--minutes", f"{minutes:g}", "--out", str(folder), "--json"]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "podium", *words], check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        kept.write_text(json.dumps({"seconds": seconds, "manifest": json.loads(done.stdout)}))
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 5, 15, 60])
    parser.add_argument("--runs", type=Path, default=Path("runs/budget"))
    parser.add_argument("--only-time", action="store_true", help="leave the trainings of fixed length out")
    args = parser.parse_args()

    data = podium.open(args.data)
    len(data.train)  # packed before anything is timed
    args.runs.mkdir(parents=True, exist_ok=True)
    rows = []
    for minutes in args.minutes:
        print(f"{minutes:g} minutes", flush=True)
        found = in_time(args.data, minutes, args.runs / f"{minutes:g}")
        run = podium.Run.open(args.runs / f"{minutes:g}")
        budget, epochs = run.manifest["budget"], run.manifest.get("timetable", {}).get("num_epochs", run.recipe.epochs)
        row = {
            "minutes": minutes,
            "seconds": round(found["seconds"], 1),
            "part_of_the_time": round(found["seconds"] / 60 / minutes, 4),
            "recipe": run.recipe.name,
            "epochs_planned": run.recipe.epochs,
            "epochs": epochs,
            "expected": budget["expected"],
            "accuracy": run.manifest["hold_out"]["accuracy"],
            "interval": run.manifest["hold_out"]["interval"],
        }
        if not args.only_time:
            recipe = stretched(load_recipe(run.recipe.name), epochs)
            fixed = train_or_resume(args.runs / f"{minutes:g}-fixed", data, recipe, 0, show_progress)
            row["accuracy_of_fixed_length"] = fixed.manifest["hold_out"]["accuracy"]
        rows.append(row)
        print(row, flush=True)
    minutes = " ".join(f"{one:g}" for one in args.minutes)
    figures = {"n": 1, "num_hold_out": run.manifest["split"]["num_hold_out"], "runs": rows}
    print(write_result("budget", f"python bench/budget.py DATA --minutes {minutes}", figures).read_text())


if __name__ == "__main__":
    main()
