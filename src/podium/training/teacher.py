"""Teacher: trained networks whose answers another one learns (knowledge distillation).

The teacher looks at each image as it is augmented for this very step, at full size: answers to the images as read would
be those that it knows by heart, and teach little more than their labels (arXiv 2106.05237 finds the same).

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from podium.models import Classifier
from podium.runtime import Runtime, send

__all__ = ["Teacher"]

_BATCH_PIXELS = 250 * 32 * 32  # on a processor what a layer gives then stays in its cache


class Teacher:
    """The mean of some classifiers' probabilities.

    They count the same: with weights found on a hold-out, as an ensemble has, what is measured there would flatter.

    Args:
        members: trained classifiers of the same K classes, in any order of them.
        classes: the K names in the order that the answers are to have.
        temperature: that the members' logits are divided by.
        runtime: device and precision.
    """

    def __init__(
        self,
        members: Sequence[Classifier],
        classes: tuple[str, ...],
        temperature: float,
        runtime: Runtime,
    ) -> None:
        self._members = [one.to(runtime.device).eval().requires_grad_(False) for one in members]
        self._columns = [torch.tensor([one.preprocessing.classes.index(name) for name in classes]) for one in members]
        self._temperature = temperature
        self._runtime = runtime

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Probabilities at the temperature, float32 (N, K), of uint8 (N, 3, H, W)."""
        height, width = pixels.shape[2:]
        size = max(1, _BATCH_PIXELS // (height * width)) if pixels.device.type == "cpu" else len(pixels)
        return torch.cat([self._answers(some) for some in torch.split(pixels, size)])

    def _answers(self, pixels: Tensor) -> Tensor:
        total = torch.zeros((), device=pixels.device)
        for member, columns in zip(self._members, self._columns, strict=True):
            with self._runtime.autocast():
                logits = member(pixels)[:, send(columns, pixels.device)]
            total = total + (logits / self._temperature).softmax(1)
        return total / len(self._members)
