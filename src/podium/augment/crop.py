"""Bilinear resizing and the random resized crop, in OpenCV's fixed-point arithmetic.

MXNet resizes with OpenCV's INTER_LINEAR: output pixel i of n reads the source of s pixels at (i + 1/2) · s/n - 1/2
(pixel centres; no antialiasing when it shrinks), beyond the edges the outermost pixel goes on, and 8-bit images are
computed in integers: weights in 1/2048; along a row the sum of two products, its last 4 bits dropped; down a column
each product cut to quarters of a grey level, then their sum rounded. That is, on average, 1/8 of a grey level darker
than the exact value. All of it is done here in int32, so every device gives the same pixels to the bit, and they are
MXNet's own (1.9.1).
"""

import math

import torch
from torch import Tensor

__all__ = ["random_boxes", "resize", "resized_crop"]

_WEIGHT_BITS = 11
_ROW_DROP = 4  # 8 + 11 bits after the row pass become 15, so that the next product stays below 2^26
_COLUMN_DROP = 2 * _WEIGHT_BITS - _ROW_DROP - 2  # leaves quarters


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize every image to `size` (height, width), bilinear; the proportions may change.

    Args:
        pixels: uint8 (N, C, H, W), any strides.
        size: (H', W').

    Returns:
        uint8 (N, C, H', W'), each channel contiguous in memory unless nothing had to change.
    """
    height, width = pixels.shape[2:]
    if (height, width) == size:
        return pixels
    return resized_crop(pixels, torch.tensor([[0, 0, height, width]], device=pixels.device), size)


def resized_crop(pixels: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut out each image's box and resize it to `size`, bilinear. Pixels outside of the box have no influence.

    Args:
        pixels: uint8 (N, C, H, W), any strides; fastest when each channel is contiguous.
        boxes: int64 (N, 4): top, left, height, width of each, inside the image and not empty; or (1, 4) for all.
        size: (H', W').

    Returns:
        uint8 (N, C, H', W'), each channel contiguous in memory.
    """
    num_images, channels, height, _ = pixels.shape
    top, left, box_height, box_width = boxes[:, :, None].unbind(1)  # (N, 1) each
    planes = pixels.transpose(0, 1).contiguous().to(torch.int32)  # (C, N, H, W); in two steps, which is faster

    low, high, weight = _taps(left, box_width, size[1])  # (N, W') each
    shape = (channels, num_images, height, size[1])
    rows = planes.gather(3, high[:, None].expand(shape)).mul_(weight[:, None])
    rows += planes.gather(3, low[:, None].expand(shape)).mul_(2**_WEIGHT_BITS - weight[:, None])
    rows >>= _ROW_DROP  # (C, N, H, W')

    # As one list of rows, which several threads copy: along any other axis torch does it in one.
    low, high, weight = _taps(top, box_height, size[0])  # (N, H') each
    start = height * torch.arange(channels * num_images, device=pixels.device).view(channels, num_images, 1)
    rows = rows.view(channels * num_images * height, size[1])
    weight = weight.expand(channels, num_images, -1).reshape(-1, 1)  # (C·N·H', 1)
    out = rows.index_select(0, (start + high).view(-1)).mul_(weight).bitwise_right_shift_(_COLUMN_DROP)
    other = rows.index_select(0, (start + low).view(-1)).mul_(2**_WEIGHT_BITS - weight)
    out += other.bitwise_right_shift_(_COLUMN_DROP)  # (C·N·H', W'), in quarters
    out = out.add_(2).bitwise_right_shift_(2).to(torch.uint8)
    return out.view(channels, num_images, *size).transpose(0, 1)  # (N, C, H', W')


def random_boxes(
    num_images: int,
    image_size: tuple[int, int],
    area_min: float,
    aspect: float,
    generator: torch.Generator,
    *,
    ratio: float = 1.0,
) -> Tensor:
    """Boxes of a random part of the area at a random place, as MXNet's `RandomResizedCrop` draws them.

    The area is uniform in [area_min, 1] of H · W, the sides are rounded to whole pixels, and the corner is uniform
    over the places where the box fits. With `aspect` and `ratio` 1 on a square image every box fits; elsewhere a side
    that is too long is cut to the image (MXNet draws again, up to ten times).

    Args:
        num_images: N.
        image_size: (H, W).
        area_min: in (0, 1].
        aspect: width over height of a box.
        generator: on the CPU.
        ratio: r, at least 1: the aspect is times a factor log-uniform in [1/r, r].

    Returns:
        int64 (N, 4) on the CPU: top, left, height, width.
    """
    height, width = image_size
    draw = torch.rand((3, num_images), dtype=torch.float64, generator=generator)
    area = (area_min + (1 - area_min) * draw[0]) * height * width
    aspects = torch.full_like(area, aspect)
    if ratio > 1:
        turn = 2 * torch.rand(num_images, dtype=torch.float64, generator=generator) - 1
        aspects *= (turn * math.log(ratio)).exp()
    box_height = (area / aspects).sqrt().round().clamp(1, height)
    box_width = (area * aspects).sqrt().round().clamp(1, width)
    top = (draw[1] * (height - box_height + 1)).floor()
    left = (draw[2] * (width - box_width + 1)).floor()
    return torch.stack((top, left, box_height, box_width), dim=1).to(torch.int64)  # (N, 4)


def _taps(start: Tensor, length: Tensor, num_out: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels that each output pixel is read from, and the second one's weight.

    Args:
        start: int64 (N, 1), first pixel of the box along this axis.
        length: int64 (N, 1), its number of pixels.
        num_out: n.

    Returns:
        low, high: int64 (N, n); weight: int32 (N, n) in 1/2048.
    """
    # (i + 1/2) · s/n - 1/2 in 1/2048 of a pixel, to the nearest: one division of integers, no floating point.
    doubled = (2 * torch.arange(num_out, device=start.device) + 1) * length - num_out  # times 2n
    position = ((doubled << _WEIGHT_BITS) + num_out).div(2 * num_out, rounding_mode="floor")  # (N, n)
    low = position >> _WEIGHT_BITS
    weight = (position & (2**_WEIGHT_BITS - 1)).to(torch.int32)
    first, last = start, start + length - 1
    low += start
    return low.clamp(first, last), (low + 1).clamp(first, last), weight
