"""Files as people and strangers send them, for tests of the server."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

__all__ = ["bomb", "oriented", "picture", "picture_bytes"]


def picture(height=20, width=30, seed=0, mode="RGB"):
    """Smooth colours, so that JPEG leaves them nearly as they are."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BILINEAR).convert(mode)


def picture_bytes(form="PNG", **options):
    """An image file's bytes."""
    buffer = io.BytesIO()
    picture(**options).save(buffer, form)
    return buffer.getvalue()


def oriented(orientation, **options):
    """A JPEG whose EXIF says how it is to be turned."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(**options).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def bomb(width, height):
    """A PNG of a few bytes that declares many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10000)) + chunk(b"IEND", b"")
    )
