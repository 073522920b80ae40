"""Whether all forms give the same answers: of the weights that ship, and of every shipped recipe after a few steps.

    python bench/verify_all.py [NAME...] [--images 128] [--work runs/verify]

The weights that ship are asked about images made from a seed. Each recipe is trained for 8 steps on `digits`, which is
enough for weights, BN statistics and answers that aren't the initial ones, and is asked about its hold-out; those with
whitening for 8 epochs: docs/VERIFY.md tells why. What is done is kept in the work folder, and not done again by the
same commit on the same machine. Ends with status 1 if a form differs or fails.
"""

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import write_result

import podium
from podium import api, builtin, runtime
from podium.api.rehearsal import shortened
from podium.recipe import load_recipe, recipe_names

SIDES = {"imagenet_resnet18": 64, "imagenet_resnet50": 64}  # pixels; the others take the digits' 32


def verified(name: str, work: Path, num_images: int) -> dict[str, Any]:
    """What `podium verify` says of weights that ship, or of a recipe."""
    if builtin.is_reference(name):
        return api.verify(name, num_images=num_images).to_dict()
    data = podium.open("digits", image_size=SIDES.get(name))
    recipe = replace(shortened(load_recipe(name), len(data.train)), hold_out=0.2)
    if recipe.model.startswith("sprint"):
        recipe = replace(load_recipe(name), batch_size=128, epochs=8, hold_out=0.2)
    shutil.rmtree(work / name, ignore_errors=True)
    run = podium.train(data, recipe, seed=0, out=work / name)
    found = api.verify(run, data, num_images=num_images).to_dict()
    return found | {"run": name, "steps": run.manifest["num_steps"], "image_size": data.train.size[0]}


def table_row(network: dict[str, Any]) -> str:
    """As docs/VERIFY.md has it: largest differences of probabilities; of int8, other answers; what is not ok."""
    cells = [f"`{network['run']}`"]
    for form in network["forms"]:
        seen, is_ok = form["difference"], form["status"] == "ok"
        if seen is None or form["status"] in ("failed", "skipped"):
            cells.append(form["status"])
        elif form["form"] in ("reloaded", "resumed"):
            cells.append("same bits" if is_ok else "differs")
        elif form["form"] == "int8":
            past = seen["num_other_answers"] - seen["num_within_margin"]
            cells.append(f"{past} of {seen['num_images']}" + ("" if is_ok else ", differs"))
        else:
            cells.append(f"{seen['probabilities']:.0e}" + ("" if is_ok else ", differs"))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all if left out")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--work", type=Path, default=Path("runs/verify"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    now = {"commit": runtime.source_commit(), "processor": runtime.processor_name(), "images": args.images}
    rows = []
    for name in args.names or [*builtin.names(), *recipe_names()]:
        kept = args.work / f"{name.replace(':', '-')}.json"
        known = json.loads(kept.read_text()) if kept.is_file() else {}
        if known.get("by") != now:
            known = {"by": now, "found": verified(name, args.work, args.images)}
            kept.write_text(json.dumps(known))
        rows.append(known["found"])
        for form in rows[-1]["forms"]:
            seen = form["difference"] or {}
            shown = {
                key: seen.get(key) for key in ("probabilities", "logits", "num_other_answers", "num_within_margin")
            }
            print(f"{name:22} {form['form']:9} {form['status']:8}", form["reason"] or shown, flush=True)
    command = " ".join(["python bench/verify_all.py", *args.names, f"--images {args.images}"])
    figures = {"unit": "logits: part of the largest; probabilities: as they are", "networks": rows}
    print(f"{write_result('verify', command, figures)}; for docs/VERIFY.md:")
    for row in rows:
        print(table_row(row))
    if not all(row["holds"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
