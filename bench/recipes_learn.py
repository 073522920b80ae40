"""A shortened run of each recipe on real images: does it learn at all, and how fast?

    python bench/recipes_learn.py DATA [--recipes resnet18 …] [--runs runs/learn]

The recipe as it ships, but for its length: STEPS, with its warm-up and milestones shortened in proportion, so that
the rate falls to its end; and for the batch of two that are ten times the work, which is cut, and its rate with it.
Trained on the 45,000, measured on the 5,000 held out, with its own test-time augmentation. That is no measure of what
a recipe reaches; chance is 10 %.
"""

import argparse
from pathlib import Path

from common import show_progress, train_or_resume, write_result

import podium
from podium.recipe import Recipe, load_recipe

STEPS = {
    "alexnet": 2000,  # a net without BN stands still at first, but its steps are quick
    "densenet_bc_100_12": 100,
    "gold": 160,
    "googlenet": 100,
    "preact_resnet18": 100,
    "resnet164_v2": 100,
    "resnet18": 100,
    "wrn_28_10": 160,
}
BATCHES = {"gold": 64, "wrn_28_10": 32}


def shortened(recipe: Recipe, num_steps: int, num_train: int) -> Recipe:
    """The same recipe in `num_steps` steps."""
    batch_size = BATCHES.get(recipe.name, recipe.batch_size)
    epochs = num_steps / (num_train // batch_size)
    factor = epochs / recipe.epochs
    settings = {
        "epochs": epochs,
        "warmup_epochs": recipe.warmup_epochs * factor,
        "schedule_milestones": [end * factor for end in recipe.schedule_milestones],
        "evaluate_every": 0,
        "batch_size": batch_size,
        "learning_rate": recipe.learning_rate * batch_size / recipe.batch_size,
    }
    return Recipe(**{**recipe.to_dict(), **settings})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the CIFAR-10 competition's folder")
    parser.add_argument("--recipes", nargs="+", default=list(STEPS))
    parser.add_argument("--runs", type=Path, default=Path("runs/learn"))
    args = parser.parse_args()

    data = podium.open(args.data)
    rows = []
    for name in args.recipes:
        recipe = load_recipe(name)
        short = shortened(recipe, STEPS[name], round(0.9 * len(data.train)))
        print(name, flush=True)
        run = train_or_resume(args.runs / name, data, short, 0, show_progress)
        rows.append(
            {
                "recipe": name,
                "model": recipe.model,
                "steps": run.manifest["num_steps"],
                "batch_size": short.batch_size,
                "images_seen": run.manifest["num_steps"] * short.batch_size,
                "accuracy": run.manifest["hold_out"]["accuracy"],
                "interval": run.manifest["hold_out"]["interval"],
                "seed": 0,
            }
        )
        print(rows[-1], flush=True)
    command = "python bench/recipes_learn.py DATA"
    command += "" if args.recipes == list(STEPS) else f" --recipes {' '.join(args.recipes)}"
    figures = {"n": 1, "num_hold_out": run.manifest["split"]["num_hold_out"], "runs": rows}
    print(write_result("recipes-learn", command, figures | {"hardware": run.manifest["hardware"]}).read_text())


if __name__ == "__main__":
    main()
