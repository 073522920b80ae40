"""The cache folder: where it lies, and what tells one archive's content from another's."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from podium.data.images import digest
from podium.data.progress import MEGABYTE, Progress, Ticker
from podium.errors import ArchiveError, StorageError
from podium.files import write_atomically

__all__ = ["cache_errors", "cache_root", "content_hash", "stamp"]

SETTLED_NS = 2_000_000_000
PIECE_BYTES = 1 << 20


def cache_root() -> Path:
    """The cache folder: $PODIUM_CACHE, or `podium` in the platform's folder for caches.

    Raises:
        StorageError: it lies in a home folder, and there is none.
    """
    try:
        return _cache_root()
    except RuntimeError as error:  # of Path.home and expanduser
        raise StorageError(
            "The cache has no place, since the home folder isn't known. Set PODIUM_CACHE to a folder that you may "
            "write to."
        ) from error


def _cache_root() -> Path:
    if chosen := os.environ.get("PODIUM_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "podium"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "podium" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "podium"


@contextmanager
def cache_errors() -> Iterator[None]:
    """Turns the OSErrors of writing the cache into StorageErrors that say what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The cache {cache_root()} can't be written: {error.strerror or error}.\n"
            "Make room there, or set PODIUM_CACHE to a folder on another disk."
        ) from error


def stamp(path: Path) -> list[int]:
    """Size, times of change and inode of a file: they change when its content does. Raises OSError."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def content_hash(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 (hex) of a file's content; remembered in the cache for as long as the file's stamp stays the same.

    Raises:
        ArchiveError: the file can't be read.
    """
    path = path.resolve()
    memo = cache_root() / "hashes" / f"{digest(str(path))}.json"
    try:
        before = stamp(path)
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(memo.read_text())
            if known["stamp"] == before:
                return str(known["sha256"])
        sha256 = _sha256(path, Ticker(progress, f"hashing {path.name}, in MB", before[0], MEGABYTE))
    except OSError as error:
        raise ArchiveError(f"{path}: can't be read ({error.strerror}).") from error
    # A file that changed a moment ago may change again within one tick of the file system's clock, at the same size.
    if time.time_ns() - max(before[1:3]) > SETTLED_NS:
        with suppress(OSError, StorageError):  # a cache that others filled, and that is read-only here, still serves
            memo.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(memo, json.dumps({"path": str(path), "stamp": before, "sha256": sha256}))
    return sha256


def _sha256(path: Path, ticker: Ticker) -> str:
    sha, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            sha.update(piece)
            done += len(piece)
            ticker(done)
    return sha.hexdigest()
