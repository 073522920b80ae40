"""As much of a JPEG as is needed, by libjpeg-turbo itself where simplejpeg is installed (the extra `stream`).

Its rows come one after the other, so a file that claims to end below the part that is wanted is decoded just so far.
Only what is plain is done here: three colours of eight bits, upright, with an end. All else is Pillow's.
"""

from __future__ import annotations

import math
import struct
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

__all__ = ["HAS_TURBO", "MAX_SCANS", "Header", "decode_top", "has_too_many_scans", "read_header"]

HAS_TURBO = simplejpeg is not None

MAX_SCANS = 500  # a progressive one has ten

_ORIENTATION = 0x0112
_BASELINE = (0xC0, 0xC1)
_PROGRESSIVE = 0xC2
_START_OF_SCAN = 0xDA
_EXIF = 0xE1
_MARGIN_ROWS = 16  # colours are kept at half the height: the last rows' depend on those below
_KEPT_BYTES = 1 << 24

_kept = threading.local()


@dataclass(frozen=True)
class Header:
    """What a plain JPEG's header says.

    Attributes:
        height, width: in pixels.
        height_at: where in the file the height stands, two bytes.
        is_sequential: whether the rows come one after the other.
    """

    height: int
    width: int
    height_at: int
    is_sequential: bool


def read_header(data: bytes) -> Header | None:
    """The header of a JPEG's bytes; None if it isn't plain, or no JPEG, or doesn't end as one does."""
    if data[:3] != b"\xff\xd8\xff" or data[-2:] != b"\xff\xd9" or has_too_many_scans(data):
        return None
    found, place = None, 2
    while place + 4 <= len(data):
        start, marker, length = struct.unpack_from(">BBH", data, place)
        if start != 0xFF or length < 2 or place + 2 + length > len(data):
            return None
        if marker == _START_OF_SCAN:
            return found
        if marker == _EXIF and not _is_upright(data[place + 4 : place + 2 + length]):
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker not in (*_BASELINE, _PROGRESSIVE) or length < 8 or found is not None:
                return None
            bits, height, width, colours = struct.unpack_from(">BHHB", data, place + 4)
            if bits != 8 or colours != 3 or not height or not width:
                return None
            found = Header(height, width, place + 5, marker in _BASELINE)
        place += 2 + length
    return None


def has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG's bytes go over its pixels absurdly often: each time costs as much, and may take ten bytes."""
    return data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > MAX_SCANS  # which stands nowhere else in a scan


def decode_top(data: bytes, header: Header, bottom: int, factor: int) -> npt.NDArray[np.uint8] | None:
    """The upper part of a JPEG, at a reduced scale.

    Args:
        data: the file's bytes, of which `header` was read.
        header: as `read_header` gives it.
        bottom: how many rows of the image are needed.
        factor: 1, 2, 4 or 8: what height and width are divided by, in the transform itself.

    Returns:
        uint8 (H', W', 3), with at least `bottom` / `factor` rows, to be used before this thread calls again; None if it
        can't be done here.
    """
    if simplejpeg is None:
        return None
    height = min(header.height, bottom + _MARGIN_ROWS * factor)
    if height < header.height and header.is_sequential:
        shorter = bytearray(data)
        struct.pack_into(">H", shorter, header.height_at, height)
        data = bytes(shorter)
    else:
        height = header.height
    wanted = math.ceil(height / factor), math.ceil(header.width / factor)
    try:  # not strict, as Pillow isn't: what follows the last row is extraneous to libjpeg
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data,
            "RGB",
            min_height=wanted[0],
            min_width=wanted[1],
            buffer=_buffer(height * header.width * 3),
            strict=False,
        )
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == wanted else None


def _buffer(num_bytes: int) -> bytearray:
    """Memory of this thread that is used again: fresh one would be zeroed by the system first."""
    if num_bytes > _KEPT_BYTES:
        return bytearray(num_bytes)
    if not hasattr(_kept, "buffer") or len(_kept.buffer) < num_bytes:
        _kept.buffer = bytearray(num_bytes)
    buffer: bytearray = _kept.buffer
    return buffer


def _is_upright(segment: bytes) -> bool:
    """Whether an APP1 segment doesn't turn the image."""
    if not segment.startswith(b"Exif\0\0"):
        return True
    try:
        exif = Image.Exif()
        exif.load(segment)
        return bool(exif.get(_ORIENTATION, 1) == 1)
    except Exception:  # Pillow's readers raise nearly everything on damaged data
        return False
