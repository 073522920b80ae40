"""Mirroring: at random, or alternating from epoch to epoch.

Alternating flip (arXiv 2404.00498, section 3.6): an image that was mirrored in one epoch is not in the next, so that
any two epochs in a row show each image both ways. Which way an image begins is a hash of (seed, index): it depends
neither on the batch that the image is in nor on any generator's state, so a resumed run goes on where it stopped.
"""

import torch
from torch import Tensor

from podium.augment.kernels import choose

__all__ = ["alternating_mask", "flip", "random_mask"]

# splitmix64 (Steele, Lea & Flood, OOPSLA 2014): the odd step and the finalizer's (shift, factor) pairs.
_STEP = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31


def flip(pixels: Tensor, mask: Tensor) -> Tensor:
    """Mirror left and right the images that `mask` names.

    Args:
        pixels: any dtype (N, C, H, W), any strides.
        mask: bool (N,).

    Returns:
        The same shape, dtype and memory order.
    """
    return choose(mask[:, None, None, None], pixels.flip(3), pixels)  # (N, C, H, W)


def random_mask(num_images: int, generator: torch.Generator) -> Tensor:
    """A fair coin an image: bool (N,) on the CPU."""
    return torch.rand(num_images, generator=generator) < 0.5  # (N,)


def alternating_mask(indices: Tensor, epoch: int, seed: int) -> Tensor:
    """Which images are mirrored in `epoch`: the first epoch's coin, turned over in every odd one.

    Args:
        indices: int64 (N,), places of the images in the training set; any device.
        epoch: from 0.
        seed: any integer; another seed tosses other coins.

    Returns:
        bool (N,) on the device of `indices`.
    """
    z: Tensor = indices * _signed(_STEP) + _signed(_mix(seed))  # int64 products wrap, as the hash wants
    for shift, factor in _ROUNDS:
        z = (z ^ _shift_right(z, shift)) * _signed(factor)
    z = z ^ _shift_right(z, _LAST_SHIFT)
    mask = z < 0  # the top bit is the coin
    return ~mask if epoch % 2 else mask


def _mix(seed: int) -> int:
    """The same finalizer for one Python integer: neighbouring seeds must not give shifted copies of one sequence."""
    z = (seed + _STEP) % 2**64
    for shift, factor in _ROUNDS:
        z = (z ^ (z >> shift)) * factor % 2**64
    return z ^ (z >> _LAST_SHIFT)


def _signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit `value`."""
    return value - 2**64 if value >= 2**63 else value


def _shift_right(z: Tensor, shift: int) -> Tensor:
    """Unsigned shift of int64: torch's own copies the sign in."""
    return torch.bitwise_and(z >> shift, 2 ** (64 - shift) - 1)
