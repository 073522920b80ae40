"""Training images/s of the seed's networks in podium and in MXNet 1.9.1: fp32 inputs in memory to updated weights.

    python bench/versus_mxnet.py --mxnet-python PATH [--models seed_resnet18 …] [--rounds 5] [--steps 2]

PATH is a Python 3.11 that has numpy==1.23.5 and mxnet==1.9.1. The sides are processes of their own, which take
turns: while one computes, the others wait for their next question. A round's ratio is that of its median steps.

All sides: batches of 128. MXNet: Gluon, hybridized with static memory and shapes, SGD, oneDNN (peers/mxnet_seed.py);
once tuned (OpenMP threads bound to cores, freed memory kept by glibc), once as it comes (its own choice of threads, no
settings). podium, as it comes: network, precision and optimizer as its recipe trains them; the turn to channels_last is
timed too.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import IO, Any

import numpy as np
import torch
from common import summary, write_result
from torch.nn import functional as F

from podium import models, runtime
from podium.recipe import load_recipe
from podium.training import setup
from podium.training.optimizers import Optimizers
from podium.training.plan import Plan
from podium.training.timetable import Timetable

BATCH = 128
MODELS = ["seed_resnet18", "seed_resnet164_v2"]


class Side:
    """A process that trains when asked. Its first line says who it is."""

    def __init__(self, command: list[str], settings: dict[str, str]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MALLOC_"))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment | settings
        )
        self.about = self._read()

    def seconds(self, model: str, num_steps: int) -> list[float]:
        """Of each of `num_steps` training steps."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"model": model, "num_steps": num_steps}) + "\n")
        self._process.stdin.flush()
        return list(self._read()["seconds"])

    def end(self) -> None:
        """Lets the process finish, and its memory go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args} ended with status {self._process.wait()}: see its message above.")
        return dict(json.loads(line))


def tuned(num_threads: int) -> dict[str, str]:
    """Settings with which MXNet is fastest; those of memory are what podium asks of glibc for itself."""
    return {
        "OMP_NUM_THREADS": str(num_threads),
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        "MALLOC_TOP_PAD_": str(64 * 2**20),
    }


def answer(questions: IO[str], num_threads: int) -> None:
    """Podium's side: as peers/mxnet_seed.py."""
    ready = runtime.prepare(num_threads=num_threads)
    print(json.dumps({"torch": str(torch.__version__)} | runtime.describe_hardware(ready)), flush=True)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((BATCH, 3, 32, 32), np.float32))
    labels = torch.from_numpy(rng.integers(0, 10, BATCH))
    built = {}
    for line in questions:
        asked = json.loads(line)
        name = asked["model"]
        recipe = load_recipe(name).with_settings({"learning_rate": 0.01})
        if name not in built:
            torch.manual_seed(0)
            network = models.create(name, 10, (32, 32)).to(memory_format=torch.channels_last).train()
            built[name] = (
                network,
                Optimizers(network, recipe, Timetable(Plan.from_recipe(recipe, 50_000)), ready.compute_dtype),
            )
        network, optimizers = built[name]
        seconds = []
        for step in range(asked["num_steps"]):
            began = time.perf_counter()
            with ready.autocast():
                logits = network(images.contiguous(memory_format=torch.channels_last)).float()
            loss = F.cross_entropy(logits, labels, reduction="sum") * setup.loss_scale(recipe, BATCH)
            loss.backward()
            optimizers.step(step)
            seconds.append(time.perf_counter() - began)
        print(json.dumps({"seconds": seconds}), flush=True)


def compare(
    model: str, mxnet_python: Path, settings: dict[str, str], num_rounds: int, num_steps: int, num_threads: int
) -> dict[str, Any]:
    """Figures of podium against MXNet with some settings. Two processes only: MXNet's 164 v2 alone takes 11 GB."""
    script = Path(__file__).resolve()
    sides = {
        "mxnet": Side([str(mxnet_python), str(script.parent / "peers" / "mxnet_seed.py")], settings),
        "podium": Side([sys.executable, str(script), "--answer", "--threads", str(num_threads)], {}),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    ratios = []
    for name, side in sides.items():
        warm = side.seconds(model, 2)  # takes memory, makes kernels
        print(f"{model}  {name}: warm-up {' '.join(f'{one:.1f}' for one in warm)} s", flush=True)
    for number in range(num_rounds):
        steps = {name: side.seconds(model, num_steps) for name, side in sides.items()}
        ratios.append(median(steps["mxnet"]) / median(steps["podium"]))
        for name, seconds in steps.items():
            speeds[name] += [BATCH / one for one in seconds]
        rounded = {name: [round(BATCH / one, 1) for one in seconds] for name, seconds in steps.items()}
        print(f"{model}  round {number + 1}: {rounded} images/s, ratio {ratios[-1]:.2f}", flush=True)
    for side in sides.values():
        side.end()
    return {
        "sides": {name: side.about for name, side in sides.items()},
        "training": {name: summary(some, digits=1) for name, some in speeds.items()},
        "ratio, one value a round": summary(ratios, digits=2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mxnet-python", type=Path, help="the interpreter of MXNet's environment")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="timed steps a side and round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each side")
    parser.add_argument("--answer", action="store_true", help="be podium's side: used by this script itself")
    args = parser.parse_args()
    if args.answer:
        answer(sys.stdin, args.threads)
        return
    if args.mxnet_python is None:
        parser.error("--mxnet-python is missing: a Python 3.11 with numpy==1.23.5 and mxnet==1.9.1.")
    for model in args.models:
        figures: dict[str, Any] = {
            "unit": "images/s, one value a step",
            "batch_size": BATCH,
            "num_threads": args.threads,
        }
        for name, settings in {"mxnet tuned": tuned(args.threads), "mxnet as it comes": {}}.items():
            print(f"{model}  {name}", flush=True)
            figures[name] = compare(model, args.mxnet_python, settings, args.rounds, args.steps, args.threads)
        command = f"python bench/versus_mxnet.py --mxnet-python … --models {model}"
        command += f" --rounds {args.rounds} --steps {args.steps} --threads {args.threads}"
        print(write_result(f"versus-mxnet-{model}", command, figures).read_text())


if __name__ == "__main__":
    main()
