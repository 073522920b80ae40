"""The packed cache: an archive's images decoded once, then memory-mapped.

    <cache>/packs/<key>/pixels.npy   uint8 (N, H, W, 3)
                        ids.json     N names, in the order of the pixels: natural order, whatever the archive's
                        hashes.npy   uint8 (N, 32), the SHA-256 of each image's pixels
                        pack.json    where they came from, a fingerprint of them, and what their source keeps with them
    <cache>/locks/<key>.lock         held by the process that builds

The key is the archive's content, so a changed archive is another pack. A pack is built beside its place and renamed to
it, so it is whole or not there. CSV files are no part of it: they are read at each opening.
"""

from __future__ import annotations

import hashlib
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

from podium.data.cache import cache_errors, cache_root
from podium.data.encoded import EncodedPixels
from podium.data.images import Batch, digest
from podium.data.origin import Origin
from podium.data.packing import HASH_BYTES, decode_into
from podium.data.progress import Progress, Ticker
from podium.errors import ArchiveError

__all__ = ["Pack", "PackStream", "load_pack", "stream_pack"]

PACK_VERSION = "1"  # part of each key: raise it when the same bytes would become other pixels


@dataclass(frozen=True)
class Pack:
    """One origin's images.

    Attributes:
        pixels: uint8 (N, H, W, 3), memory-mapped, read-only; or what looks like that (`sources.loose`).
        ids: of the N images, in natural order (2 before 10).
        fingerprint: 16 hex digits of the SHA-256 of ids and pixels, the same for whatever archive they came in.
        facts: what its source keeps with it.
        place: its folder in the cache.
    """

    pixels: npt.NDArray[np.uint8] | EncodedPixels
    ids: list[str]
    fingerprint: str
    facts: dict[str, Any]
    place: Path

    def part(self, rows: slice, ids: list[str]) -> Pack:
        """The images of some rows, under other ids, with the fingerprint that a pack of them alone would have."""
        try:
            hashes = np.load(self.place / "hashes.npy", mmap_mode="r", allow_pickle=False)[rows].tobytes()
        except (OSError, ValueError):  # caches get swept
            hashes = b"".join(hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in self.pixels[rows])
        assert isinstance(self.pixels, np.ndarray)
        pixels = self.pixels[rows]
        return Pack(pixels, ids, _fingerprint(pixels.shape, ids, hashes), self.facts, self.place)


def _fingerprint(shape: Sequence[int], ids: list[str], hashes: bytes) -> str:
    return digest(json.dumps([list(shape), ids]), hashlib.sha256(hashes).digest())


def load_pack(
    origin: Origin,
    check: Callable[[Sequence[str]], None],
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Pack:
    """The pack of `origin`, built now if it isn't in the cache.

    Args:
        origin: what to read.
        check: called with the ids before anything is decoded; raises if they are not what they should be.
        image_size: resize each image to this many pixels a side; None: all must have one size.
        progress: told how far building is.

    Raises:
        DataError: the origin or an image can't be used.
        StorageError: the cache can't be written. (No OSError in here is of reading: those are ArchiveErrors already.)
    """
    found = stream_pack(origin, check, image_size, progress)
    if isinstance(found, Pack):
        return found
    ticker, done = Ticker(progress, f"reading {origin.label}", len(found.ids)), 0
    for rows, _ in found.batches:
        done += len(rows)
        ticker(done)
    return found.pack()


@dataclass(frozen=True)
class PackStream:
    """A pack that is being built while its batches are taken.

    Attributes:
        ids: as of Pack.
        batches: every row once, in the origin's order. Closed before its end, nothing of the pack is left.
        pack: gives the pack, once `batches` has been taken to its end.
    """

    ids: list[str]
    batches: Generator[Batch]
    pack: Callable[[], Pack]


def stream_pack(
    origin: Origin,
    check: Callable[[Sequence[str]], None],
    image_size: int | None = None,
    progress: Progress | None = None,
) -> Pack | PackStream:
    """As `load_pack`, but a pack that has to be built is given as a stream.

    Of the errors, those of members and of writing come when the batches are taken. Progress is told until then only:
    who takes them knows how many.
    """
    content, state = origin.identify(progress)
    key = digest(PACK_VERSION, content, str(image_size))
    place = cache_root() / "packs" / key
    if (pack := _read(place)) is None:
        lock = cache_root() / "locks" / f"{key}.lock"
        building = _build(origin, state, place, check, image_size, progress)
        building = _locked_or_read(building, lock, origin, place, progress)
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
    building: Generator[Any], lock: Path, origin: Origin, place: Path, progress: Progress | None
) -> Generator[Any]:
    """What `building` yields, while holding the lock; or a Pack, if another process has built it meanwhile."""
    with cache_errors():
        place.parent.mkdir(parents=True, exist_ok=True)
        with _locked(lock, origin, progress):
            if (pack := _read(place)) is not None:
                yield pack
            else:
                yield from building


@contextmanager
def _locked(path: Path, origin: Origin, progress: Progress | None) -> Iterator[None]:
    """Holds the lock at `path`; the system frees it if this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if progress:
            progress(f"waiting for another process that is reading {origin.label}", 0, 0)
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
        is_sound = (
            isinstance(ids, list)
            and all(isinstance(image_id, str) for image_id in ids)
            and isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.ndim == 4
            and pixels.shape[3] == 3
            and len(pixels) == len(ids)
            and _agrees(place, str(about["fingerprint"]), pixels.shape, ids)
        )
        return Pack(pixels, ids, str(about["fingerprint"]), dict(about.get("facts", {})), place) if is_sound else None
    except Exception:  # on damaged files NumPy's reader raises nearly everything: TokenError, SyntaxError, …
        return None


def _agrees(place: Path, fingerprint: str, shape: Sequence[int], ids: list[str]) -> bool:
    """Whether the fingerprint is that of this shape, these ids and the kept hashes; True if those were swept away."""
    try:
        hashes = np.load(place / "hashes.npy", allow_pickle=False)
    except FileNotFoundError:
        return True
    return fingerprint == _fingerprint(shape, ids, hashes.tobytes())


def _build(
    origin: Origin,
    state: str,
    place: Path,
    check: Callable[[Sequence[str]], None],
    image_size: int | None,
    progress: Progress | None,
) -> Generator[Any]:
    """Decodes `origin` into `place`, or leaves nothing. The caller holds the key's lock.

    Yields the ids, then what has just been decoded. `state` is the origin's from before its key was found: the images
    must be those of the key.
    """
    for leftover in place.parent.glob(f".{place.name}.*"):  # of builders that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    if place.exists():
        shutil.rmtree(place)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        if progress:
            progress(f"listing {origin.label}", 0, 0)
        listing = origin.open(building, progress)
        check(listing.ids)
        yield listing.ids
        shape, hashes = yield from decode_into(building / "pixels.npy", listing, image_size)
        if origin.state() != state:
            raise ArchiveError(
                f"{origin.label}: was changed while it was read. Wait until it is complete, and try again."
            )
        _write(building / "ids.json", json.dumps(listing.ids).encode())
        np.save(building / "hashes.npy", np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES))
        about = {
            "source": origin.label,
            "fingerprint": _fingerprint(shape, listing.ids, hashes),
            "facts": listing.facts,
        }
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
