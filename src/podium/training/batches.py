"""Batches: a step's images, augmented and mixed; of several processes each makes its own part.

All draws are made for the whole batch, in every process: so many processes show the network just the pixels that one
would. That costs each a few random numbers an image of the whole batch, and, where images are mixed, the augmentation
of the partners too.

Shapes: N images a batch, M of them here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from podium.augment import Drawn, Mixer, Pipeline, scaled, shrink
from podium.runtime import random_stream, send
from podium.training.feed import Feed, Places
from podium.training.gradient import Batch
from podium.training.teacher import Teacher
from podium.training.timetable import Timetable
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
        feed: gives each step's pixels.
        size: height and width of the images.
        labels: int64 (num_images,), on the device.
        augment: the recipe's augmentation.
        mixer: for mixup and cutmix, if it is on.
        timetable: how large images are shown.
        num_parts: that a batch is computed in.
        seed: of the training.
        world: the processes that share each batch.
        teacher: whose answers are learned, if there is one.
    """

    def __init__(
        self,
        feed: Feed,
        size: tuple[int, int],
        labels: Tensor,
        augment: Pipeline,
        mixer: Mixer,
        timetable: Timetable,
        num_parts: int,
        seed: int,
        world: World,
        teacher: Teacher | None = None,
    ) -> None:
        self._feed = feed
        self._size = size
        self._labels = labels
        self._augment = augment
        self._mixer = mixer
        self._timetable = timetable
        self._num_parts = num_parts
        self._seed = seed
        self._world = world
        self._teacher = teacher

    def __call__(self, indices: Tensor, weights: Tensor | None, epoch: int, step: int) -> Batch:
        """This process's share of a step's batch.

        Args:
            indices: int64 (N,), of the whole batch, on the device.
            weights: float32 (num_images,), what each image's loss is multiplied by; None: 1.
            epoch: from 0.
            step: from 0.
        """
        mine = share(len(indices), self._num_parts, self._world)
        groups = self._feed(indices, self.places(len(indices), step), step)
        own, here = groups[0]  # (M, H, W, 3), (M,)
        pixels, taught = self._shown(own, indices, mine.rows, epoch, step)  # (M, 3, H', W'), channels_last
        partners, part = None, None
        if (drawn := self._drawn(len(indices), step)) is not None:
            if mine.rows is None:
                place = send(drawn.partner, indices.device)
                others, partners = pixels[place], self._labels[here[place]]
                their_taught = None if taught is None else taught[place]
            else:
                drawn = drawn.of(mine.rows)
                own, their = groups[1]
                others, their_taught = self._shown(own, indices, drawn.partner, epoch, step)
                partners = self._labels[their]
            pixels = self._mixer.apply(pixels, others, drawn)
            part = send(drawn.part, indices.device)
            if taught is not None and their_taught is not None:  # blended as the targets are
                taught = part[:, None] * taught + (1 - part[:, None]) * their_taught
        return Batch(
            pixels,
            self._labels[here],
            None if weights is None else weights[here],
            partners,
            part,
            indices=here,
            teacher_probabilities=taught,
            sizes=mine.sizes,
            num_images=mine.num_images,
        )

    def places(self, num_images: int, step: int) -> Places:
        """Which places of a batch of `num_images` this process shows, and, where it mixes others' images in, whose."""
        rows = share(num_images, self._num_parts, self._world).rows
        drawn = None if rows is None else self._drawn(num_images, step)
        return [rows] if rows is None or drawn is None else [rows, drawn.partner[rows]]

    def plain(self, num_some: int, size: int, step: int, *, shares: bool) -> Iterator[Tensor]:
        """Some training images as they are trained on: uint8 (M, 3, H, W), for an average's BN.

        Args:
            num_some: how many.
            size: images a batch.
            step: so many are done; it decides which images.
            shares: whether each process gets its part of each batch, or all of it.
        """
        order = torch.randperm(len(self._labels), generator=random_stream(self._seed, "average", step))[:num_some]
        for number, indices in enumerate(torch.split(send(order, self._labels.device), size)):
            if len(indices) > 1 or not number:
                stream = random_stream(self._seed, "average", step, number)
                mine = share(len(indices), 1, self._world) if shares else Share(None, (len(indices),), len(indices))
                pixels = self._feed.some(mine.of(indices)).permute(0, 3, 1, 2)
                yield self._augment(pixels, indices, 0, stream, mine.rows)

    def _drawn(self, num_images: int, step: int) -> Drawn | None:
        if not self._mixer.is_on:
            return None
        size = scaled(self._size, self._timetable.scale(step))
        return self._mixer.draw(num_images, size, random_stream(self._seed, "mix", step))

    def _shown(
        self, pixels: Tensor, indices: Tensor, rows: Tensor | None, epoch: int, step: int
    ) -> tuple[Tensor, Tensor | None]:
        """Images of the batch `indices`, those at `rows`, as they are augmented and shown: uint8 (M, 3, H', W').

        And what the teacher, if there is one, says of them as they are augmented: float32 (M, K).
        """
        stream = random_stream(self._seed, "augment", step)
        shown = self._augment(pixels.permute(0, 3, 1, 2), indices, epoch, stream, rows)
        taught = None if self._teacher is None else self._teacher(shown)
        return shrink(shown, self._timetable.scale(step)), taught
