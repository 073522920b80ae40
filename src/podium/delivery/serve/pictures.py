"""An image file → the pixels that a classifier takes, or a refusal."""

from __future__ import annotations

import ctypes
import io
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from podium.data.decode import FORMATS
from podium.data.fit import fitted, middle
from podium.delivery.serve.body import Upload
from podium.delivery.serve.limits import Limits, Refusal
from podium.errors import ImageError
from podium.models import Preprocessing

__all__ = ["Picture", "read_picture"]

Share = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the image's width and height."""

_WHOLE: Share = (0.0, 0.0, 1.0, 1.0)
_LARGE = 4_000_000  # pixels
_ORIENTATION = 0x0112  # in EXIF; from 5 on, rows are seen as columns


@dataclass(frozen=True)
class Picture:
    """An image as the network sees it.

    Attributes:
        name: as the client calls it.
        pixels: uint8 (H, W, 3), of the size that the classifier takes.
        part: which part of the image they are.
    """

    name: str | None
    pixels: npt.NDArray[np.uint8]
    part: Share


def read_picture(upload: Upload, where: str, preprocessing: Preprocessing, limits: Limits) -> Picture:
    """Decodes an image as `podium predict` does.

    Its size is looked at first, so that no memory is taken for too large a one.

    Args:
        upload: the file.
        where: for messages.
        preprocessing: the classifier's.
        limits: of pixels.

    Raises:
        Refusal: no image (415), too many pixels (413), damaged or with samples that can't be read (422).
    """
    width, height = _size(upload.data, where, limits)
    try:
        pixels = fitted(upload.data, where, preprocessing.image_size, crops=preprocessing.crops)
    except ImageError as error:
        raise Refusal(422, str(error)) from error
    finally:
        if width * height > _LARGE:
            _give_memory_back()
    part = _WHOLE
    if preprocessing.crops:
        left, top, right, bottom = middle(height, width, preprocessing.image_size)
        part = (left / width, top / height, right / width, bottom / height)
    return Picture(upload.name, pixels, part)


def _size(data: bytes, where: str, limits: Limits) -> tuple[int, int]:
    """Width and height as the image is seen. Raises Refusal."""
    if not data:
        raise Refusal(422, f"{where}: is empty, so no image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, which get an answer of their own
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refusal(413, f"{where}: has far too many pixels; more than {limits.max_pixels:,} are refused.") from None
    except UnidentifiedImageError:
        raise Refusal(415, f"{where}: is no image that can be read ({', '.join(FORMATS)} can).") from None
    except Exception as error:  # Pillow's readers raise nearly everything on damaged data
        raise Refusal(422, f"{where}: is a damaged image ({error}).") from error
    width, height = image.size
    if width * height > limits.max_pixels:
        raise Refusal(413, f"{where}: {width}x{height} pixels; more than {limits.max_pixels:,} are refused.")
    is_turned = image.format in ("JPEG", "TIFF") and image.getexif().get(_ORIENTATION, 1) >= 5
    return (height, width) if is_turned else (width, height)


def _give_memory_back() -> None:
    """Has glibc return what is free: Pillow's blocks of 16 MB are too small for it to do so by itself."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
