"""Engine: the classifier on its device, and what is computed with it, compiled if the recipe says so.

What torch.compile makes, and above all CUDA graphs, belongs to these very tensors. An engine may outlive a training:
the next one's weights are copied into the same memory, and nothing is compiled again.

Shapes: N images a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from podium.models import Classifier
from podium.recipe import Recipe
from podium.runtime import Runtime

__all__ = ["Engine"]

P = ParamSpec("P")
T = TypeVar("T")

_MODES = {"default": None, "max": "max-autotune"}


class Engine:
    """Computes losses, to train with, and logits.

    Args:
        recipe: of all trainings that take this engine: how to compile, memory format, label smoothing.
        runtime: device and precision.
    """

    def __init__(self, recipe: Recipe, runtime: Runtime) -> None:
        self.runtime = runtime
        self._recipe = recipe
        self._classifier: Classifier | None = None
        self._losses = self._compiled(self._eager_losses)
        self._blended_losses = self._compiled(self._eager_blended_losses)
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

    def losses(
        self, pixels: Tensor, targets: Tensor, partner_targets: Tensor | None = None, part: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The loss of each image, float32 (N,), with a graph to differentiate, and how far its guess was right.

        Args:
            pixels: uint8 (N, 3, H, W), augmented.
            targets: int64 (N,).
            partner_targets: int64 (N,), of the images that these are blended with, if they are.
            part: float32 (N,), how much of a blended image is its own.

        Returns:
            The losses, and float32 (N,): 1 where the guess is the target; of a blended image the part with that class.
        """
        if self._recipe.compile == "max":
            # the last step's outputs may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self.runtime.autocast():
            if partner_targets is None or part is None:
                return self._losses(pixels, targets)
            return self._blended_losses(pixels, targets, partner_targets, part)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """float32 (N, K) of uint8 (N, 3, H, W) as read, by the weights as they are."""
        with self.runtime.autocast():
            return self._logits(pixels).clone()  # a CUDA graph's next replay writes to the same place

    def _eager_losses(self, pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.classifier.outputs(pixels)  # (N, K) each
        return self._loss(outputs, targets), (outputs[0].argmax(1) == targets).float()

    def _eager_blended_losses(
        self, pixels: Tensor, targets: Tensor, partner_targets: Tensor, part: Tensor
    ) -> tuple[Tensor, Tensor]:
        outputs = self.classifier.outputs(pixels)  # (N, K) each
        guesses = outputs[0].argmax(1)
        losses = part * self._loss(outputs, targets) + (1 - part) * self._loss(outputs, partner_targets)
        return losses, part * (guesses == targets) + (1 - part) * (guesses == partner_targets)

    def _loss(self, outputs: list[Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy of the network's own head, and a part of that of each auxiliary one: (N,)."""
        smoothing, weight = self._recipe.label_smoothing, self._recipe.auxiliary_weight
        losses = [F.cross_entropy(one, targets, label_smoothing=smoothing, reduction="none") for one in outputs]
        total = losses[0]
        for auxiliary in losses[1:]:
            total = total + weight * auxiliary
        return total

    def _eager_logits(self, pixels: Tensor) -> Tensor:
        return torch.as_tensor(self.classifier(pixels))

    def _compiled(self, function: Callable[P, T]) -> Callable[P, T]:
        if self._recipe.compile == "none":
            return function
        # A graph for each size of batch: a training has few, and a graph for any size is slower.
        return torch.compile(function, dynamic=False, mode=_MODES[self._recipe.compile])
