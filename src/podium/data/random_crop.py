"""The random resized crop of an image of any size, drawn from (seed, epoch, image) alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from podium.data.fit import Box

__all__ = ["RandomCrop"]

_NUM_TRIES = 10
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class RandomCrop:
    """Boxes of a random part of the area at a random place.

    As is usual for ImageNet: area and proportions are drawn up to ten times, until the box fits. If none does, it is
    the largest in the middle that has the form nearest to the image's.

    Attributes:
        area_min: the area is uniform in [area_min, 1] of the image's; in (0, 1].
        ratio: r; width over height is that of what comes out, times a factor log-uniform in [1/r, r].
        seed: of the training.
    """

    area_min: float
    ratio: float
    seed: int

    def box(self, height: int, width: int, size: tuple[int, int], epoch: int, row: int) -> Box:
        """The part of an image of that height and width, in whole pixels.

        Args:
            height: in pixels.
            width: in pixels.
            size: height and width that it will be resized to.
            epoch: from 0.
            row: of the image in the training set.
        """
        key = np.array([self.seed & _WORD, epoch], np.uint64)
        stream = np.random.Philox(key=key, counter=np.array([0, 0, 0, row], np.uint64))
        draw = np.random.Generator(stream).random((_NUM_TRIES, 4)).tolist()
        aspect, turn = size[1] / size[0], math.log(self.ratio)
        for area, proportion, down, right in draw:
            box_area = (self.area_min + (1 - self.area_min) * area) * height * width
            box_aspect = aspect * math.exp((2 * proportion - 1) * turn)
            box_width, box_height = round(math.sqrt(box_area * box_aspect)), round(math.sqrt(box_area / box_aspect))
            if 0 < box_width <= width and 0 < box_height <= height:
                left, top = int(right * (width - box_width + 1)), int(down * (height - box_height + 1))
                return left, top, left + box_width, top + box_height
        nearest = min(max(width / height, aspect / self.ratio), aspect * self.ratio)
        box_width, box_height = min(width, round(height * nearest)), min(height, round(width / nearest))
        left, top = (width - box_width) // 2, (height - box_height) // 2
        return left, top, left + max(1, box_width), top + max(1, box_height)
