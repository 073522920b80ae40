"""Batches: a step's images, augmented and mixed; of several processes each makes its own part.

All draws are made for the whole batch, in every process: so many processes show the network just the pixels that one
would. That costs each a few random numbers an image of the whole batch, and, where images are mixed, the augmentation
of the partners too.

Shapes: N images a batch, M of them here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from podium.augment import Mixer, Pipeline, shrink
from podium.runtime import random_stream, send
from podium.training.gradient import Batch
from podium.training.plan import Plan
from podium.world import World

__all__ = ["Batches", "Share", "share"]


@dataclass(frozen=True)
class Share:
    """What one process does of a step's batch.

    Attributes:
        rows: int64 (M,) on the CPU, places in the batch; None: all of it, in order.
        sizes: images in each part that is computed by itself (`accumulate`).
        num_images: N.
    """

    rows: Tensor | None
    sizes: tuple[int, ...]
    num_images: int

    def of(self, values: Tensor) -> Tensor:
        """The rows of this share of (N, …), on any device."""
        return values if self.rows is None else values[send(self.rows, values.device)]


def share(num_images: int, num_parts: int, world: World) -> Share:
    """This process's share of a batch that is computed in `num_parts` parts; fewer, if they had less than two images.

    Each part is spread over all processes, so that together they compute just the part that one process would.
    """
    num_parts = max(1, min(num_parts, num_images // 2))
    parts = torch.arange(num_images).tensor_split(num_parts)
    if world.size == 1:
        return Share(None, tuple(map(len, parts)), num_images)
    mine = [part[world.part(len(part))] for part in parts]
    return Share(torch.cat(mine), tuple(map(len, mine)), num_images)


class Batches:
    """Makes the batch of each step.

    Args:
        pixels: uint8 (num_images, H, W, 3), of the training set, on the device.
        labels: int64 (num_images,), on the device.
        augment: the recipe's augmentation.
        mixer: for mixup and cutmix, if it is on.
        plan: how large images are shown.
        num_parts: that a batch is computed in.
        seed: of the training.
        world: the processes that share each batch.
    """

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        augment: Pipeline,
        mixer: Mixer,
        plan: Plan,
        num_parts: int,
        seed: int,
        world: World,
    ) -> None:
        self._pixels = pixels
        self._labels = labels
        self._augment = augment
        self._mixer = mixer
        self._plan = plan
        self._num_parts = num_parts
        self._seed = seed
        self._world = world

    def __call__(self, indices: Tensor, weights: Tensor | None, epoch: int, step: int) -> Batch:
        """This process's share of a step's batch.

        Args:
            indices: int64 (N,), of the whole batch, on the device.
            weights: float32 (num_images,), what each image's loss is multiplied by; None: 1.
            epoch: from 0.
            step: from 0.
        """
        mine = share(len(indices), self._num_parts, self._world)
        here = mine.of(indices)  # (M,)
        pixels = self._shown(indices, mine.rows, epoch, step)  # (M, 3, H', W'), channels_last
        targets, partners, part = self._labels[here], None, None
        if self._mixer.is_on:
            size = (pixels.shape[2], pixels.shape[3])
            drawn = self._mixer.draw(len(indices), size, random_stream(self._seed, "mix", step))
            whole_partner = send(drawn.partner, indices.device)
            if mine.rows is None:
                others = pixels[whole_partner]
            else:
                drawn = drawn.of(mine.rows)
                others = self._shown(indices, drawn.partner, epoch, step)
            pixels = self._mixer.apply(pixels, others, drawn)
            partners = self._labels[indices[send(drawn.partner, indices.device)]]
            part = send(drawn.part, indices.device)
        return Batch(
            pixels,
            targets,
            None if weights is None else weights[here],
            partners,
            part,
            indices=here,
            sizes=mine.sizes,
            num_images=mine.num_images,
        )

    def _shown(self, indices: Tensor, rows: Tensor | None, epoch: int, step: int) -> Tensor:
        """Images of the batch `indices`, those at `rows`, as they are augmented and shown: uint8 (M, 3, H', W')."""
        here = indices if rows is None else indices[send(rows, indices.device)]
        stream = random_stream(self._seed, "augment", step)
        pixels = self._augment(self._pixels[here].permute(0, 3, 1, 2), indices, epoch, stream, rows)
        return shrink(pixels, self._plan.scale(step))
