"""Engine: the classifier on its device, and what is computed with it, compiled if the recipe says so.

What torch.compile makes, and above all CUDA graphs, belongs to these very tensors. An engine may outlive a training:
the next one's weights are copied into the same memory, and nothing is compiled again.

Shapes: N images a batch, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from podium.models import Classifier
from podium.recipe import Recipe
from podium.runtime import Runtime

__all__ = ["Engine"]

P = ParamSpec("P")
T = TypeVar("T")

_MODES = {"default": None, "max": "max-autotune"}
_WORLD_MODES = {"default": None, "max": "max-autotune-no-cudagraphs"}  # a graph can't hold what goes between processes
_BUCKET_MEGABYTES = 25  # of gradients that go between processes at once, while others are still computed


class Engine:
    """Computes losses, to train with, and logits.

    Args:
        recipe: of all trainings that take this engine: how to compile, memory format, label smoothing, distillation.
        runtime: device and precision.
    """

    def __init__(self, recipe: Recipe, runtime: Runtime) -> None:
        self.runtime = runtime
        self._recipe = recipe
        self._classifier: Classifier | None = None
        self._replica: DistributedDataParallel | None = None
        self._losses = self._compiled(self._eager_losses)
        self._logits = self._compiled(self._eager_logits)

    @property
    def classifier(self) -> Classifier:
        """That of the training which began last."""
        assert self._classifier is not None
        return self._classifier

    def begin(self, classifier: Classifier) -> Classifier:
        """Takes over a new classifier's weights; gives the classifier that is to be trained, on the device."""
        if self._classifier is None:
            moved = classifier.to(self.runtime.device)
            if self._recipe.channels_last:
                moved = moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._classifier = moved
            return self._classifier
        assert classifier.model_name == self._classifier.model_name
        mine = [*self._classifier.named_parameters(), *self._classifier.named_buffers()]
        new = dict([*classifier.named_parameters(), *classifier.named_buffers()])
        with torch.no_grad():
            for name, tensor in mine:
                tensor.copy_(new[name])
                tensor.requires_grad_(new[name].requires_grad)
                tensor.grad = None
        self._classifier.preprocessing = classifier.preprocessing
        return self._classifier

    def replicate(self) -> None:
        """Gives every process rank 0's weights, and has gradients averaged over all; nothing where there is one."""
        if self.runtime.world.size == 1:
            return
        # Which parameters have no gradient is looked for at each step, where some stop being trained. On a processor
        # always: gradients then stay in their buckets, on which the order of summation depends, and so the bits.
        looks = self.runtime.device.type == "cpu" or self._recipe.whiten_bias_epochs > 0
        self.runtime.world.spread(dict(self.classifier.named_buffers()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # broadcast_buffers has another name from torch 2.13 on
            self._replica = DistributedDataParallel(
                _Losses(self, has_unused=looks),
                broadcast_buffers=False,
                find_unused_parameters=looks,
                gradient_as_bucket_view=True,
                bucket_cap_mb=_BUCKET_MEGABYTES,
            )

    def apart(self, apart: bool) -> AbstractContextManager[object]:
        """Within it gradients are added up in this process only, if `apart`."""
        return self._replica.no_sync() if apart and self._replica is not None else nullcontext()

    def losses(
        self,
        pixels: Tensor,
        targets: Tensor,
        partner_targets: Tensor | None = None,
        part: Tensor | None = None,
        taught: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The loss of each image, float32 (N,), with a graph to differentiate, and how far its guess was right.

        Args:
            pixels: uint8 (N, 3, H, W), augmented.
            targets: int64 (N,).
            partner_targets: int64 (N,), of the images that these are blended with, if they are.
            part: float32 (N,), how much of a blended image is its own.
            taught: float32 (N, K), a teacher's probabilities, if there is one.

        Returns:
            The losses, and float32 (N,): 1 where the guess is the target; of a blended image the part with that class.
        """
        if self._recipe.compile == "max" and self.runtime.world.size == 1:
            # the last step's outputs may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self.runtime.autocast():
            if self._replica is not None:
                losses, hits = self._replica(pixels, targets, partner_targets, part, taught)
                return losses, hits
            return self._losses(pixels, targets, partner_targets, part, taught)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """float32 (N, K) of uint8 (N, 3, H, W) as read, by the weights as they are."""
        with self.runtime.autocast():
            return self._logits(pixels).clone()  # a CUDA graph's next replay writes to the same place

    def _eager_losses(
        self,
        pixels: Tensor,
        targets: Tensor,
        partner_targets: Tensor | None,
        part: Tensor | None,
        taught: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        outputs = self.classifier.outputs(pixels)  # (N, K) each
        guesses = outputs[0].argmax(1)
        losses, hits = self._loss(outputs, targets), (guesses == targets).float()
        if partner_targets is not None and part is not None:
            losses = part * losses + (1 - part) * self._loss(outputs, partner_targets)
            hits = part * hits + (1 - part) * (guesses == partner_targets)
        if taught is not None:
            weight = self._recipe.distill_weight
            losses = (1 - weight) * losses + weight * self._distance(outputs[0], taught)
        return losses, hits

    def _loss(self, outputs: list[Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy of the network's own head, and a part of that of each auxiliary one: (N,)."""
        smoothing, weight = self._recipe.label_smoothing, self._recipe.auxiliary_weight
        losses = [F.cross_entropy(one, targets, label_smoothing=smoothing, reduction="none") for one in outputs]
        total = losses[0]
        for auxiliary in losses[1:]:
            total = total + weight * auxiliary
        return total

    def _distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the teacher's probabilities, times the temperature's square: (N,).

        The square keeps the gradient's size whatever the temperature (arXiv 1503.02531).
        """
        temperature = self._recipe.distill_temperature
        own = (logits / temperature).log_softmax(1)
        return F.kl_div(own, taught, reduction="none").sum(1) * temperature**2

    def _eager_logits(self, pixels: Tensor) -> Tensor:
        return torch.as_tensor(self.classifier(pixels))

    def _compiled(self, function: Callable[P, T]) -> Callable[P, T]:
        if self._recipe.compile == "none":
            return function
        modes = _MODES if self.runtime.world.size == 1 else _WORLD_MODES
        # A graph for each size of batch: a training has few, and a graph for any size is slower.
        return torch.compile(function, dynamic=False, mode=modes[self._recipe.compile])


class _Losses(nn.Module):
    """What an engine computes, as the one call that torch's DistributedDataParallel wraps.

    Args:
        engine: that computes.
        has_unused: whether a parameter is added that never has a gradient: torch warns where it looks for such and
            finds none.
    """

    def __init__(self, engine: Engine, *, has_unused: bool) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1, device=engine.runtime.device)) if has_unused else None
        self.classifier = engine.classifier
        self._compute = engine._losses

    def forward(
        self,
        pixels: Tensor,
        targets: Tensor,
        partner_targets: Tensor | None,
        part: Tensor | None,
        taught: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return self._compute(pixels, targets, partner_targets, part, taught)
