"""Training images/s of two processes with a thread each, against one process with two threads, and with one.

    python bench/scaling.py [--recipes sprint seed_resnet18] [--rounds 5] [--steps 8]

All train the same recipe with the same batch, of random pixels: speed doesn't depend on them. The competitors take
turns, each in processes of its own (two of them under torchrun), so that a slow minute of the machine meets them all;
the order is turned round from round to round. Timed are the steps after the first two, as one.

Efficiency: the speed of two processes as a part of twice that of one with a thread. Bytes are what one process hands to
each kind of exchange in a step, counted at the calls: gradients by torch's DistributedDataParallel, statistics of BN by
podium; gloo's ring sends, and receives, 2 (p - 1) / p of an all-reduce's bytes and p - 1 of an all-gather's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import summary, write_result

COMPETITORS = {
    "1 process × 1 thread": (1, 1, []),
    "1 process × 2 threads": (1, 2, []),
    "2 processes × 1 thread": (2, 1, []),
    "2 processes × 1 thread, sync_norm = false": (2, 1, ["sync_norm=false"]),
}
ONE, TWO_THREADS, TWO_PROCESSES = list(COMPETITORS)[:3]
WARM_UP = 2  # steps in which memory is taken and kernels are made

Figures = dict[str, Any]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["sprint", "seed_resnet18"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="timed steps a round")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="a key of the recipes: for a try")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # the competitor that this process is part of
    return parser.parse_args(words)


# ---- one competitor, in processes of its own


def child(args: argparse.Namespace) -> None:
    """Trains some steps; the first process prints one line of JSON."""
    from podium import runtime
    from podium.data import Images
    from podium.recipe import load_recipe
    from podium.run import Run
    from podium.training import Progress, fit

    _, num_threads, settings = COMPETITORS[args.child]
    recipe = load_recipe(args.recipes[0], ["hold_out=0", *args.settings, *settings, "epochs=1"])
    ready = runtime.prepare(recipe.precision, num_threads=num_threads)
    num_images = recipe.batch_size * (WARM_UP + args.steps)
    rng = np.random.default_rng(0)
    images = Images(
        rng.integers(0, 256, (num_images, 32, 32, 3), np.uint8),
        np.arange(num_images) % 10,
        np.arange(num_images).astype(np.str_),
        tuple("abcdefghij"),
    )
    times: dict[int, float] = {}
    exchanged = count_bytes()

    def note(now: Progress) -> None:
        times[now.step] = time.perf_counter()
        if now.step == WARM_UP:
            exchanged.update(dict.fromkeys(exchanged, 0))

    manifest = {"seed": 0, "data": {}, "split": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        is_first = ready.world.is_first
        run = Run.create(path, recipe, manifest) if is_first else Run(path, recipe, manifest, writes=False)
        fit(run, images, None, ready, on_progress=note, checkpoint_seconds=1e9)
    if is_first:
        seconds = times[WARM_UP + args.steps] - times[WARM_UP]
        per_step = {name: round(number / args.steps) for name, number in exchanged.items()}
        hardware = runtime.describe_hardware(ready)
        figures = {"speed": recipe.batch_size * args.steps / seconds, "bytes": per_step, "hardware": hardware}
        print(json.dumps(figures), flush=True)


def count_bytes() -> dict[str, int]:
    """Counts, from now on, what this process hands to each kind of exchange."""
    from podium.training.engine import Engine
    from podium.world import World

    counts = {"gradients": 0, "all_gather": 0, "all_reduce": 0}
    losses, stack, total = Engine.losses, World.stack, World.sum

    def counted_losses(self: Engine, *given: Any) -> Any:
        if self.runtime.world.size > 1:
            weights = [weight for weight in self.classifier.parameters() if weight.requires_grad]
            counts["gradients"] += sum(weight.numel() * weight.element_size() for weight in weights)
        return losses(self, *given)

    def counted_stack(self: World, tensor: Any) -> Any:
        counts["all_gather"] += tensor.nbytes if self.size > 1 else 0
        return stack(self, tensor)

    def counted_sum(self: World, tensor: Any) -> Any:
        counts["all_reduce"] += tensor.nbytes if self.size > 1 else 0
        return total(self, tensor)

    for owner, name, method in (
        (Engine, "losses", counted_losses),
        (World, "stack", counted_stack),
        (World, "sum", counted_sum),
    ):
        setattr(owner, name, method)
    return counts


# ---- all of them, in turn


def measured(name: str, recipe: str, args: argparse.Namespace) -> Figures:
    """What one competitor says of itself. Raises SystemExit if it fails."""
    num_processes, num_threads, _ = COMPETITORS[name]
    words = [__file__, "--child", name, "--recipes", recipe, "--steps", str(args.steps)]
    words += [word for setting in args.settings for word in ("--set", setting)]
    if num_processes > 1:
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=3600, check=False
    )
    if done.returncode:
        sys.exit(f"{name}, {recipe}:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def summed_up(rounds: list[dict[str, Figures]]) -> Figures:
    """Speeds, and the ratios within each round, which the machine's slow minutes meet alike."""
    speeds = [{name: each["speed"] for name, each in one.items()} for one in rounds]
    ratios = {
        "speed-up over 1 process × 1 thread": [one[TWO_PROCESSES] / one[ONE] for one in speeds],
        "efficiency": [one[TWO_PROCESSES] / (2 * one[ONE]) for one in speeds],
        "against 1 process × 2 threads": [one[TWO_PROCESSES] / one[TWO_THREADS] for one in speeds],
    }
    return {
        "images_per_second": {name: summary([one[name] for one in speeds], digits=1) for name in COMPETITORS},
        **{name: summary(values, digits=3) for name, values in ratios.items()},
        "bytes_per_step": {name: rounds[0][name]["bytes"] for name, (num, *_) in COMPETITORS.items() if num > 1},
    }


def main() -> None:
    args = arguments()
    if args.child:
        child(args)
        return
    rounds: dict[str, list[dict[str, Figures]]] = {recipe: [] for recipe in args.recipes}
    for number in range(args.rounds):
        for recipe in args.recipes:
            order = list(COMPETITORS)[:: -1 if number % 2 else 1]
            rounds[recipe].append({name: measured(name, recipe, args) for name in order})
            said = ", ".join(f"{name}: {each['speed']:.1f}" for name, each in rounds[recipe][-1].items())
            print(f"round {number + 1}  {recipe}: {said} images/s", flush=True)
    hardware = rounds[args.recipes[0]][0][TWO_PROCESSES]["hardware"]
    command = f"python bench/scaling.py --rounds {args.rounds} --steps {args.steps}"
    figures = {"hardware": hardware} | {recipe: summed_up(some) for recipe, some in rounds.items()}
    if args.settings:
        print(json.dumps(figures, indent=2, ensure_ascii=False))  # a try, which no file should hold
        return
    print(write_result("scaling", command, figures).read_text())


if __name__ == "__main__":
    main()
