"""Both seed recipes on the real data, from the start: does the loss fall as the seed's log says?

    python bench/seed_losses.py DATA [--epochs 1] [--recipes seed_resnet164_v2 seed_resnet18]

The seed's log: mean loss 1.656 and training accuracy 0.392 over the first epoch of its "ResNet-164 v2".
"""

import argparse
from pathlib import Path

from common import show_progress, train_or_resume, write_result

import podium

SEED_LOG = {"seed_resnet164_v2": {"mean_loss": 1.656, "training_accuracy": 0.392, "epochs": 1}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the CIFAR-10 competition's folder")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--recipes", nargs="+", default=["seed_resnet164_v2", "seed_resnet18"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/bench"), help="where the runs go")
    args = parser.parse_args()

    data = podium.open(args.data)
    for name in args.recipes:
        folder = args.runs / f"{name}-{args.seed}"
        print(folder, flush=True)
        recipe = podium.load_recipe(name).with_settings({"epochs": args.epochs})
        run = train_or_resume(folder, data, recipe, args.seed, show_progress)
        lines = run.metrics()
        last = [line for line in lines if line["kind"] == "epoch"][-1]
        figures = {
            "n": 1,
            "seed": args.seed,
            "seed_log": SEED_LOG.get(name),
            "num_steps": last["step"],
            "epochs": round(last["epoch"], 3),
            "mean_loss": round(last["loss"], 4),
            "training_accuracy": round(last["accuracy"], 4),
            "hold_out_accuracy": run.manifest["hold_out"]["accuracy"],
            "running_mean_loss": {line["step"]: round(line["loss"], 3) for line in lines if line["kind"] == "step"},
            "train_minutes": round(run.manifest["train_seconds"] / 60, 1),
        }
        command = f"python bench/seed_losses.py DATA --recipes {name} --epochs {args.epochs:g} --seed {args.seed}"
        print(write_result(f"seed-losses-{name}", command, figures).read_text())


if __name__ == "__main__":
    main()
