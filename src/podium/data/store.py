"""The packed cache: an archive's images decoded once, then memory-mapped.

    <cache>/packs/<key>/pixels.npy   uint8 (N, H, W, 3)
                        ids.json     N names, in the order of the pixels: natural order, whatever the archive's
                        pack.json    where they came from, and a fingerprint of them
    <cache>/locks/<key>.lock         held by the process that builds

The key is the archive's content, so a changed archive is another pack. A pack is built beside its place and renamed to
it, so it is whole or not there. CSV files are no part of it: they are read at each opening.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import filelock
import numpy as np
import numpy.typing as npt

from podium.data.archive import Archive, damaged
from podium.data.cache import cache_errors, cache_root, content_hash, stamp
from podium.data.decode import decode
from podium.data.formats import COPY_BYTES, FolderArchive, open_archive, opened_zip
from podium.data.images import digest
from podium.errors import ArchiveError, ImageError

__all__ = ["Pack", "Progress", "Source", "load_pack", "natural_order"]

PACK_VERSION = "1"  # part of each key: raise it when the same bytes would become other pixels
TICK_SECONDS = 0.1


class Progress(Protocol):
    """Called now and then while something takes long: what is being done, how much of it is done, and of how much.

    `total` is 0 when that isn't known.
    """

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Takes the state of affairs."""


@dataclass(frozen=True)
class Source:
    """Where a set of images lies.

    Attributes:
        path: an archive or folder on disk.
        inside: of an outer zip file, the member that is the archive, or the folder in it (ends with "/").
    """

    path: Path
    inside: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.path.name}/{self.inside}".rstrip("/") if self.inside else self.path.name

    def open(self, scratch: Path) -> Archive:
        """Opens it; an archive within an archive is copied to `scratch` first. Raises as `open_archive`."""
        if not self.inside or self.inside.endswith("/"):
            return open_archive(self.path, self.label, self.inside)
        inner = scratch / f"spool-{Path(self.inside).name}"
        with opened_zip(self.path, self.path.name) as outer, inner.open("wb") as target:
            try:
                with outer.open(self.inside) as member:
                    while piece := member.read(COPY_BYTES):
                        with cache_errors():
                            target.write(piece)
            except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
                raise damaged(self.label, error) from error
        return open_archive(inner, self.label)

    def key(self) -> str:
        """16 hex digits that change when the content does. Raises ArchiveError."""
        if self.path.is_dir():
            stamps = FolderArchive(self.path, self.label).stamps
            return digest("folder", str(self.path.resolve()), json.dumps(stamps))
        return digest("file", content_hash(self.path), self.inside)


@dataclass(frozen=True)
class Pack:
    """One archive's images.

    Attributes:
        pixels: uint8 (N, H, W, 3), memory-mapped, read-only.
        ids: the N members' names without folder and suffix, in natural order (2 before 10).
        fingerprint: 16 hex digits of the SHA-256 of ids and pixels, the same for whatever archive they came in.
    """

    pixels: npt.NDArray[np.uint8]
    ids: list[str]
    fingerprint: str


def load_pack(
    source: Source,
    check: Callable[[Sequence[str]], None],
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Pack:
    """The pack of `source`, built now if it isn't in the cache.

    Args:
        source: what to read.
        check: called with the ids before anything is decoded; raises if they are not what they should be.
        image_size: resize each image to this many pixels a side; None: all must have one size.
        progress: told how far building is.

    Raises:
        ArchiveError, ImageError: the archive or a member can't be used.
        StorageError: the cache can't be written.
    """
    key = digest(PACK_VERSION, source.key(), str(image_size))
    place = cache_root() / "packs" / key
    if (pack := _read(place)) is None:
        with cache_errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            with _locked(cache_root() / "locks" / f"{key}.lock", source, progress):
                if (pack := _read(place)) is None:  # else the process that we waited for has built it
                    _build(source, place, check, image_size, progress)
                    pack = _read(place)
                    assert pack is not None, place
                    return pack
    check(pack.ids)
    return pack


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices that sort `names` with numbers in them by value: 1, 2, 10."""
    if all(name.isascii() and name.isdecimal() and len(name) < 19 for name in names):
        values = [int(name) for name in names]
        return sorted(range(len(names)), key=lambda i: (values[i], names[i]))
    keys = [[int(part) if i % 2 else part for i, part in enumerate(_NUMBER.split(name))] for name in names]
    return sorted(range(len(names)), key=lambda i: (keys[i], names[i]))


_NUMBER = re.compile(r"(\d{1,18})", re.ASCII)


@contextmanager
def _locked(path: Path, source: Source, progress: Progress | None) -> Iterator[None]:
    """Holds the lock at `path`; the system frees it if this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if progress:
            progress(f"waiting for another process that is reading {source.label}", 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _read(place: Path) -> Pack | None:
    """The pack at `place`; None if there is none, or if it is damaged."""
    try:
        about = json.loads((place / "pack.json").read_text())
        ids = json.loads((place / "ids.json").read_text())
        pixels = np.load(place / "pixels.npy", mmap_mode="r", allow_pickle=False)
        if pixels.shape[0] != len(ids):
            return None
        return Pack(pixels, ids, str(about["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(
    source: Source,
    place: Path,
    check: Callable[[Sequence[str]], None],
    image_size: int | None,
    progress: Progress | None,
) -> None:
    """Decodes `source` into `place`, or leaves nothing. The caller holds the key's lock."""
    for leftover in place.parent.glob(f".{place.name}.*"):  # of builders that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    if place.exists():
        shutil.rmtree(place)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        before = stamp(source.path)
        if progress:
            progress(f"listing {source.label}", 0, 0)
        archive = source.open(building)
        ids, rows = _rows(archive)
        check(ids)
        shape, hashes = _decode_into(building / "pixels.npy", archive, rows, image_size, progress)
        if stamp(source.path) != before:
            raise ArchiveError(
                f"{source.label}: was changed while it was read. Wait until it is complete, and try again."
            )
        _write(building / "ids.json", json.dumps(ids).encode())
        about = {
            "source": source.label,
            "fingerprint": digest(json.dumps([shape, ids]), hashes),
        }
        _write(building / "pack.json", json.dumps(about, indent=1).encode())
        for spool in building.glob("spool-*"):
            spool.unlink()
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _rows(archive: Archive) -> tuple[list[str], dict[str, int]]:
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


def _decode_into(
    path: Path,
    archive: Archive,
    rows: dict[str, int],
    image_size: int | None,
    progress: Progress | None,
) -> tuple[tuple[int, ...], bytes]:
    """Decodes every member to its row of a new .npy file; returns its shape and a hash of all rows in order.

    Rows are written rather than assigned to a memory map: mapped pages would count as this process's memory.
    """
    num_images = len(rows)
    hashes = bytearray(num_images * 32)
    missing = set(rows)
    shape: tuple[int, ...] = ()
    first_name, offset, file = "", 0, None
    what, next_tick = f"reading {archive.label}", 0.0
    try:
        for name, data in archive.members():
            pixels = decode(data, f"{archive.label}: member {name!r}", image_size)
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
            if progress and (now := time.monotonic()) >= next_tick:
                progress(what, num_images - len(missing), num_images)
                next_tick = now + TICK_SECONDS
        if missing:
            raise damaged(archive.label, f"member {min(missing)!r} is missing")
        assert file is not None
        if progress:
            progress(what, num_images, num_images)
        os.fsync(file.fileno())
    finally:
        if file is not None:
            file.close()
    return (num_images, *shape), hashlib.sha256(hashes).digest()


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


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"
