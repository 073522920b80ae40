"""Mixup (arXiv 1710.09412) and cutmix (arXiv 1905.04899): each image takes something of another one of its batch.

Each image has its own draw, where the papers have one a batch. Blending is in integers, so every device gives the same
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium.augment.erase import inside
from podium.augment.kernels import choose
from podium.errors import RecipeError
from podium.runtime import send

__all__ = ["Drawn", "Mixed", "Mixer", "blend", "paste"]

_WHOLE_BITS = 16
_WHOLE = 2**_WHOLE_BITS
_MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Mixed:
    """A batch whose images are mixed: the loss of image i is part · loss(target) + (1 - part) · loss(partner's target).

    Attributes:
        pixels: uint8 (N, C, H, W).
        partner: int64 (N,), the other image's place in the batch; may be its own.
        part: float32 (N,), in [0, 1]: of the image itself.
    """

    pixels: Tensor
    partner: Tensor
    part: Tensor


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a batch, on the CPU.

    Attributes:
        partner: int64 (N,), as of `Mixed`.
        part: float32 (N,), as of `Mixed`.
        weights: int32 (N,), of `blend`; None: nothing is blended.
        boxes: int64 (N, 4), of `paste`; None: nothing is pasted.
    """

    partner: Tensor
    part: Tensor
    weights: Tensor | None
    boxes: Tensor | None

    def of(self, rows: Tensor) -> Drawn:
        """For the images at the places `rows`, int64 (M,), only; partners are still counted in the whole batch."""
        weights = None if self.weights is None else self.weights[rows]
        boxes = None if self.boxes is None else self.boxes[rows]
        return Drawn(self.partner[rows], self.part[rows], weights, boxes)


class Mixer:
    """Mixes batches. With both, a fair coin decides for each image.

    Args:
        mixup: alpha: images are blended, the part of the image itself drawn from Beta(alpha, alpha); 0: not.
        cutmix: alpha: a box of the other image is pasted over, its part of the area 1 - lambda with lambda from
            Beta(alpha, alpha), its centre uniform; cut off at the edges, and `part` is that of the area that stays; 0:
            not.

    Raises:
        RecipeError: an alpha is below 0.
    """

    def __init__(self, mixup: float, cutmix: float) -> None:
        for name, alpha in (("mixup", mixup), ("cutmix", cutmix)):
            if not 0 <= alpha < float("inf"):
                raise RecipeError(f"{name} = {alpha}: it must be at least 0")
        self.mixup = mixup
        self.cutmix = cutmix

    @property
    def is_on(self) -> bool:
        """Whether it mixes at all."""
        return bool(self.mixup or self.cutmix)

    def mix(self, pixels: Tensor, generator: torch.Generator) -> Mixed:
        """Mixes a batch.

        Args:
            pixels: uint8 (N, C, H, W) on any device, any strides.
            generator: on the CPU, seeded by the caller for (seed, purpose, step); it decides everything.

        Returns:
            `pixels` of the same memory order, and `partner` and `part` on the same device.
        """
        num_images, _, height, width = pixels.shape
        drawn = self.draw(num_images, (height, width), generator)
        partner = send(drawn.partner, pixels.device)
        return Mixed(self.apply(pixels, pixels[partner], drawn), partner, send(drawn.part, pixels.device))

    def draw(self, num_images: int, size: tuple[int, int], generator: torch.Generator) -> Drawn:
        """What is done to each image of a batch; `size` is (H, W) of the images, `generator` as of `mix`."""
        height, width = size
        partner = torch.randperm(num_images, generator=generator)
        # torch has no Beta that takes a generator
        rng = np.random.default_rng(int(torch.randint(_MAX_SEED, (1,), generator=generator)))
        weights = boxes = None
        part = torch.ones(num_images, dtype=torch.float64)
        if self.mixup:
            weights = torch.from_numpy(rng.beta(self.mixup, self.mixup, num_images)).mul_(_WHOLE).round_()
        if self.cutmix:
            boxes = _random_boxes(rng, self.cutmix, num_images, (height, width))
            if weights is not None:
                pastes = torch.from_numpy(rng.random(num_images) < 0.5)
                weights[pastes] = _WHOLE
                boxes[~pastes] = 0
            part -= (boxes[:, 2] * boxes[:, 3]).double() / (height * width)
        if weights is not None:
            part *= weights / _WHOLE  # one of both is 1
        whole = None if weights is None else weights.to(torch.int32)
        return Drawn(partner, part.to(torch.float32), whole, boxes)

    def apply(self, pixels: Tensor, others: Tensor, drawn: Drawn) -> Tensor:
        """Does what was drawn.

        Args:
            pixels: uint8 (N, C, H, W) on any device, any strides.
            others: the same, the partner of each.
            drawn: for just these images.
        """
        if drawn.weights is not None:
            pixels = blend(pixels, others, send(drawn.weights, pixels.device))
        if drawn.boxes is not None:
            pixels = paste(pixels, others, send(drawn.boxes, pixels.device))
        return pixels


def blend(pixels: Tensor, others: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of two images, rounded.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        others: the same.
        weights: int32 (N,), of `pixels`, in 1/65536: 0 … 65536.

    Returns:
        uint8 (N, C, H, W).
    """
    # other + weight · (pixel - other): one product, below 2^25
    distance = pixels.to(torch.int32).sub_(others).mul_(weights[:, None, None, None])
    return distance.add_(_WHOLE // 2).bitwise_right_shift_(_WHOLE_BITS).add_(others).to(torch.uint8)


def paste(pixels: Tensor, others: Tensor, boxes: Tensor) -> Tensor:
    """Images with a box of others over them.

    Args:
        pixels: any dtype (N, C, H, W), any strides.
        others: the same.
        boxes: int64 (N, 4): top, left, height, width.

    Returns:
        The same shape and dtype.
    """
    return choose(inside(boxes, (pixels.shape[2], pixels.shape[3])), others, pixels)


def _random_boxes(rng: np.random.Generator, alpha: float, num_images: int, size: tuple[int, int]) -> Tensor:
    """Cutmix's boxes, cut off at the edges: int64 (N, 4)."""
    side = np.sqrt(1 - rng.beta(alpha, alpha, num_images))  # of the box, in parts of the image's
    places: list[npt.NDArray[np.int64]] = []
    lengths: list[npt.NDArray[np.int64]] = []
    for length in size:
        long = (side * length).astype(np.int64)
        first = rng.integers(0, length, num_images) - long // 2
        last = np.minimum(first + long, length)
        places.append(np.maximum(first, 0))
        lengths.append(last - places[-1])
    return torch.from_numpy(np.stack((*places, *lengths), axis=1))
