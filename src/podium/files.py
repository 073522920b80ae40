"""Files: hashed, and written so that a crash, a full disk or a second process never leaves half of one."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from podium.errors import StorageError

__all__ = ["sha256_of", "storage_errors", "write_atomically"]

_STALE_SECONDS = 3600.0


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, as hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns the OSErrors of writing `path` into StorageErrors that say what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path} can't be written: {reason}.\nMake room there, or choose another folder that you may write to."
        ) from error


def _sweep(path: Path) -> None:
    """Takes away what killed processes had begun to write as `path`, and no running one can still be writing."""
    start, latest = f".{path.name}.", time.time() - _STALE_SECONDS
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(start) and entry.name.endswith(".part") and entry.stat().st_mtime < latest:
                os.unlink(entry.path)  # noqa: PTH108  # it is a string


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes `content` beside `path`, makes it durable, then renames it to `path`.

    Raises:
        StorageError: the disk is full or not writable; `path` is as it was, and nothing is left beside it.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with storage_errors(path):
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sweep(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
