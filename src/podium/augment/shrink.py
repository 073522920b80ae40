"""Smaller images for the first part of a training (progressive resizing)."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["shrink"]


def shrink(pixels: Tensor, side: int) -> Tensor:
    """Resize to a shorter side of `side` pixels, the proportions kept: bilinear, antialiased, rounded.

    Args:
        pixels: uint8 (N, C, H, W).
        side: at least 1 and at most the shorter of H and W; there `pixels` itself comes back.

    Returns:
        uint8 (N, C, H', W'), channels_last.
    """
    height, width = pixels.shape[2:]
    short = min(height, width)
    assert 1 <= side <= short, (side, short)
    if side == short:
        return pixels
    size = (round(height * side / short), round(width * side / short))
    smaller = F.interpolate(pixels.float(), size, mode="bilinear", antialias=True)
    return smaller.round_().to(torch.uint8).contiguous(memory_format=torch.channels_last)
