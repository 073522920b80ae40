"""Contrast, saturation, sharpness and grey, as Pillow's ImageEnhance and its conversion to "L" make them, to the bit.

ImageEnhance moves an image away from, or towards, a duller version of itself: dull + factor · (image - dull), cut off
at 0 and 255, the fraction dropped. Product and sum are two kernels of float32 with one rounding each, as in Pillow's C
on x86-64, and so every device gives the same pixels. (Where a compiler fuses the two, Pillow can differ by one level.)
"""

import torch
from torch import Tensor

from podium.augment.kernels import truncated

__all__ = ["adjust_contrast", "adjust_saturation", "adjust_sharpness", "grey"]

_GREY_WEIGHTS = (19595, 38470, 7471)  # ITU-R 601-2's 0.299, 0.587, 0.114 in 1/65536

# x // 26 is x * 10083 >> 18 for all x up to 18,724, and the largest here is 6643.
_PER_26, _PER_26_BITS = 10083, 18


def adjust_contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image's distance from its mean grey by its factor: `ImageEnhance.Contrast`.

    Args:
        pixels: uint8 (N, 3, H, W), RGB, any strides.
        factors: float32 (N,); 0 gives a plain grey image, 1 changes nothing.

    Returns:
        uint8 (N, 3, H, W).
    """
    levels = _grey_levels(pixels)  # int32 (N, H, W)
    num_pixels = levels[0].numel() if len(levels) else 1
    mean = (2 * levels.sum((1, 2)) + num_pixels).div(2 * num_pixels, rounding_mode="floor")  # (N,), rounded
    return _blend(mean.to(torch.float32)[:, None, None, None], pixels, factors)


def adjust_saturation(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each pixel's distance from its own grey by its image's factor: `ImageEnhance.Color`.

    Args:
        pixels: uint8 (N, 3, H, W), RGB, any strides.
        factors: float32 (N,); 0 gives a grey image, 1 changes nothing.

    Returns:
        uint8 (N, 3, H, W), contiguous.
    """
    pixels = pixels.contiguous()  # a grey level is then added to whole rows
    return _blend(_grey_levels(pixels)[:, None].to(torch.float32), pixels, factors)


def adjust_sharpness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image's distance from its smoothed self by its factor: `ImageEnhance.Sharpness`.

    Smoothed is the mean of a pixel, weighted 5, and its 8 neighbours, rounded. The outermost pixels stay as they are.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        factors: float32 (N,); 0 gives the smoothed image, 1 changes nothing.

    Returns:
        uint8 (N, C, H, W), contiguous.
    """
    pixels = pixels.contiguous()
    if min(pixels.shape[2:]) < 3:
        return pixels.clone()
    wide = pixels.to(torch.int16)
    sums = wide[:, :, :-2] + wide[:, :, 1:-1]  # of three rows, then of three columns
    sums += wide[:, :, 2:]
    total = sums[..., :-2] + sums[..., 1:-1]
    total += sums[..., 2:]
    inner = pixels[:, :, 1:-1, 1:-1]
    total += wide[:, :, 1:-1, 1:-1] << 2  # 13 times the mean
    smooth = total.to(torch.int32).mul_(2).add_(13).mul_(_PER_26).bitwise_right_shift_(_PER_26_BITS)
    out = pixels.clone()
    out[:, :, 1:-1, 1:-1] = _blend(smooth.to(torch.float32), inner, factors)
    return out


def grey(pixels: Tensor) -> Tensor:
    """Take the colours away: `ImageOps.grayscale`, the same level in all channels.

    Args:
        pixels: uint8 (N, 3, H, W), RGB, any strides.

    Returns:
        uint8 (N, 3, H, W), contiguous.
    """
    return _grey_levels(pixels)[:, None].to(torch.uint8).repeat(1, 3, 1, 1)


def _grey_levels(pixels: Tensor) -> Tensor:
    """round(0.299 R + 0.587 G + 0.114 B) in integers: int32 (N, H, W)."""
    total = torch.full((), 2**15, dtype=torch.int32, device=pixels.device)
    for channel, weight in zip(pixels.unbind(1), _GREY_WEIGHTS, strict=True):
        total = channel.to(torch.int32).mul_(weight).add_(total)
    return total.bitwise_right_shift_(16)


def _blend(dull: Tensor, pixels: Tensor, factors: Tensor) -> Tensor:
    """Dull + factor · (pixels - dull) as uint8; `dull` is float32 and broadcast."""
    distance = pixels.to(torch.float32).sub_(dull).mul_(factors[:, None, None, None])
    return truncated(distance.add_(dull).clamp_(0, 255))
