"""Images that stay encoded, since as pixels they would be too many: each is decoded when it is asked for.

Where they lie is a few arrays, and not an object an image: a million of them cost some dozens of megabytes and are
quickly handed to another process. A member of a tar that isn't compressed, of a tar in a tar, of a zip, and a file by
itself are all the same: so many bytes at a place in a file.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from podium.data.archive import MAX_MEMBER_BYTES
from podium.data.bad_images import BadImages
from podium.data.fit import centred, cropped
from podium.data.random_crop import RandomCrop
from podium.errors import ArchiveError, DataError, StorageError
from podium.limits import num_usable_cores

__all__ = ["EncodedPixels", "Files", "Indices", "decoded"]

_PIECE_IMAGES = 8  # at most, that a thread decodes at a time
_AHEAD_IMAGES = 8  # for each thread
_GREY = 128

Indices: TypeAlias = npt.NDArray[np.int64]

FETCH_TRIES = 8  # processes that share a cache too small for all of them throw out each other's


@dataclass(frozen=True)
class Files:
    """Where N encoded images lie.

    Attributes:
        containers: bytes (C,), paths of the files that hold them, as the file system encodes them.
        container: int32 (N,), which of these holds each image.
        offsets: int64 (N,), where in it the image begins.
        lengths: int64 (N,), its bytes; -1: all that follow.
        names: bytes (N,), UTF-8: what messages call it within its container; "" where it is the container itself.
        deflated: bool (N,), which of them a zip has deflated: `lengths` are then those of what lies there; None: none.
        checks: uint32 (N,), the CRC-32 of each image's file; None: nobody has said them.
        origins: bytes (C,), of shards: where each is fetched from when it isn't there, as `podium.data.shard_cache` has
            it; b"": from nowhere; None: these are no shards. An array, as all of this, so that another process can
            fetch by itself.
    """

    containers: npt.NDArray[np.bytes_]
    container: npt.NDArray[np.int32]
    offsets: Indices
    lengths: Indices
    names: npt.NDArray[np.bytes_]
    deflated: npt.NDArray[np.bool_] | None = None
    checks: npt.NDArray[np.uint32] | None = None
    origins: npt.NDArray[np.bytes_] | None = None

    def __post_init__(self) -> None:
        assert len({len(self.container), len(self.offsets), len(self.lengths), len(self.names)}) == 1
        assert self.container.dtype == np.int32, self.container.dtype
        assert self.offsets.dtype == self.lengths.dtype == np.int64

    def __len__(self) -> int:
        return len(self.container)

    @classmethod
    def loose(cls, folder: Path, names: Sequence[str]) -> Files:
        """Those of that name in a folder, each a file by itself."""
        count = len(names)
        paths = np.array([os.fsencode(folder / name) for name in names], np.bytes_)
        whole, start = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        return cls(paths, np.arange(count, dtype=np.int32), start, whole, np.full(count, b""))

    def take(self, rows: Indices) -> Files:
        """Those at `rows`, int64 (M,), in that order."""
        return replace(
            self,
            container=self.container[rows],
            offsets=self.offsets[rows],
            lengths=self.lengths[rows],
            names=self.names[rows],
            deflated=None if self.deflated is None else self.deflated[rows],
            checks=None if self.checks is None else self.checks[rows],
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that there are, by name: what another process makes the same of, as Files(**arrays)."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: array for name, array in found.items() if array is not None}

    def spread(self, count: int) -> Indices:
        """Rows of about `count` images that stand for all, int64 (M,), ascending.

        Spread evenly over the set; of shards, over as few of them as have so many.
        """
        rows = np.arange(len(self))
        if self.origins is not None and len(self) > count:
            found = np.cumsum(np.bincount(self.container, minlength=len(self.containers)))
            rows = np.flatnonzero(self.container <= np.searchsorted(found, count))
        return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))] if len(rows) > count else rows

    def path(self, row: int) -> str:
        """The path of the file that holds an image."""
        return os.fsdecode(bytes(self.containers[self.container[row]]))

    def where(self, row: int) -> str:
        """What messages call an image: container and name."""
        name = bytes(self.names[row]).decode(errors="replace")
        path = self.path(row)
        return f"{Path(path).name}: {name}" if name else path

    def read(self, row: int) -> bytes:
        """An image's file; its container is fetched first, if it isn't there.

        Raises:
            ArchiveError: it can't be read, is cut short, damaged or absurdly large.
            StorageError: its container can't be fetched, or there is no room for it.
        """
        origin = b"" if self.origins is None else bytes(self.origins[self.container[row]])
        if not origin:
            return self._read(row)
        from podium.data.shard_cache import discard, ensure  # noqa: PLC0415  (it imports this)

        path = self.path(row)
        for attempt in range(FETCH_TRIES):
            try:
                ensure(path, origin)
            except ArchiveError as error:  # the image isn't a bad one, to be skipped as such
                raise StorageError(str(error)) from error
            try:
                return self._read(row)
            except ArchiveError:
                # another process may have made room just now; what is damaged in the cache is fetched once more
                if os.path.exists(path) and attempt:  # noqa: PTH110  (a Path each time costs more than the look)
                    raise
                discard(path)
        raise StorageError(
            f"{self.where(row)}: is thrown out of the cache before it is read. Raise PODIUM_CACHE_BYTES."
        )

    def _read(self, row: int) -> bytes:
        offset, length = int(self.offsets[row]), int(self.lengths[row])
        try:
            descriptor = os.open(self.path(row), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            try:
                if length < 0:
                    length = os.fstat(descriptor).st_size - offset
                if length > MAX_MEMBER_BYTES:
                    raise ArchiveError(
                        f"{self.where(row)} has {length:,} bytes; more than {MAX_MEMBER_BYTES:,} is refused."
                    )
                data = os.pread(descriptor, length, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ArchiveError(f"{self.where(row)} can't be read: {error.strerror}.") from error
        if len(data) < length:
            raise ArchiveError(f"{self.where(row)}: {self.path(row)} is cut short. Get it again.")
        if self.checks is not None and zlib.crc32(data) != self.checks[row]:
            raise ArchiveError(f"{self.where(row)} is damaged: its checksum is another. Get {self.path(row)} again.")
        return data if self.deflated is None or not self.deflated[row] else self._inflated(data, row)

    def _inflated(self, data: bytes, row: int) -> bytes:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            found = inflater.decompress(data, MAX_MEMBER_BYTES)
        except zlib.error as error:
            raise ArchiveError(f"{self.where(row)} is damaged ({error}). Get {self.path(row)} again.") from error
        if not inflater.eof:
            what = "is cut short" if len(found) < MAX_MEMBER_BYTES else f"has more than {MAX_MEMBER_BYTES:,} bytes"
            raise ArchiveError(f"{self.where(row)} {what}. Get {self.path(row)} again.")
        return found


class EncodedPixels:
    """What looks like an array, uint8 (N, H, W, 3), and decodes what is taken from it, on all cores.

    Each image is resized until its shorter side is 8/7 of what it is to be, and its middle is taken: how networks are
    measured on images of many sizes. Training takes other parts of an image than its middle: `podium.data.loader`.

    Args:
        files: where the images lie.
        size: height and width that they are handed over in.
        bad: where images that can't be decoded are noted, which are grey then; None: they are errors.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, files: Files, size: tuple[int, int], bad: BadImages | None = None) -> None:
        self.files = files
        self.size = size
        self.bad = bad

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3)."""
        return len(self.files), *self.size, 3

    @property
    def nbytes(self) -> int:
        """What all of them would take as pixels."""
        return len(self.files) * self.size[0] * self.size[1] * 3

    def take(self, rows: Indices) -> EncodedPixels:
        """Those at `rows`, int64 (M,), in that order; nothing is decoded."""
        return EncodedPixels(self.files.take(rows), self.size, self.bad)

    def __getitem__(self, key: int | slice | Indices | Sequence[int]) -> npt.NDArray[np.uint8]:
        """The images at `key`: uint8 (H, W, 3) for a number, (M, H, W, 3) else.

        Raises:
            ArchiveError: a file can't be read.
            ImageError: it is no image.
        """
        if isinstance(key, int | np.integer):
            return self._decoded(int(key), None, 0)
        rows = np.arange(len(self))[key]
        return next((pixels for _, pixels in self.batches(len(rows), rows)), np.empty((0, *self.size, 3), np.uint8))

    def batches(
        self, size: int, rows: Indices, crop: RandomCrop | None = None, epoch: int = 0
    ) -> Generator[tuple[Indices, npt.NDArray[np.uint8]]]:
        """The images at `rows` in batches of `size`; the next are decoded while one is used.

        Args:
            size: images a batch.
            rows: int64 (M,).
            crop: draws the part of each that is taken; None: its middle.
            epoch: that the part is drawn for.

        Raises:
            ArchiveError, ImageError: as `__getitem__`.
        """

        def decode(pixels: npt.NDArray[np.uint8], some: Indices) -> None:
            for place, row in enumerate(some):
                pixels[place] = self._decoded(int(row), crop, epoch)

        waiting: deque[tuple[Indices, npt.NDArray[np.uint8], list[Future[None]]]] = deque()
        starts, num_threads = iter(range(0, len(rows), max(1, size))), num_usable_cores()
        length = max(1, min(_PIECE_IMAGES, size // num_threads))
        num_ahead = 2 + _AHEAD_IMAGES * num_threads // max(1, size)  # batches
        pool = ThreadPoolExecutor(num_threads, "podium-decode")
        try:
            while True:
                while len(waiting) < num_ahead and (start := next(starts, None)) is not None:
                    some = rows[start : start + size]
                    pixels = np.empty((len(some), *self.size, 3), np.uint8)
                    pieces = [slice(first, first + length) for first in range(0, len(some), length)]
                    work = [pool.submit(decode, pixels[piece], some[piece]) for piece in pieces]
                    waiting.append((some, pixels, work))
                if not waiting:
                    return
                some, pixels, work = waiting.popleft()
                for piece in work:
                    piece.result()
                yield some, pixels
        finally:
            pool.shutdown(cancel_futures=True)

    def _decoded(self, row: int, crop: RandomCrop | None, epoch: int) -> npt.NDArray[np.uint8]:
        try:
            return decoded(self.files, row, self.size, crop, epoch)
        except DataError as error:
            if self.bad is None:
                raise
            self.bad.add(self.files.where(row), str(error))
            return np.full((*self.size, 3), _GREY, np.uint8)


def decoded(
    files: Files, row: int, size: tuple[int, int], crop: RandomCrop | None, epoch: int
) -> npt.NDArray[np.uint8]:
    """An image as it is shown in that epoch, uint8 (H, W, 3): a random part of it, or its middle.

    Raises:
        ArchiveError: its file can't be read.
        ImageError: it is no image.
    """
    data, where = files.read(row), files.where(row)
    if crop is None:
        return centred(data, where, size)
    return cropped(data, where, size, lambda height, width: crop.box(height, width, size, epoch, row))
