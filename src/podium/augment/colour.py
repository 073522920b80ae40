"""Brightness and hue, as MXNet's image operators change them: on the 0 … 255 scale, cut off, then truncated.

Each floating-point step is one kernel with one rounding, so that every device gives the same pixels to the bit.
"""

import torch
from torch import Tensor

from podium.augment.kernels import truncated

__all__ = ["adjust_brightness", "random_factors", "random_turns", "turn_hue"]


def adjust_brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image by its factor: floor(min(factor · pixel, 255)).

    MXNet's `random_brightness` saturates before it converts to uint8, so a bright pixel stays at 255 rather than
    wrapping around; the fraction is dropped, not rounded.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        factors: float32 (N,), not negative; 1 changes nothing.

    Returns:
        uint8 (N, C, H, W).
    """
    scaled = pixels.to(torch.float32).mul_(factors[:, None, None, None])  # (N, C, H, W)
    return truncated(scaled.clamp_(max=255))


def turn_hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of each image in HLS space, by its own part of the circle.

    Lightness and saturation stay, and with them each pixel's largest and smallest channel, M and m. With d = M - m
    and the hue h in sixths of the circle (red 0, green 2, blue 4), HLS is, without any division, in x = h · d:

        x = g - b            if M = r              r' = m + clamp(|x - 3d| - d, 0, d)
            b - r + 2d       else if M = g         g' = m + clamp(2d - |x - 2d|, 0, d)
            r - g + 4d       otherwise             b' = m + clamp(2d - |x - 4d|, 0, d)

    and the turn adds 6 · turn · d to x, modulo 6d. The result is truncated. MXNet's `random_hue` goes through HLS in
    float32, where an M or m that should stay often falls just below its integer and loses one grey level; here it
    stays.

    Args:
        pixels: uint8 (N, 3, H, W), RGB, any strides; fastest when each channel is contiguous.
        turns: float32 (N,), in parts of the circle; whole numbers change nothing.

    Returns:
        uint8 (N, 3, H, W), each channel contiguous in memory.
    """
    planes = pixels.transpose(0, 1).contiguous()  # (3, N, H, W)
    red, green, blue = planes.to(torch.float32)  # (N, H, W) each
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    span = high - low  # d
    two = span * 2

    # Choosing by products with 0.0 or 1.0 is exact on these integers, and several times faster than torch.where.
    from_red = green - blue
    from_green = (blue - red).add_(two)
    x = (red - green).add_(two).add_(two)
    x += from_green.sub_(x).mul_(green.eq_(high))
    x += from_red.sub_(x).mul_(red.eq_(high))  # -d … 5d

    # In 1 … 7 sixths, so that x is in 0 … 12d and one subtraction brings it below 6d.
    sixths = (turns * 6 - 1).remainder_(6).add_(1)[:, None, None]  # (N, 1, 1)
    x += span * sixths
    circle = span * 6
    x -= x.clone().ge_(circle).mul_(circle)

    out = torch.empty_like(planes)  # uint8 (3, N, H, W)
    zero = span.new_zeros(())
    x -= two  # x - 2d
    out[1] = truncated((two - x.abs()).clamp_(zero, span).add_(low))
    x -= span  # x - 3d
    out[0] = truncated((x.abs() - span).clamp_(zero, span).add_(low))
    x -= span  # x - 4d
    out[2] = truncated((two - x.abs()).clamp_(zero, span).add_(low))
    return out.transpose(0, 1)  # (N, 3, H, W)


def random_factors(num_images: int, amount: float, generator: torch.Generator) -> Tensor:
    """Uniform in [1 - amount, 1 + amount]: float32 (N,) on the CPU."""
    return 1 + amount * (2 * torch.rand(num_images, generator=generator) - 1)  # (N,)


def random_turns(num_images: int, amount: float, generator: torch.Generator) -> Tensor:
    """Uniform in [-amount, amount] of the circle: float32 (N,) on the CPU."""
    return amount * (2 * torch.rand(num_images, generator=generator) - 1)  # (N,)
