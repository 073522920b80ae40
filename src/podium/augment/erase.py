"""Random erasing: a box of an image is painted over (arXiv 1708.04896), here in one colour rather than in noise."""

import math

import torch
from torch import Tensor

from podium.augment.kernels import choose

__all__ = ["erase", "inside", "random_patches"]

_AREA = (0.02, 0.33)
_RATIO = (0.3, 3.3)


def erase(pixels: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """Paints a box of each image in one colour.

    Args:
        pixels: any dtype (N, C, H, W), any strides.
        boxes: int64 (N, 4): top, left, height, width of each; what sticks out of the image has no effect, nor has a box
            of height or width 0.
        fill: of the dtype of `pixels`, (C,).

    Returns:
        The same shape, dtype and memory order.
    """
    return choose(inside(boxes, (pixels.shape[2], pixels.shape[3])), fill.view(1, -1, 1, 1), pixels)


def inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image of `size` (H, W) lie in the boxes, int64 (N, 4), on their device: bool (N, 1, H, W)."""
    top, left, height, width = boxes[:, :, None].unbind(1)  # (N, 1) each
    row = torch.arange(size[0], device=boxes.device) - top  # (N, H)
    column = torch.arange(size[1], device=boxes.device) - left  # (N, W)
    rows, columns = (row >= 0) & (row < height), (column >= 0) & (column < width)
    return rows[:, None, :, None] & columns[:, None, None, :]


def random_patches(num_images: int, probability: float, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes to erase, wholly within the image; of height 0 where an image is left alone.

    The area is uniform in 2 … 33 % of the image's, height over width log-uniform in 0.3 … 3.3, so that lying and
    standing boxes are equally frequent, and the place is uniform. (The paper goes up to 40 % and draws proportions
    uniformly.) A side that is too long is cut to the image's, where the paper draws again.

    Args:
        num_images: N.
        probability: of a box.
        size: (H, W).
        generator: on the CPU.

    Returns:
        int64 (N, 4) on the CPU: top, left, height, width.
    """
    chance, area, ratio, top, left = torch.rand((5, num_images), dtype=torch.float64, generator=generator)
    low, high = (math.log(end) for end in _RATIO)
    ratio = (low + (high - low) * ratio).exp()
    area = (_AREA[0] + (_AREA[1] - _AREA[0]) * area) * size[0] * size[1]
    height = (area * ratio).sqrt().round().clamp(1, size[0])
    width = (area / ratio).sqrt().round().clamp(1, size[1])
    top = (top * (size[0] - height + 1)).floor()
    left = (left * (size[1] - width + 1)).floor()
    height = height * (chance < probability)
    return torch.stack((top, left, height, width), dim=1).to(torch.int64)
