"""Small PNG files, many at a time: for those, Pillow spends most of its time between the pixels.

Plain files only (8-bit RGB, not interlaced, nothing but IHDR, IDAT and IEND, no fault of any kind), up to 64×64 pixels:
what `decode_plain` leaves out is Pillow's, with its pixels and its errors. What it takes has just the pixels that
Pillow gives; a test holds that.

Source: PNG specification, third edition (W3C, 2025), sections 9.2 and 9.4; the predictor as stb_image 2.28 has it:
the median of a, b and 3c - (a + b), unless c is nearer.

Shapes: B files of H×W pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["decode_plain"]

Bytes = npt.NDArray[np.uint8]

MAX_SIDE = 64
"""Above that, Pillow's own loop over the pixels counts, and it is faster than this one."""
BATCH_PIXELS = 400 * 32 * 32  # so much stays in the second-level cache

_HEAD_BYTES = 33  # signature and IHDR
_SIGNATURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PLAIN = b"\x08\x02\0\0\0"  # 8 bits, RGB, the one compression, the one set of filters, not interlaced
_END = b"\0\0\0\0IEND\xaeB`\x82"
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def decode_plain(files: Sequence[bytes]) -> list[Bytes | None]:
    """Decodes those of `files` that are plain, small PNGs.

    Returns:
        For each file uint8 (H, W, 3), RGB; None if it isn't such a file, or has any fault.
    """
    found: list[Bytes | None] = [None] * len(files)
    by_size: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
    head, size = b"", None
    for i, data in enumerate(files):
        if data[:_HEAD_BYTES] != head:  # a data set's files have one size, and so one head
            head = data[:_HEAD_BYTES]
            size = _size(head)
        if size is not None and (filtered := _inflate(data, size[0] * (1 + 3 * size[1]))) is not None:
            by_size.setdefault(size, []).append((i, filtered))
    for (height, width), members in by_size.items():
        step = max(1, BATCH_PIXELS // (height * width))
        for start in range(0, len(members), step):
            some = members[start : start + step]
            lines = np.frombuffer(b"".join(filtered for _, filtered in some), np.uint8)
            lines = lines.reshape(len(some), height, 1 + 3 * width)
            known = lines[:, :, 0].max(1) <= _PAETH
            for (i, _), pixels, is_known in zip(some, _unfilter(lines), known, strict=True):
                if is_known:
                    found[i] = pixels
    return found


def _size(head: bytes) -> tuple[int, int] | None:
    """Height and width that a plain file's first bytes declare; None if it isn't one, or too large."""
    if len(head) < _HEAD_BYTES or not head.startswith(_SIGNATURE) or head[24:29] != _PLAIN:
        return None
    width, height = struct.unpack_from(">II", head, 16)
    (crc,) = struct.unpack_from(">I", head, 29)
    fits = 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE
    return (height, width) if fits and crc == zlib.crc32(head[12:29]) else None


def _inflate(data: bytes, num_bytes: int) -> bytes | None:
    """The file's filtered lines, `num_bytes` in all; None if there are others than IDAT chunks, or it is damaged."""
    if not data.endswith(_END):
        return None
    parts, start, end = [], _HEAD_BYTES, len(data) - len(_END)
    while start < end:
        length = int.from_bytes(data[start : start + 4], "big")
        stop = start + 12 + length
        if data[start + 4 : start + 8] != b"IDAT" or stop > end:
            return None
        if zlib.crc32(data[start + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop], "big"):
            return None
        parts.append(data[start + 8 : stop - 4])
        start = stop
    stream = zlib.decompressobj()
    try:
        # one byte more than there should be: no more is ever inflated, and the checksum after the last is read
        filtered = stream.decompress(parts[0] if len(parts) == 1 else b"".join(parts), num_bytes + 1)
    except zlib.error:
        return None
    return filtered if stream.eof and len(filtered) == num_bytes and not stream.unused_data else None


def _unfilter(lines: Bytes) -> Bytes:
    """Undoes the filters of B images at once: uint8 (B, H, 1 + 3W), each line's filter first → (B, H, W, 3).

    A pixel needs those to its left, above, and above left: all of one antidiagonal can be had at once. One formula
    serves all filters but "average": Paeth's predictor of (a, 0, 0) is a, that of (0, b, 0) is b, of (0, 0, 0) it is 0.
    """
    count, height, width = len(lines), lines.shape[1], (lines.shape[2] - 1) // 3
    # A zero pixel before each line and a line of them on top, then pixels beside each other with the images innermost.
    plane = np.zeros((height + 1, 3 * (width + 1), count), np.uint8)
    plane[1:, 3:] = lines[:, :, 1:].transpose(1, 2, 0)
    stride = 3 * count
    # wave[d, r] is the pixel (3, B) in line r and column d - r of the plane.
    wave = np.lib.stride_tricks.as_strided(
        plane, (height + width + 1, height + 1, stride), (stride, plane.strides[0] - stride, 1)
    )
    kinds = np.ascontiguousarray(lines[:, :, 0].T)[:, None]  # (H, 1, B)
    uses_left, uses_up, uses_corner, averages = (
        np.repeat(np.where(np.isin(kinds, which), np.uint8(255), np.uint8(0)), 3, axis=1).reshape(height, stride)
        for which in ((_SUB, _PAETH), (_UP, _PAETH), (_PAETH,), (_AVERAGE,))
    )
    any_average = bool(averages.any())
    scratch = np.empty((6, min(height, width), stride), np.uint8)
    for d in range(2, height + width + 1):
        first, last = max(1, d - width), min(height, d - 1) + 1
        rows, own = slice(first, last), slice(first - 1, last - 1)
        left, above, corner = wave[d - 1, rows], wave[d - 1, own], wave[d - 2, own]
        a, b, c, low, high, half = scratch[:, : last - first]
        np.bitwise_and(left, uses_left[own], out=a)
        np.bitwise_and(above, uses_up[own], out=b)
        np.bitwise_and(corner, uses_corner[own], out=c)
        np.minimum(a, b, out=low)
        np.maximum(a, b, out=high)
        np.minimum(np.maximum(c, low, out=c), high, out=c)
        over, under = np.subtract(high, c, out=a), np.subtract(c, low, out=b)
        # c, unless it is twice as far from one of them as from the other: then that other's opposite, at the far end
        to_high = np.less_equal(under, np.right_shift(over, 1, out=half), out=low.view(np.bool_))
        to_low = np.less_equal(over, np.right_shift(under, 1, out=half), out=high.view(np.bool_))
        np.greater(to_low, to_high, out=to_low)  # both only where all three are equal
        np.add(c, np.multiply(over, to_high.view(np.uint8), out=over), out=c)
        np.subtract(c, np.multiply(under, to_low.view(np.uint8), out=under), out=c)
        if any_average:
            np.right_shift(np.bitwise_xor(left, above, out=a), 1, out=a)
            np.add(a, np.bitwise_and(left, above, out=b), out=a)  # (left + above) / 2 without a ninth bit
            np.add(c, np.bitwise_and(a, averages[own], out=a), out=c)
        np.add(wave[d, rows], c, out=wave[d, rows])
    return np.ascontiguousarray(plane[1:, 3:].transpose(2, 0, 1)).reshape(count, height, width, 3)
