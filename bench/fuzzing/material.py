"""Small valid files, made on the spot: what the seeds are put together from."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["bomb_png", "picture", "read_all", "tar_of", "write"]


def picture(
    number: int = 0, form: str = "PNG", size: tuple[int, int] = (6, 5), mode: str = "RGB", **options: Any
) -> bytes:
    """An image file; the same number gives the same bytes."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode.startswith("I;16"):
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) << 8)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0].astype(np.float32))
    elif mode != "RGB":
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def bomb_png(width: int, height: int) -> bytes:
    """A few bytes that declare many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def tar_of(files: dict[str, bytes], **options: Any) -> bytes:
    """A tar file."""
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files, with the folders that they lie in."""
    for name, data in files.items():
        path = folder / name
        os.makedirs(path.parent, exist_ok=True)  # noqa: PTH103
        path.write_bytes(data)
    return folder


def read_all(path: Path, **options: Any) -> Any:
    """Opens a data set and takes all that is in it."""
    import podium

    data = podium.open(path, **options)
    for images in (data.train, data.test, data.evaluation):
        if images is not None:
            for _ in images.batches(64):
                pass
    _ = data.sample_submission, data.classes, data.fingerprint
    return data
