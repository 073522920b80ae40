"""The files that go into shards: copied as they are, or made of pixels without loss."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from podium.data.encoded import EncodedPixels, Files
from podium.data.images import Images
from podium.limits import num_usable_cores

__all__ = ["FORMATS", "Sample", "encoded_as", "samples_of"]

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "lossless": True, "exact": True},
}
ENCODED_AT_ONCE = 256


class Sample(NamedTuple):
    """An image's file, with the suffix that says its format."""

    suffix: str
    data: bytes


def samples_of(
    images: Images, loose: Files | None, order: npt.NDArray[np.int64], image_format: str
) -> Iterator[Sample]:
    """Each image's file: as it is, if it stays encoded or lies loose; else made without loss, in that format.

    Args:
        images: of one split.
        loose: as `Dataset.loose` gives it.
        order: int64 (M,), which of them, and in which order.
        image_format: one of `FORMATS`.

    Raises:
        ArchiveError, StorageError: as `Files.read`.
    """
    files = images.pixels.files if isinstance(images.pixels, EncodedPixels) else loose
    if files is not None:
        for row in order.tolist():
            data = files.read(row)
            yield Sample(_suffix(data), data)
        return
    with ThreadPoolExecutor(num_usable_cores()) as pool:
        for start in range(0, len(order), ENCODED_AT_ONCE):
            pixels = np.asarray(images.pixels[order[start : start + ENCODED_AT_ONCE]])
            for data in pool.map(partial(encoded_as, image_format), pixels):
                yield Sample(image_format, data)


def encoded_as(image_format: str, pixels: npt.NDArray[np.uint8]) -> bytes:
    """An image's pixels, uint8 (H, W, 3), as a file that loses nothing of them."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **FORMATS[image_format])
    return buffer.getvalue()


def _suffix(data: bytes) -> str:
    """What a file of that content is called."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    starts = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tif", b"MM\0*": "tif"}
    return next((suffix for start, suffix in starts.items() if data.startswith(start)), "ppm")
