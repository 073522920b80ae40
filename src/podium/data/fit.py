"""An image file's bytes → RGB pixels of a given size: the middle of the image, or a part of it.

A JPEG is decoded at an eighth, a quarter or a half of its size where that is still as large as what is asked for: most
of the work falls away before it is done.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from podium.data.decode import FORMATS, MAX_PIXELS, decode

__all__ = ["MARGIN", "Box", "centred", "cropped", "middle"]

MARGIN = 8 / 7  # 256 for 224

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the image as it is seen (EXIF's orientation applied)."""


def middle(height: int, width: int, size: tuple[int, int]) -> Box:
    """The middle of an image: as large a part of it as has the form of `size`, less the margin."""
    scale = min(height / size[0], width / size[1]) / MARGIN
    part_height, part_width = size[0] * scale, size[1] * scale
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height


def centred(data: bytes, where: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """An image's middle, uint8 (H, W, 3). Raises ImageError as `decode`."""
    return cropped(data, where, size, lambda height, width: middle(height, width, size))


def cropped(data: bytes, where: str, size: tuple[int, int], box: Callable[[int, int], Box]) -> npt.NDArray[np.uint8]:
    """A part of an image, resized, bilinear over the part's whole area (antialiased).

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
    height, width = size
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        is_plain = image.format == "JPEG" and image.mode == "RGB" and image.width * image.height <= MAX_PIXELS
        if is_plain and image.getexif().get(0x0112, 1) == 1:
            full_width = image.width
            left, top, right, bottom = box(image.height, image.width)
            least = min((right - left) / width, (bottom - top) / height)
            if least >= 2:
                image.draft("RGB", (int(image.width / least), int(image.height / least)))
            scale = image.width / full_width
            part = (left * scale, top * scale, min(right * scale, image.width), min(bottom * scale, image.height))
            return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=part))
    except Exception:  # whatever it is, `decode` says it as it should be said
        pass
    image = Image.fromarray(decode(data, where))
    part = box(image.height, image.width)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=part))
