"""Maps of levels, as Pillow's ImageOps have them, to the bit: posterize, solarize, invert, autocontrast, equalize.

All but autocontrast are integers throughout; autocontrast takes float64, as Python does, one rounding a kernel.
"""

import torch
from torch import Tensor

from podium.augment.kernels import truncated

__all__ = ["autocontrast", "equalize", "invert", "posterize", "random_bits", "random_thresholds", "solarize"]


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits of each level and clear the others: `ImageOps.posterize`.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        bits: int64 (N,), 0 … 8; 8 changes nothing. (Pillow takes 1 … 8.)

    Returns:
        uint8 (N, C, H, W).
    """
    masks = 256 - (1 << (8 - bits))  # 0, 128, 192 … 255
    return pixels & masks.to(torch.uint8)[:, None, None, None]


def solarize(pixels: Tensor, thresholds: Tensor) -> Tensor:
    """Invert the levels from a threshold on: `ImageOps.solarize`.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        thresholds: any real dtype (N,): levels of at least so much become 255 - level; 0 inverts all, 256 none.

    Returns:
        uint8 (N, C, H, W).
    """
    # A level has to be at least the smallest whole number from the threshold on. Kept to 16 bits, which are fast.
    least = thresholds.ceil().clamp(0, 256).to(torch.int16)[:, None, None, None]
    # x ^ 255 is 255 - x: the mask's bytes are 255 where the level is to be inverted
    return pixels ^ (pixels >= least).to(torch.uint8).mul_(255)


def invert(pixels: Tensor) -> Tensor:
    """255 - level: `ImageOps.invert`.

    Args:
        pixels: uint8, any shape, any strides.

    Returns:
        The same shape, dtype and memory order.
    """
    return pixels ^ 255


def autocontrast(pixels: Tensor) -> Tensor:
    """Stretch each channel of each image to 0 … 255: `ImageOps.autocontrast` without a cutoff.

    A channel of one level stays as it is.

    Args:
        pixels: uint8 (N, C, H, W), any strides.

    Returns:
        uint8 (N, C, H, W).
    """
    low = pixels.amin((2, 3), keepdim=True).to(torch.float64)
    span = pixels.amax((2, 3), keepdim=True).to(torch.float64).sub_(low)  # (N, C, 1, 1)
    is_plain = span == 0
    # a quotient of tensors: torch makes a number over a tensor a product with the reciprocal, which is rounded twice
    scale = (torch.full_like(span, 255.0) / span).masked_fill_(is_plain, 1.0)
    offset = (-low * scale).masked_fill_(is_plain, 0.0)
    return truncated(pixels.to(torch.float64).mul_(scale).add_(offset).clamp_(0, 255))


def equalize(pixels: Tensor) -> Tensor:
    """Flatten the histogram of each channel of each image: `ImageOps.equalize`.

    With n(v) pixels below level v and a step of (H · W - number of pixels of the highest level) / 255, rounded down,
    level v becomes (step / 2 + n(v)) / step, both divisions rounded down, at most 255. Where the step is 0, the channel
    stays as it is.

    Args:
        pixels: uint8 (N, C, H, W), any strides.

    Returns:
        uint8 (N, C, H, W), contiguous.
    """
    num_pixels = pixels.shape[2] * pixels.shape[3]
    levels = pixels.reshape(-1, num_pixels).to(torch.int64)  # (N·C, H·W)
    if not levels.numel():
        return pixels.clone()
    counts = levels.new_zeros((len(levels), 256), dtype=torch.int32)
    counts.scatter_add_(1, levels, counts.new_ones(()).expand_as(levels))
    below = counts.cumsum(1).sub_(counts)  # int64 (N·C, 256)
    step = below.gather(1, levels.amax(1, keepdim=True)).floor_divide_(255)  # (N·C, 1)
    table = (below + (step >> 1)).floor_divide_(step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=pixels.device)).to(torch.uint8)
    return table.gather(1, levels).view(pixels.shape)


def random_bits(num_images: int, least: int, generator: torch.Generator) -> Tensor:
    """Uniform in least … 8: int64 (N,) on the CPU."""
    return torch.randint(least, 9, (num_images,), generator=generator)


def random_thresholds(num_images: int, probability: float, generator: torch.Generator) -> Tensor:
    """With a probability, uniform in 0 … 255; else 256, which inverts nothing: int64 (N,) on the CPU."""
    chance = torch.rand(num_images, generator=generator)
    return torch.randint(256, (num_images,), generator=generator).masked_fill_(chance >= probability, 256)
