"""The packed cache: an archive's images decoded once, then memory-mapped.

    <cache>/packs/<key>/pixels.npy   uint8 (N, H, W, 3)
                        ids.json     N names, in the order of the pixels: natural order, whatever the archive's
                        pack.json    where they came from, and a fingerprint of them
    <cache>/locks/<key>.lock         held by the process that builds

The key is the archive's content, so a changed archive is another pack. A pack is built beside its place and renamed to
it, so it is whole or not there. CSV files are no part of it: they are read at each opening.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from podium.data.archive import Archive, damaged
from podium.data.cache import cache_errors, cache_root, content_hash, stamp
from podium.data.formats import FolderArchive, open_archive, opened_zip, zip_pieces
from podium.data.images import Batch, digest
from podium.data.packing import assign_rows, decode_into
from podium.data.progress import MEGABYTE, Progress, Ticker
from podium.errors import ArchiveError, StorageError

__all__ = ["Pack", "PackStream", "Source", "load_pack", "stream_pack"]

PACK_VERSION = "1"  # part of each key: raise it when the same bytes would become other pixels


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

    def open(self, scratch: Path, progress: Progress | None = None) -> Archive:
        """Opens it; an archive within an archive is copied to `scratch` first.

        Raises:
            ArchiveError, ImageError: as `open_archive`.
            StorageError: there is no room for the copy.
            OSError: the copy can't be written.
        """
        if not self.inside or self.inside.endswith("/"):
            return open_archive(self.path, self.label, self.inside)
        inner = scratch / f"spool-{Path(self.inside).name}"
        with opened_zip(self.path, self.path.name) as outer, inner.open("wb") as target:
            info = outer.getinfo(self.inside)
            if info.file_size > (free := shutil.disk_usage(scratch).free):
                raise StorageError(
                    f"{self.label} has to be unpacked: {info.file_size:,} bytes, and the cache {cache_root()} has room "
                    f"for {free:,}.\nMake room there, or set PODIUM_CACHE to a folder on another disk."
                )
            ticker = Ticker(progress, f"unpacking {self.label}, in MB", info.file_size, MEGABYTE)
            for piece in zip_pieces(outer, info, self.path.name):
                target.write(piece)
                ticker(target.tell())
        return open_archive(inner, self.label)

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        """16 hex digits that change when the content does, and the `state` from before they were found.

        Raises ArchiveError.
        """
        state = self.state()
        if self.path.is_dir():
            return state, state
        return digest("file", content_hash(self.path, progress), self.inside), state

    def state(self) -> str:
        """Changes whenever something is written to it; found without reading it. Raises ArchiveError."""
        if self.path.is_dir():
            stamps = FolderArchive(self.path, self.label).stamps
            return digest("folder", str(self.path.resolve()), json.dumps(stamps))
        try:
            return json.dumps(stamp(self.path))
        except OSError as error:
            raise damaged(self.label, error) from error


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
        StorageError: the cache can't be written. (No OSError in here is of reading: those are ArchiveErrors already.)
    """
    found = stream_pack(source, check, image_size, progress)
    if isinstance(found, Pack):
        return found
    ticker, done = Ticker(progress, f"reading {source.label}", len(found.ids)), 0
    for rows, _ in found.batches:
        done += len(rows)
        ticker(done)
    return found.pack()


@dataclass(frozen=True)
class PackStream:
    """A pack that is being built while its batches are taken.

    Attributes:
        ids: as of Pack.
        batches: every row once, in the archive's order. Closed before its end, nothing of the pack is left.
        pack: gives the pack, once `batches` has been taken to its end.
    """

    ids: list[str]
    batches: Generator[Batch]
    pack: Callable[[], Pack]


def stream_pack(
    source: Source,
    check: Callable[[Sequence[str]], None],
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Pack | PackStream:
    """As `load_pack`, but a pack that has to be built is given as a stream.

    Of the errors, those of members and of writing come when the batches are taken. Progress is told until then only:
    who takes them knows how many.
    """
    content, state = source.identify(progress)
    key = digest(PACK_VERSION, content, str(image_size))
    place = cache_root() / "packs" / key
    if (pack := _read(place)) is None:
        lock = cache_root() / "locks" / f"{key}.lock"
        building = _build(source, state, place, check, image_size, progress)
        building = _locked_or_read(building, lock, source, place, progress)
        begun = next(building)
        if not isinstance(begun, Pack):
            return PackStream(begun, building, partial(_just_built, place))
        building.close()
        pack = begun
    check(pack.ids)
    return pack


def _just_built(place: Path) -> Pack:
    pack = _read(place)
    assert pack is not None, place
    return pack


def _locked_or_read(
    building: Generator[Any], lock: Path, source: Source, place: Path, progress: Progress | None
) -> Generator[Any]:
    """What `building` yields, while holding the lock; or a Pack, if another process has built it meanwhile."""
    with cache_errors():
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(lock, source, progress):
            if (pack := _read(place)) is not None:
                yield pack
            else:
                yield from building


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
    state: str,
    place: Path,
    check: Callable[[Sequence[str]], None],
    image_size: int | None,
    progress: Progress | None,
) -> Generator[Any]:
    """Decodes `source` into `place`, or leaves nothing. The caller holds the key's lock.

    Yields the ids, then what has just been decoded. `state` is the source's from before its key was found: the images
    must be those of the key.
    """
    for leftover in place.parent.glob(f".{place.name}.*"):  # of builders that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    if place.exists():
        shutil.rmtree(place)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        if progress:
            progress(f"listing {source.label}", 0, 0)
        archive = source.open(building, progress)
        ids, rows = assign_rows(archive)
        check(ids)
        yield ids
        shape, hashes = yield from decode_into(building / "pixels.npy", archive, rows, image_size)
        if source.state() != state:
            raise ArchiveError(
                f"{source.label}: was changed while it was read. Wait until it is complete, and try again."
            )
        _write(building / "ids.json", json.dumps(ids).encode())
        about = {"source": source.label, "fingerprint": digest(json.dumps([shape, ids]), hashes)}
        _write(building / "pack.json", json.dumps(about, indent=1).encode())
        for spool in building.glob("spool-*"):
            spool.unlink()
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
