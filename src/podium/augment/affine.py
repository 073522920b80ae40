"""Rotation, shear and translation: one affine map an image, as Pillow's `Image.transform` computes it, to the bit.

A map says where the pixels come from: the output pixel whose centre is (x, y) reads at (a · x + b · y + c,
d · x + e · y + f), in pixels from the image's top left corner. What lies outside of the image has the fill colour.

Nearest is done in whole numbers of 1/65536 of a pixel, bilinear in float64, one rounding a kernel: both as in Pillow,
and the same on every device. Sines are Python's own, on the CPU.
"""

import math

import torch
from torch import Tensor

from podium.augment.kernels import choose, truncated

__all__ = ["affine", "random_maps", "rotation"]

_FIXED_BITS = 16


def affine(pixels: Tensor, maps: Tensor, fill: Tensor, *, bilinear: bool = False) -> Tensor:
    """Move each image by its own map: `Image.transform(size, AFFINE, map, NEAREST or BILINEAR, fillcolor=fill)`.

    Args:
        pixels: uint8 (N, C, H, W), any strides; sides up to 32,767.
        maps: float64 (N, 6): a, b, c, d, e, f of each. Nearest without rotation and shear is Pillow's for a = e = 1
            only: scaling alone is another routine there.
        fill: uint8 (C,).
        bilinear: the mean of four pixels, weighted by nearness, its fraction dropped, rather than the nearest one.

    Returns:
        uint8 (N, C, H, W), contiguous.
    """
    num_images, channels, height, width = pixels.shape
    planes = pixels.reshape(num_images, channels, height * width)
    sampled = _bilinear if bilinear else _nearest
    out, inside = sampled(planes, maps, (height, width))  # (N, C, H·W), (N, 1, H·W)
    return choose(~inside, fill[:, None], out).view(num_images, channels, height, width)


def rotation(degrees: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps that turn images about their centre, anticlockwise, as `Image.rotate` does.

    Args:
        degrees: (N,), on the CPU.
        size: (H, W).

    Returns:
        float64 (N, 6) on the CPU.
    """
    return _about_centre(_turned(degrees), size)


def random_maps(
    num_images: int, rotate: float, shear: float, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Sheared along y, then along x, then turned, all about the centre; areas stay as they are.

    Args:
        num_images: N.
        rotate: angles are uniform in [-rotate, rotate], in degrees.
        shear: and so are both angles of shear in [-shear, shear]; below 90.
        size: (H, W).
        generator: on the CPU.

    Returns:
        float64 (N, 6) on the CPU.
    """
    draw = 2 * torch.rand((3, num_images), dtype=torch.float64, generator=generator) - 1
    a, b, d, e = _turned(rotate * draw[0])
    along_x, along_y = (draw[1:] * math.radians(shear)).tan()
    # (a b; d e) · (1 x; 0 1) · (1 0; y 1)
    b, e = b + a * along_x, e + d * along_x
    a, d = a + b * along_y, d + e * along_y
    return _about_centre((a, b, d, e), size)


def _turned(degrees: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a, b, d, e of a rotation, each (N,). Pillow rounds them to 15 digits, so that right angles are exact."""
    angles = [-math.radians(angle % 360.0) for angle in degrees.tolist()]
    cosine = torch.tensor([round(math.cos(angle), 15) for angle in angles], dtype=torch.float64)
    sine = torch.tensor([round(math.sin(angle), 15) for angle in angles], dtype=torch.float64)
    return cosine, sine, -sine, cosine


def _about_centre(parts: tuple[Tensor, Tensor, Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    a, b, d, e = parts
    y, x = size[0] / 2, size[1] / 2
    return torch.stack((a, b, a * -x + b * -y + x, d, e, d * -x + e * -y + y), dim=1)  # (N, 6)


def _nearest(planes: Tensor, maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    height, width = size
    a, b, c, d, e, f = maps[:, :, None, None].unbind(1)  # (N, 1, 1) each
    first_x, first_y = c + a * 0.5 + b * 0.5, f + d * 0.5 + e * 0.5  # where the first pixel's centre reads
    # Pillow rounds to 1/65536, but where there is neither rotation nor shear it rounds nothing before it cuts off.
    half = torch.where((b == 0) & (d == 0), 0.0, 0.5)
    columns = torch.arange(width, device=planes.device)
    rows = torch.arange(height, device=planes.device)[:, None]
    x = (_fixed(first_x, half) + _fixed(b) * rows) + _fixed(a) * columns  # (N, H, W)
    y = (_fixed(first_y, half) + _fixed(e) * rows) + _fixed(d) * columns
    x >>= _FIXED_BITS
    y >>= _FIXED_BITS
    index, inside = _within(x, y, size)
    return _read(planes, index), inside


def _fixed(values: Tensor, half: Tensor | float = 0.5) -> Tensor:
    """In 1/65536, rounded: int64."""
    return (values * 2.0**_FIXED_BITS + half).floor().to(torch.int64)


def _bilinear(planes: Tensor, maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    height, width = size
    a, b, c, d, e, f = maps[:, :, None, None].unbind(1)  # (N, 1, 1) each
    columns = torch.arange(width, device=planes.device) + 0.5  # float32, exact
    rows = (torch.arange(height, device=planes.device) + 0.5)[:, None]
    x = (a * columns + b * rows).add_(c)  # (N, H, W)
    y = (d * columns + e * rows).add_(f)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = x.sub_(0.5).floor(), y.sub_(0.5).floor()
    x -= left
    y -= top  # the second pixel's weights
    left, top = left.to(torch.int64), top.to(torch.int64)
    right, bottom = (left + 1).clamp_(0, width - 1), (top + 1).clamp_(0, height - 1)
    left.clamp_(0, width - 1)
    top.clamp_(0, height - 1)
    across, down = x.flatten(1)[:, None], y.flatten(1)[:, None]  # (N, 1, H·W)
    upper = _between(_read(planes, top * width + left), _read(planes, top * width + right), across)
    lower = _between(_read(planes, bottom * width + left), _read(planes, bottom * width + right), across)
    return truncated(_between(upper, lower, down)), inside.flatten(1)[:, None]


def _between(first: Tensor, second: Tensor, part: Tensor) -> Tensor:
    """First + (second - first) · part, in float64."""
    first = first.to(torch.float64)
    return second.to(torch.float64).sub_(first).mul_(part).add_(first)


def _within(x: Tensor, y: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Places in an image, int64 (N, H, W), that are moved into it, and whether they lay within: bool (N, 1, H·W)."""
    height, width = size
    near_x, near_y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    inside = (near_x == x) & (near_y == y)
    return near_y.mul_(width).add_(near_x), inside.flatten(1)[:, None]


def _read(planes: Tensor, index: Tensor) -> Tensor:
    """The pixels of (N, C, H·W) at an image's own places (N, H, W): (N, C, H·W)."""
    return planes.gather(2, index.flatten(1)[:, None].expand_as(planes))
