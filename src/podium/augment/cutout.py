"""Cutout: a square of each image is painted over (arXiv 1708.04552).

As arXiv 2404.00498 has it, the square lies wholly within the image; the first paper cuts it off at the edges.
"""

import torch
from torch import Tensor

from podium.augment.erase import erase

__all__ = ["cutout", "random_corners"]


def cutout(pixels: Tensor, corners: Tensor, side: int, fill: Tensor) -> Tensor:
    """Paints a square of each image in one colour.

    Args:
        pixels: any dtype (N, C, H, W), any strides.
        corners: int64 (N, 2): (y, x) of each square's first pixel.
        side: of the square, in pixels.
        fill: of the dtype of `pixels`, (C,).

    Returns:
        The same shape, dtype and memory order.
    """
    return erase(pixels, torch.cat((corners, torch.full_like(corners, side)), dim=1), fill)


def random_corners(num_images: int, side: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Uniform over all places where the square fits into (H, W): int64 (N, 2) on the CPU."""
    places = [torch.randint(0, length - side + 1, (num_images,), generator=generator) for length in size]
    return torch.stack(places, dim=1)  # (N, 2)
