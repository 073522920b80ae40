"""podium's side: the loop that trains every recipe, and the prediction that every run is measured with.

What counts as a training's time is no shorter than what the peers count. On a processor: the whole of `fit`, its
setting up, its checkpoints and the writing of the model included; then the prediction of the hold-out with the recipe's
test-time augmentation, from the model's file. On a GPU, by the records' rules: from the moment when data and initial
weights are on the device, nothing left to compile, to the last step's end (whitening, the making of optimizers and the
writing of metrics included); then the test-time augmentation of a hold-out that lies there too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from peers.drivers import Outcome
from peers.split import read_split
from podium.api.common import predict_with
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier
from podium.recipe import Recipe
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Engine, Progress, fit

__all__ = ["PodiumOnCpu", "PodiumOnGpu"]

_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # CIFAR-10's, as all peers state them
_EVALUATION_BATCH = 2500


class PodiumOnCpu:
    """A recipe on a processor.

    Args:
        recipe: as resolved.
        data: folder with cifar10/train.pt and cifar10/test.pt.
        runtime: precision and threads.
    """

    def __init__(self, recipe: Recipe, data: Path, runtime: Runtime) -> None:
        self.recipe = recipe
        self.runtime = runtime
        self.train, self.hold_out = read_split(data)

    def warm_up(self) -> None:
        """There is nothing to compile."""

    def run(self, seed: int) -> Outcome:
        """One training."""
        with tempfile.TemporaryDirectory() as folder:
            run = _new_run(Path(folder), self.recipe, seed)
            began = time.perf_counter()
            fit(run, self.train, None, self.runtime, on_progress=_show)
            trained = time.perf_counter()
            predictions = predict_with(run, self.hold_out, self.runtime, None)
            seconds = time.perf_counter() - began
        accuracy = float(np.mean(predictions.logits.argmax(1) == self.hold_out.labels))
        return Outcome(accuracy, seconds, trained - began)


class PodiumOnGpu:
    """A recipe on a GPU, by the records' rules.

    Args:
        recipe: as resolved; CIFAR-10's mean and deviation are stated where it leaves them to be measured.
        data: folder with cifar10/train.pt and cifar10/test.pt.
        runtime: device and precision.
    """

    def __init__(self, recipe: Recipe, data: Path, runtime: Runtime) -> None:
        self.recipe = recipe if recipe.mean else recipe.with_settings({"mean": _MEAN, "std": _STD})
        self.runtime = runtime
        self.engine = _TimedEngine(self.recipe, runtime)
        self.train, kept = read_split(data)
        self.pixels = torch.from_numpy(kept.pixels).to(runtime.device).permute(0, 3, 1, 2)  # uint8 (N, 3, H, W)
        self.labels = torch.from_numpy(kept.labels).to(runtime.device)

    def warm_up(self) -> None:
        """A whole training and evaluation: compiles, and lets cuDNN choose."""
        self.run(0)

    def run(self, seed: int) -> Outcome:
        """One training."""
        ended: list[float] = []

        def note(now: Progress) -> None:
            if now.step == now.num_steps:  # whose sums have been read, so the device is done
                ended.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as folder:
            run = _new_run(Path(folder), self.recipe, seed)
            fit(run, self.train, None, self.runtime, engine=self.engine, on_progress=note, checkpoint_seconds=1e9)
        self._wait()
        began = time.perf_counter()
        accuracy = self._evaluate()
        self._wait()
        train_seconds = ended[0] - self.engine.began
        return Outcome(accuracy, train_seconds + time.perf_counter() - began, train_seconds)

    def _evaluate(self) -> float:
        self.engine.classifier.eval()
        logits = _logits(self.engine.logits, self.pixels, self.recipe)
        return float((logits.argmax(1) == self.labels).float().mean())

    def _wait(self) -> None:
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize()


class _TimedEngine(Engine):
    """Notes when a training has its data and its initial weights on the device; what comes then counts."""

    def begin(self, classifier: Classifier) -> Classifier:
        """As Engine does."""
        moved = super().begin(classifier)
        if self.runtime.device.type == "cuda":
            torch.cuda.synchronize()
        self.began = time.perf_counter()
        return moved


def _logits(net: Callable[[Tensor], Tensor], pixels: Tensor, recipe: Recipe) -> Tensor:
    """What podium.evaluation.predict_images computes, for images that lie on the device, as the peers' do."""
    views = pixels.split(_EVALUATION_BATCH)
    if recipe.tta_fraction == 1:
        return torch.cat([logits_with_tta(net, some, recipe.tta) for some in views])
    logits = torch.cat([net(some) for some in views])
    num_later = round(recipe.tta_fraction * len(pixels))
    later = logits.softmax(1).amax(1).argsort()[:num_later]  # the least sure
    logits[later] = logits_with_tta(net, pixels[later], recipe.tta, logits[later])
    return logits


def _new_run(folder: Path, recipe: Recipe, seed: int) -> Run:
    return Run.create(folder / "run", recipe, {"seed": seed, "data": {}, "split": {}})


def _show(now: Progress) -> None:
    if now.ends_epoch:
        print(f"  epoch {now.epoch}  loss {now.loss:.3f}  {now.images_per_second:.0f} images/s", flush=True)
