"""An image file's bytes → RGB pixels of a given size: the middle of the image, or a part of it.

A JPEG is decoded only as far down as the part reaches (`podium.data.jpeg`), and at an eighth, a quarter or a half of
its size where that is still as large as what is asked for: work that falls away before it is done.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from podium.data.decode import FORMATS, MAX_PIXELS, decode
from podium.data.jpeg import decode_top, read_header

__all__ = ["MARGIN", "Box", "centred", "cropped", "fitted", "middle"]

MARGIN = 8 / 7  # 256 for 224

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the image as it is seen (EXIF's orientation applied)."""

Pixels = npt.NDArray[np.uint8]


def middle(height: int, width: int, size: tuple[int, int]) -> Box:
    """The middle of an image: as large a part of it as has the form of `size`, less the margin."""
    scale = min(height / size[0], width / size[1]) / MARGIN
    part_height, part_width = size[0] * scale, size[1] * scale
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height


def fitted(data: bytes, where: str, size: tuple[int, int], *, crops: bool) -> Pixels:
    """An image as a classifier takes it: uint8 (H, W, 3). Raises ImageError as `decode`.

    Args:
        data: the file's bytes.
        where: for messages.
        size: height and width in pixels.
        crops: whether its middle is taken; else all of it is resized, whatever its proportions.
    """
    return centred(data, where, size) if crops else decode(data, where, size)


def centred(data: bytes, where: str, size: tuple[int, int]) -> Pixels:
    """An image's middle, uint8 (H, W, 3). Raises ImageError as `decode`."""
    return cropped(data, where, size, lambda height, width: middle(height, width, size))


def cropped(data: bytes, where: str, size: tuple[int, int], box: Callable[[int, int], Box]) -> Pixels:
    """A part of an image, resized, bilinear over the part's whole area (antialiased).

    What lies outside of the part, which is rounded to whole pixels as they are decoded, has no influence.

    Args:
        data: the file's bytes.
        where: for messages.
        size: height and width in pixels that it gets.
        box: from the image's height and width to the part that is taken.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ImageError: as `decode`.
    """
    part = _turbo(data, size, box)
    if part is None:
        part = _pillow(data, size, box)
    if part is None:
        pixels = decode(data, where)
        part = _cut(pixels, box(*pixels.shape[:2]), 1)
    return _resized(part, size)


def _turbo(data: bytes, size: tuple[int, int], box: Callable[[int, int], Box]) -> Pixels | None:
    header = read_header(data)
    if header is None or header.height * header.width > MAX_PIXELS:
        return None
    part = box(header.height, header.width)
    factor = _factor(part, size)
    pixels = decode_top(data, header, round(part[3]), factor)
    return None if pixels is None else _cut(pixels, part, factor)


def _pillow(data: bytes, size: tuple[int, int], box: Callable[[int, int], Box]) -> Pixels | None:
    """As `_turbo`, by Pillow: the same pixels, of all rows. None if that can't be, or is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            is_plain = image.format == "JPEG" and image.mode == "RGB" and image.width * image.height <= MAX_PIXELS
            if not is_plain or image.getexif().get(0x0112, 1) != 1:
                return None
            part, full_width = box(image.height, image.width), image.width
            factor = _factor(part, size)
            if factor > 1:
                image.draft("RGB", (image.width // factor, image.height // factor))
            return _cut(np.asarray(image), part, round(full_width / image.width))
    except Exception:  # whatever it is, `decode` says it as it should be said
        return None


def _factor(part: Box, size: tuple[int, int]) -> int:
    """How much smaller an image may be decoded: by 1, 2, 4 or 8."""
    least = min((part[3] - part[1]) / size[0], (part[2] - part[0]) / size[1])
    return next((factor for factor in (8, 4, 2) if least >= factor), 1)


def _cut(pixels: Pixels, part: Box, factor: int) -> Pixels:
    """The part of the image, of which `pixels` is `factor` times smaller: at least a pixel of it."""
    left, top = (max(0, round(edge / factor)) for edge in part[:2])
    right, bottom = max(left + 1, round(part[2] / factor)), max(top + 1, round(part[3] / factor))
    return pixels[top:bottom, left:right]


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """As Pillow resizes, to a grey level, and three times as fast."""
    if pixels.shape[:2] == size:
        return np.array(pixels)
    import torch  # noqa: PLC0415  # heavy, and not needed to look at data
    from torch.nn import functional as F  # noqa: PLC0415

    planes = torch.from_numpy(np.array(pixels))[None].permute(0, 3, 1, 2)  # (1, 3, H, W), channels_last
    resized = F.interpolate(planes, size, mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())
