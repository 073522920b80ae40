"""Images made from a seed, to ask a network where no data are at hand: noise of several scales, half of it with shapes.

They show nothing, but have what networks of pictures are made for: large scales are stronger than small ones, as in
pictures (amplitude about 1/frequency; D. J. Field, J. Opt. Soc. Am. A 4, 1987), colours vary less than brightness, and
edges are smooth at a pixel's size. White noise instead drives whitened layers far out of their range.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["made_images"]

_MOST_SHAPES = 4
_FINE = 4  # shapes are drawn so much larger, and smoothed

Floats = npt.NDArray[np.float64]


def made_images(num_images: int, size: tuple[int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 (N, H, W, 3), RGB; those of another seed are others.

    Args:
        num_images: N.
        size: height and width in pixels.
        seed: decides all of them.
    """
    images = np.empty((num_images, *size, 3), np.uint8)
    for number in range(num_images):
        rng = np.random.default_rng((seed, number))  # so that the first ones don't depend on how many there are
        picture = _texture(rng, size)
        if number % 2:
            for _ in range(int(rng.integers(1, _MOST_SHAPES + 1))):
                part = _shape(rng, size)
                picture = picture * (1 - part) + part * _texture(rng, size)
        images[number] = picture.clip(0, 255).astype(np.uint8)
    return images


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Noise around a colour, (H, W, 3): of each scale from a pixel to the whole image, the larger the stronger."""
    brightness, colour = _noise(rng, size, 1), _noise(rng, size, 3)
    contrast = rng.uniform(5, 60)
    centre = rng.uniform(50, 200) + rng.normal(0, 20, 3)
    return np.asarray(centre + contrast * (brightness + 0.3 * colour))


def _noise(rng: np.random.Generator, size: tuple[int, int], num_channels: int) -> Floats:
    """(H, W, C), of standard deviation 1 or so."""
    height, width = size
    total = np.zeros((height, width, num_channels))
    scales = [2**power for power in range(max(1, int(np.log2(max(2, min(size))))))]
    for scale in scales:
        grid = rng.standard_normal((-(-height // scale) + 1, -(-width // scale) + 1, num_channels))
        for channel in range(num_channels):
            plane = Image.fromarray(grid[..., channel].astype(np.float32))
            smooth = plane.resize((width, height), Image.Resampling.BICUBIC)
            total[..., channel] += scale * np.asarray(smooth, np.float64)
    return np.asarray(total / np.sqrt(sum(scale**2 for scale in scales)))


def _shape(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """How far a shape covers each pixel, (H, W, 1) of [0, 1]."""
    height, width = size
    mask = Image.new("L", (width * _FINE, height * _FINE))
    draw = ImageDraw.Draw(mask)
    points = rng.uniform(0, 1, (3, 2)) * mask.size
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    kind = int(rng.integers(0, 4))
    if kind == 0:
        draw.ellipse((left, top, right, bottom), fill=255)
    elif kind == 1:
        draw.rectangle((left, top, right, bottom), fill=255)
    elif kind == 2:
        draw.polygon([(x, y) for x, y in points.tolist()], fill=255)
    else:
        draw.line((left, top, right, bottom), fill=255, width=max(1, mask.width // 16))
    return np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float64)[..., None] / 255
