"""From an archive's members to one file of pixels, the rows in natural order of their ids."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import math
import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.archive import Archive, damaged
from podium.data.decode import decode_all
from podium.data.images import Batch
from podium.errors import ArchiveError, ImageError

__all__ = ["assign_rows", "decode_into", "natural_order"]

BATCH_FILES = 512
BATCH_BYTES = 1 << 22


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices that sort `names` with numbers in them by value: 1, 2, 10."""
    if all(name.isascii() and name.isdecimal() and len(name) < 19 for name in names):
        return [i for _, _, i in sorted(zip(map(int, names), names, itertools.count(), strict=False))]
    keys = [[int(part) if i % 2 else part for i, part in enumerate(_NUMBER.split(name))] for name in names]
    return sorted(range(len(names)), key=lambda i: (keys[i], names[i]))


_NUMBER = re.compile(r"(\d{1,18})", re.ASCII)


def assign_rows(archive: Archive) -> tuple[list[str], dict[str, int]]:
    """Ids in natural order, and the row of each member. Raises ArchiveError if two members have one id."""
    if not archive.names:
        raise ArchiveError(f"{archive.label}: holds no image.")
    stems = [name.rpartition("/")[2] for name in archive.names]
    stems = [stem.rpartition(".")[0] or stem for stem in stems]
    if len(set(stems)) != len(stems):
        first: dict[str, str] = {}
        for stem, name in zip(stems, archive.names, strict=True):
            if stem in first:
                raise ArchiveError(
                    f"{archive.label}: members {first[stem]!r} and {name!r} both have the id {stem!r}. Take one out."
                )
            first[stem] = name
    order = natural_order(stems)
    return [stems[i] for i in order], {archive.names[i]: row for row, i in enumerate(order)}


def decode_into(
    path: Path,
    archive: Archive,
    rows: dict[str, int],
    image_size: int | None,
) -> Generator[Batch, None, tuple[tuple[int, ...], bytes]]:
    """Decodes every member to its row of a new .npy file.

    Rows are written rather than assigned to a memory map: mapped pages would count as this process's memory.

    Yields:
        What has just been written.

    Returns:
        The shape of the whole, and a hash of all rows in order.

    Raises:
        ArchiveError, ImageError: the archive or a member can't be used.
        OSError: the file can't be written.
    """
    num_images = len(rows)
    hashes = bytearray(num_images * 32)
    missing = set(rows)
    shape: tuple[int, ...] = ()
    first_name, offset, file = "", 0, None
    batch: list[tuple[int, npt.NDArray[np.uint8]]] = []
    batch_bytes = 0
    members = _decoded(archive, image_size)
    try:
        for name, pixels in members:
            if file is None:
                first_name, shape = name, pixels.shape
                offset, file = _create(path, (num_images, *shape))
            elif pixels.shape != shape:
                raise ImageError(
                    f"{archive.label}: member {name!r} is {_size(pixels.shape)}, {first_name!r} {_size(shape)}.\n"
                    f"To make them one size, give image_size (--image-size {shape[0]})."
                )
            row = rows[name]
            file.seek(offset + row * pixels.nbytes)
            if file.write(pixels.data) != pixels.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            hashes[row * 32 : row * 32 + 32] = hashlib.sha256(pixels.data).digest()
            missing.discard(name)
            batch.append((row, pixels))
            batch_bytes += pixels.nbytes
            if len(batch) == BATCH_FILES or batch_bytes >= BATCH_BYTES:
                yield _stack(batch)
                batch, batch_bytes = [], 0
        if batch:
            yield _stack(batch)
        if missing:
            raise damaged(archive.label, f"member {min(missing)!r} is missing")
        assert file is not None
        os.fsync(file.fileno())
    finally:
        members.close()
        if file is not None:
            file.close()
    return (num_images, *shape), hashlib.sha256(hashes).digest()


def _decoded(archive: Archive, image_size: int | None) -> Generator[tuple[str, npt.NDArray[np.uint8]]]:
    """Every member's name and pixels. Decoding takes many at a time, which for small images is several times faster."""
    names: list[str] = []
    files: list[bytes] = []
    num_bytes = 0

    def decoded() -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
        wheres = (f"{archive.label}: member {name!r}" for name in names)
        return zip(names, decode_all(files, wheres, image_size), strict=True)

    with closing(archive.members()) as members:
        for name, data in members:
            names.append(name)
            files.append(data)
            num_bytes += len(data)
            if len(files) == BATCH_FILES or num_bytes >= BATCH_BYTES:
                yield from decoded()
                names, files, num_bytes = [], [], 0
        yield from decoded()


def _stack(batch: list[tuple[int, npt.NDArray[np.uint8]]]) -> Batch:
    return np.array([row for row, _ in batch]), np.stack([pixels for _, pixels in batch])


def _create(path: Path, shape: tuple[int, ...]) -> tuple[int, io.FileIO]:
    """A new .npy file of that shape, its room on the disk taken; returns where its pixels begin, and the open file."""
    file = io.FileIO(path, "w+")
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    offset = file.tell()
    num_bytes = math.prod(shape)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), offset, num_bytes)  # a full disk is noticed now, not after minutes
    else:
        file.truncate(offset + num_bytes)
    return offset, file


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"
