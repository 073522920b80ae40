"""Training images/s of the nets at their recipes' batch size: uint8 images to updated weights, augmentation included.

    python bench/throughput.py [--recipes sprint seed_resnet18 seed_resnet164_v2] [--rounds 3] [--steps 4]

Random pixels: speed doesn't depend on them. The nets take turns, so that a slow minute of the machine meets them all.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import summary, write_result

from podium import runtime
from podium.data import Images
from podium.recipe import load_recipe
from podium.run import Run
from podium.training import Progress, fit


def step_speeds(name: str, num_steps: int) -> list[float]:
    """Images/s of each step but the first two, in which memory is taken and kernels are made."""
    recipe = load_recipe(name, ["hold_out=0"])
    batch = recipe.batch_size
    rng = np.random.default_rng(0)
    num_images = batch * (num_steps + 2)
    images = Images(
        rng.integers(0, 256, (num_images, 32, 32, 3), np.uint8),
        rng.integers(0, 10, num_images),
        np.arange(num_images).astype(np.str_),
        tuple("abcdefghij"),
    )
    seconds: list[float] = []
    done = [0.0]

    def note(now: Progress) -> None:
        spent = now.train_seconds
        seconds.append(spent - done[0])
        done[0] = spent

    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(
            Path(folder) / "run", recipe.with_settings({"epochs": 1}), {"seed": 0, "data": {}, "split": {}}
        )
        fit(run, images, None, runtime.prepare(recipe.precision), on_progress=note, checkpoint_seconds=1e9)
    return [batch / one for one in seconds[2:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["sprint", "seed_resnet18", "seed_resnet164_v2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps a round")
    args = parser.parse_args()

    speeds: dict[str, list[float]] = {name: [] for name in args.recipes}
    for number in range(args.rounds):
        for name in args.recipes:
            some = step_speeds(name, args.steps)
            speeds[name] += some
            print(f"round {number + 1}  {name}: {' '.join(f'{speed:.1f}' for speed in some)} images/s", flush=True)
    ready = runtime.prepare()
    path = write_result(
        "throughput",
        f"python bench/throughput.py --rounds {args.rounds} --steps {args.steps}",
        {
            "unit": "images/s, one value a step",
            "batch_size": {name: load_recipe(name).batch_size for name in args.recipes},
            "hardware": runtime.describe_hardware(ready),
            "training": {name: summary(some, digits=1) for name, some in speeds.items()},
        },
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
