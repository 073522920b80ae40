"""Training images/s of every registered model: uint8 pixels to updated weights, plain SGD, without augmentation.

    python bench/model_throughput.py [--forms cifar] [--rounds 3] [--steps 2]

Random pixels: speed doesn't depend on them. The models take turns, so that a slow minute of the machine meets them all.
"""

import argparse

from common import summary, write_result

from podium import models, runtime
from podium.training.speed import step_speeds

BATCH_SIZES = {"cifar": 128, "imagenet": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", nargs="+", default=["cifar", "imagenet"])
    parser.add_argument("--models", nargs="+", default=[entry.name for entry in models.entries()])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="timed steps a round")
    args = parser.parse_args()

    ready = runtime.prepare()
    every = [(name, form) for name in args.models for form in models.entry(name).forms if form in args.forms]
    speeds: dict[tuple[str, str], list[float]] = {one: [] for one in every}
    for number in range(args.rounds):
        for name, form in every:
            some = step_speeds(name, form, ready, batch_size=BATCH_SIZES[form], num_steps=args.steps)
            speeds[name, form] += some
            print(f"round {number + 1}  {name} {form}: {' '.join(f'{one:.1f}' for one in some)} images/s", flush=True)
    figures = [
        {
            "model": name,
            "form": form,
            "operations": models.count_operations(name, form),
            "batch_size": BATCH_SIZES[form],
            "image_size": models.entry(name).forms[form].image_size,
            **summary(some, digits=1),
        }
        for (name, form), some in speeds.items()
    ]
    path = write_result(
        "model-throughput",
        f"python bench/model_throughput.py --rounds {args.rounds} --steps {args.steps}",
        {"unit": "images/s, one value a step", "hardware": runtime.describe_hardware(ready), "training": figures},
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
