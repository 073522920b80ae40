"""Shards that lie on a web server: each is fetched into the cache when it is first needed, kept while there is room.

    <cache>/shards/<key>/<name>          a shard that is whole; its time of change is when it was last asked for
    <cache>/shards/<key>/<name>.part     one that is being fetched, or whose fetching was cut
    <cache>/locks/<key>.lock             held by the process that fetches it

The key is made of the shard's checksum, so that a changed one is another; where nobody has said a checksum, of its
address, size and ETag. Processes of one machine fetch a shard once.

Before one is fetched, those that weren't asked for the longest make room: until all take no more than
$PODIUM_CACHE_BYTES, if that is set, and the disk has room. Whoever reads one that was thrown out fetches it again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from podium.data import http
from podium.data.cache import cache_errors, cache_root
from podium.data.images import digest
from podium.data.progress import Progress
from podium.errors import ArchiveError, StorageError
from podium.files import sha256_of

__all__ = ["MAX_SHARD_BYTES", "Origin", "discard", "ensure", "is_plain_name"]

MAX_SHARD_BYTES = 1 << 40
SPARE_BYTES = 1 << 28  # of the disk, left to others
TOUCH_SECONDS = 60.0
COMING_SECONDS = 300.0  # what was written to so lately is still being fetched
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,=@+-]{0,199}")

_touched: dict[str, float] = {}


@dataclass(frozen=True)
class Origin:
    """Where a shard is fetched from.

    Attributes:
        url: http or https.
        num_bytes: it must have.
        sha256: hex digits; "" if nobody has said them.
        mark: what the server says changes with its content; "" if there is a checksum.
    """

    url: str
    num_bytes: int
    sha256: str = ""
    mark: str = ""

    def encoded(self) -> bytes:
        """As `ensure` takes it."""
        return json.dumps(asdict(self)).encode()

    @property
    def key(self) -> str:
        """Of its place in the cache."""
        return self.sha256[:32] or digest(self.url, str(self.num_bytes), self.mark)

    def path(self, name: str) -> Path:
        """Where it lies in the cache when it is there. `name` must be a plain one."""
        assert is_plain_name(name), name
        return cache_root() / "shards" / self.key / name


def is_plain_name(name: str) -> bool:
    """Whether a name may be a file's in the cache: without a folder, not hidden, of common letters."""
    return PLAIN_NAME.fullmatch(name) is not None and not name.endswith(".part")


def ensure(path: str, encoded: bytes, progress: Progress | None = None) -> None:
    """Sees to it that a shard lies in the cache.

    Args:
        path: as `Origin.path` gives it.
        encoded: as `Origin.encoded` gives it.
        progress: told how far it is.

    Raises:
        ArchiveError: it can't be fetched, or isn't what it should be.
        StorageError: there is no room.
    """
    now = time.monotonic()
    if os.path.exists(path):  # noqa: PTH110  (once an image)
        if now - _touched.get(path, -TOUCH_SECONDS) >= TOUCH_SECONDS:
            _touched[path] = now
            with suppress(OSError):
                os.utime(path)
        return
    origin, place = Origin(**json.loads(encoded)), Path(path)
    with cache_errors():
        lock = cache_root() / "locks" / f"{origin.key}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock):
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                part = place.with_name(f"{place.name}.part")
                _make_room(origin, part)
                _fetch(origin, part, progress)
                part.replace(place)
    _touched[path] = now


def discard(path: str) -> None:
    """Throws a shard out of the cache, if it is there."""
    with suppress(OSError):
        Path(path).unlink()


def _fetch(origin: Origin, part: Path, progress: Progress | None) -> None:
    """Fetches a shard and compares its checksum; once more, if it was begun earlier, of another file perhaps."""
    for _ in range(2 if part.exists() else 1):
        http.download(origin.url, part, origin.num_bytes, progress, origin.mark)
        if not origin.sha256 or sha256_of(part) == origin.sha256:
            return
        part.unlink()
    raise ArchiveError(
        f"{http.shown(origin.url)}: damaged, its SHA-256 isn't the one that the index says. "
        "It must be put there again, with its index.json."
    )


def _make_room(origin: Origin, part: Path) -> None:
    """Throws out what wasn't asked for the longest. One process at a time: else all would count what all throw out."""
    root = part.parent.parent
    limit = _limit()
    if limit is not None and origin.num_bytes > limit:
        raise StorageError(
            f"{http.shown(origin.url)} has {origin.num_bytes:,} bytes, more than PODIUM_CACHE_BYTES allows ({limit:,})."
        )
    with filelock.FileLock(root / "room.lock"):
        others = []
        for path in root.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                is_coming = path.suffix == ".part" and time.time() - status.st_mtime < COMING_SECONDS
                if path != part and not is_coming:
                    others.append((status.st_mtime, status.st_size, path))
        used, have = sum(size for _, size, _ in others), part.stat().st_size if part.exists() else 0
        for _, size, path in sorted(others):
            needed = origin.num_bytes - have + SPARE_BYTES
            is_full = shutil.disk_usage(root).free < needed or (limit is not None and used + origin.num_bytes > limit)
            if not is_full:
                return
            with suppress(OSError):
                path.unlink()  # and not its folder: another process may be about to write there
                used -= size
        if (free := shutil.disk_usage(root).free) < origin.num_bytes - have:
            raise StorageError(
                f"{http.shown(origin.url)} has {origin.num_bytes:,} bytes, and the cache {cache_root()} has room for "
                f"{free:,}.\nMake room there, or set PODIUM_CACHE to a folder on another disk."
            )


def _limit() -> int | None:
    """$PODIUM_CACHE_BYTES, such as 50G. Raises StorageError."""
    text = os.environ.get("PODIUM_CACHE_BYTES", "").strip()
    if not text:
        return None
    said = re.fullmatch(r"(\d{1,18})\s*([KMGT]?)B?", text.upper())
    if said is None:
        raise StorageError(f"PODIUM_CACHE_BYTES is {text!r}; it should be a number of bytes, such as 50G.")
    return int(said[1]) * UNITS[said[2]]
