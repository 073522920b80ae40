"""One driver a peer: builds and warms up as the script's own `__main__` does, then one run → accuracy and seconds.

The seconds are the scripts' own: data on the device, compilation excluded, whitening, training and the evaluation with
test-time augmentation included; the evaluations in between don't count. Nothing in a script's text is changed here.
From outside come the split, the seed before each run (the scripts set none, and would begin alike in every process),
and a recorder in place of the function that prints a line an epoch, to read the script's own clock from.

torch.compile makes a graph for each size of batch. With the official 10,000 test images, in parts of 2,000, the sizes
are few; a hold-out of 5,000 ends in a part of 1,000, after which torch would compile what follows, training included,
for batches of any size, and slower. `static_shapes` forbids that for the airbench scripts; hiverge's needs it for the
step counter that it compiles in, and the batches that it times don't suffer.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch

from peers import source

__all__ = ["DRIVERS", "Airbench94", "Airbench96", "Driver", "Hiverge", "Outcome", "Recorder", "reseed"]


@dataclass(frozen=True)
class Outcome:
    """One training.

    Attributes:
        accuracy: on the hold-out, with test-time augmentation.
        seconds: as the competitor counts them, that evaluation included.
        train_seconds: the same without that evaluation, where it is told apart.
    """

    accuracy: float
    seconds: float
    train_seconds: float | None = None


class Driver(Protocol):
    """A competitor that is ready to be measured again and again."""

    def warm_up(self) -> None:
        """Everything that is paid once: building, compilation, a first run that isn't counted."""

    def run(self, seed: int) -> Outcome:
        """One training."""


class Recorder:
    """Stands in for a script's `print_training_details`: of the variables that it is called with, keeps the clock.

    Args:
        name: of the script's variable that adds up the seconds.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []

    def __call__(self, variables: dict[str, Any], is_final_entry: bool) -> None:
        """Once an epoch, and once at the end."""
        self.seconds.append(float(variables[self.name]))

    def outcome(self, accuracy: float) -> Outcome:
        """Of the run just done: the last call stands after the final evaluation, the one before it ahead of it."""
        train, whole = self.seconds[-2:] if len(self.seconds) > 1 else (None, self.seconds[-1])
        self.seconds.clear()
        return Outcome(accuracy, whole, train)


class Airbench94:
    """airbench94_muon.py.

    Args:
        path: of the script.
        data: folder with cifar10/train.pt and cifar10/test.pt, which becomes the working folder.
    """

    needed = ("CifarNet", "main", "print_training_details")
    clock = "time_seconds"
    has_static_shapes = True

    def __init__(self, path: Path, data: Path) -> None:
        self.module = self.load(path.resolve())
        self.recorder = Recorder(self.clock)
        self.module.print_training_details = self.recorder  # type: ignore[attr-defined]
        os.chdir(data)

    def load(self, path: Path) -> ModuleType:
        """The script as it is."""
        return source.load(path, self.needed)

    def warm_up(self) -> None:
        """As the script: builds, compiles, and runs once with random labels, hiverge's with random images too."""
        if self.has_static_shapes:
            static_shapes()
        self.model = self.module.CifarNet().cuda().to(memory_format=torch.channels_last)
        self.model.compile(mode="max-autotune")
        self.module.main("warmup", self.model)
        self.recorder.seconds.clear()

    def run(self, seed: int) -> Outcome:
        """One training."""
        reseed(seed)
        return self.recorder.outcome(self.module.main(seed, self.model))


class Airbench96(Airbench94):
    """airbench96_faster.py. It has no warm-up of its own: one short run, of an epoch, compiles everything."""

    needed = ("hyp", "make_net", "main", "print_training_details")
    clock = "total_time_seconds"

    def warm_up(self) -> None:
        """As the script: builds and compiles its three nets."""
        static_shapes()
        module, hyp = self.module, self.module.hyp
        proxy = module.make_net(hyp["proxy"])
        proxy[0].bias.requires_grad = False
        trained, frozen = module.make_net(hyp["net"]), module.make_net(hyp["net"])
        frozen[0].bias.requires_grad = False
        self.models = [torch.compile(net, mode="max-autotune") for net in (proxy, trained, frozen)]
        short = copy.deepcopy(hyp)
        short["opt"]["train_epochs"] = 1.0
        self.module.main("warmup", short, *self.models)
        self.recorder.seconds.clear()

    def run(self, seed: int) -> Outcome:
        """One training."""
        reseed(seed)
        return self.recorder.outcome(self.module.main(seed, self.module.hyp, *self.models))


class Hiverge(Airbench94):
    """hiverge's cifar10_speedrun.py. Before each run it gives cached memory back, as here; its pause is left out."""

    has_static_shapes = False

    def run(self, seed: int) -> Outcome:
        """One training."""
        reseed(seed)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.synchronize()
        _, accuracy, seconds = self.module.main(seed + 1, self.model)
        self.recorder.seconds.clear()
        return Outcome(accuracy, seconds)


DRIVERS: dict[str, Callable[[Path, Path], Driver]] = {
    "airbench94": Airbench94,
    "airbench96": Airbench96,
    "hiverge": Hiverge,
}
"""By the name of the argument that takes the script's path."""


def reseed(seed: int) -> None:
    """Every generator that a script may draw from."""
    random.seed(seed)
    torch.manual_seed(seed)


def static_shapes() -> None:
    """A graph for each size of batch, none for any size; and room for all of them."""
    import torch._dynamo

    torch._dynamo.config.automatic_dynamic_shapes = False
    torch._dynamo.config.recompile_limit = 64
