"""Smaller images for the first part of a training (progressive resizing)."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["scaled", "shrink"]


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width at a part of their size, rounded, at least a pixel."""
    height, width = size
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(pixels: Tensor, scale: float) -> Tensor:
    """Resize to a part of the size: bilinear, antialiased, rounded.

    Args:
        pixels: uint8 (N, C, H, W).
        scale: above 0 and at most 1; there `pixels` itself comes back.

    Returns:
        uint8 (N, C, H', W'), channels_last; H' and W' are `scaled`.
    """
    assert 0 < scale <= 1, scale
    height, width = pixels.shape[2:]
    size = scaled((height, width), scale)
    if size == (height, width):
        return pixels
    smaller = F.interpolate(pixels.float(), size, mode="bilinear", antialias=True)
    return smaller.round_().to(torch.uint8).contiguous(memory_format=torch.channels_last)
