"""From a listing of images to one file of pixels, the rows in natural order of their ids."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import math
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.data.archive import Archive, damaged
from podium.data.decode import decode_all
from podium.data.images import Batch
from podium.errors import ArchiveError, ImageError

__all__ = ["HASH_BYTES", "Listing", "decode_into", "decoded", "list_archive", "natural_order"]

Pixels = npt.NDArray[np.uint8]

BATCH_FILES = 512
BATCH_BYTES = 1 << 22
HASH_BYTES = 32  # of SHA-256
SHOWN = 5  # names of members that were left out


@dataclass(frozen=True)
class Listing:
    """Images that are known by name and not decoded yet: what a pack is made from.

    Attributes:
        label: what messages call the whole.
        ids: of the N images, in the order of the rows.
        rows: each image's row, by its name.
        decode: given an image size as of `decode`, gives every image's name and pixels, in any order.
        where: what messages call the image of a name.
        facts: what else the pack is to keep: JSON values.
    """

    label: str
    ids: list[str]
    rows: dict[str, int]
    decode: Callable[[int | None], Generator[tuple[str, Pixels]]]
    where: Callable[[str], str]
    facts: dict[str, Any] = field(default_factory=dict)


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices that sort `names` with numbers in them by value: 1, 2, 10."""
    if all(name.isascii() and name.isdecimal() and len(name) < 19 for name in names):
        return [i for _, _, i in sorted(zip(map(int, names), names, itertools.count(), strict=False))]
    keys = [[int(part) if i % 2 else part for i, part in enumerate(_NUMBER.split(name))] for name in names]
    return sorted(range(len(names)), key=lambda i: (keys[i], names[i]))


_NUMBER = re.compile(r"(\d{1,18})", re.ASCII)


def list_archive(archive: Archive, *, whole_names: bool = False) -> Listing:
    """An archive's images in natural order of their ids.

    Args:
        archive: opened.
        whole_names: ids are the members' names; else they are those without folder and suffix.

    Raises:
        ArchiveError: it is empty, or two members have one id.
    """
    if not archive.names:
        raise ArchiveError(f"{archive.label}: holds no image.")
    ids = list(archive.names)
    if not whole_names:
        stems = [name.rpartition("/")[2] for name in ids]
        ids = [stem.rpartition(".")[0] or stem for stem in stems]
    if len(set(ids)) != len(ids):
        first: dict[str, str] = {}
        for image_id, name in zip(ids, archive.names, strict=True):
            if image_id in first:
                raise ArchiveError(
                    f"{archive.label}: members {first[image_id]!r} and {name!r} both have the id {image_id!r}. "
                    "Take one out."
                )
            first[image_id] = name
    order = natural_order(ids)
    facts = {"num_others": len(archive.others), "others": sorted(archive.others)[:SHOWN]} if archive.others else {}

    def where(name: str) -> str:
        return f"{archive.label}: member {name!r}"

    return Listing(
        archive.label,
        [ids[i] for i in order],
        {archive.names[i]: row for row, i in enumerate(order)},
        lambda image_size: decoded(archive.members(), where, image_size),
        where,
        facts,
    )


def decode_into(
    path: Path, listing: Listing, image_size: int | None
) -> Generator[Batch, None, tuple[tuple[int, ...], bytes]]:
    """Decodes every image to its row of a new .npy file.

    Rows are written rather than assigned to a memory map: mapped pages would count as this process's memory.

    Yields:
        What has just been written.

    Returns:
        The shape of the whole, and each row's SHA-256, end to end.

    Raises:
        DataError: the whole or an image can't be used.
        OSError: the file can't be written.
    """
    num_images = len(listing.rows)
    hashes = bytearray(num_images * HASH_BYTES)
    missing = set(listing.rows)
    shape: tuple[int, ...] = ()
    first_name, offset, file = "", 0, None
    batch: list[tuple[int, Pixels]] = []
    batch_bytes = 0
    images = listing.decode(image_size)
    try:
        for name, pixels in images:
            if file is None:
                first_name, shape = name, pixels.shape
                offset, file = _create(path, (num_images, *shape))
            elif pixels.shape != shape:
                raise ImageError(
                    f"{listing.where(name)} is {_size(pixels.shape)}, {first_name!r} {_size(shape)}.\n"
                    f"To make them one size, give image_size (--image-size {shape[0]})."
                )
            row = listing.rows[name]
            file.seek(offset + row * pixels.nbytes)
            if file.write(pixels.data) != pixels.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            hashes[row * HASH_BYTES : (row + 1) * HASH_BYTES] = hashlib.sha256(pixels.data).digest()
            missing.discard(name)
            batch.append((row, pixels))
            batch_bytes += pixels.nbytes
            if len(batch) == BATCH_FILES or batch_bytes >= BATCH_BYTES:
                yield _stack(batch)
                batch, batch_bytes = [], 0
        if batch:
            yield _stack(batch)
        if missing:
            raise damaged(listing.label, f"member {min(missing)!r} is missing")
        assert file is not None
        os.fsync(file.fileno())
    finally:
        images.close()
        if file is not None:
            file.close()
    return (num_images, *shape), bytes(hashes)


def decoded(
    members: Generator[tuple[str, bytes]], where: Callable[[str], str], image_size: int | None
) -> Generator[tuple[str, Pixels]]:
    """Every member's name and pixels. Decoding takes many at a time, which for small images is several times faster.

    Args:
        members: each image's name and file.
        where: what messages call it.
        image_size: as of `decode`.

    Raises:
        ImageError: as `decode`; and as `members` raises.
    """
    names: list[str] = []
    files: list[bytes] = []
    num_bytes = 0

    def some() -> Iterator[tuple[str, Pixels]]:
        return zip(names, decode_all(files, map(where, names), image_size), strict=True)

    with closing(members):
        for name, data in members:
            names.append(name)
            files.append(data)
            num_bytes += len(data)
            if len(files) == BATCH_FILES or num_bytes >= BATCH_BYTES:
                yield from some()
                names, files, num_bytes = [], [], 0
        yield from some()


def _stack(batch: list[tuple[int, Pixels]]) -> Batch:
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
