"""What an archive is: a listing, and one stream of (name, bytes). `formats` and `sevenzip` have the kinds.

An archive is read front to back by threads of its own: decompression releases the interpreter's lock, so whoever takes
the members decodes them meanwhile. The queue between the two is bounded, so memory stays flat.

Archives come from strangers. Nothing here writes a member to disk; names that climb out, links, and members of absurd
size are refused, and every declared size is only ever a bound.
"""

from __future__ import annotations

import errno
import os
import queue
import re
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from podium.errors import ArchiveError, ImageError

__all__ = ["Archive", "Part", "Sink", "StoppedError", "damaged", "is_image_name"]

Sink = Callable[[str, bytes], None]
"""Takes one member's name and bytes; blocks while the consumer is behind."""
Part = Callable[[Sink], None]
"""Reads one independent stretch of an archive into a sink; each may run in its own thread."""

MAX_MEMBER_BYTES = 1 << 27  # 128 MiB: no single picture of a competition comes near
MAX_MEMBERS = 20_000_000  # ImageNet-21k has 14 million
BATCH_BYTES = 1 << 20
QUEUED_BATCHES = 8

IMAGE_SUFFIXES = frozenset(
    {"png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"}
)
JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"})


def is_image_name(name: str) -> bool:
    """Whether a file's suffix says that it is an image."""
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES and "." in name


class Archive(ABC):
    """An opened archive or folder.

    Attributes:
        label: what messages call it.
        names: names of its images, in its own order; directories, hidden folders and operating systems' litter are left
            out.
        others: names of the members that are no images, where such are left out too.

    Args:
        path: where it lies.
        label: what messages call it.
        images_only: leave members out whose names don't say that they are images; else they are an error.
    """

    def __init__(self, path: Path, label: str, *, images_only: bool = False) -> None:
        self.path = path
        self.label = label
        self.names: list[str] = []
        self.others: list[str] = []
        self._images_only = images_only

    @abstractmethod
    def parts(self) -> list[Part]:
        """The independent stretches, which together give every member of `names` once."""

    def members(self) -> Generator[tuple[str, bytes]]:
        """Every member's name and bytes; one archive's order is kept only within each of its parts.

        Raises:
            ArchiveError: the archive is damaged, cut short, gone, or compressed in a way that can't be read.
        """
        parts = deque(self.parts())
        batches: queue.Queue[list[tuple[str, bytes]] | BaseException | None] = queue.Queue(QUEUED_BATCHES)
        stop = threading.Event()
        workers = min(len(parts), os.cpu_count() or 1)

        def put(item: list[tuple[str, bytes]] | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    return batches.put(item, timeout=0.1)
                except queue.Full:
                    continue
            raise StoppedError

        def work() -> None:
            try:
                while parts:
                    try:
                        part = parts.popleft()
                    except IndexError:  # another worker was faster
                        break
                    batcher = _Batcher(put)
                    part(batcher)
                    batcher.flush()
                put(None)
            except StoppedError:
                pass
            except BaseException as error:
                with suppress(StoppedError):
                    put(error)

        threads = [threading.Thread(target=work, name="podium-archive", daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            running = workers
            while running:
                item = batches.get()
                if item is None:
                    running -= 1
                elif isinstance(item, OSError):  # of reading: whoever takes the members may be writing
                    raise damaged(self.label, item) from item
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield from item
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _admit(self, name: str, size: int) -> bool:
        """Whether a member is an image to be read; raises if it must not be."""
        folder, slash, last = name.rpartition("/")
        climbs, is_junk = _judge_folder(folder) if slash else (bool(_DRIVE.match(last)), False)
        if climbs or not name or "\\" in last or "\0" in last or last == "..":
            raise ArchiveError(
                f"{self.label}: member {name!r} points out of the archive, so it was not made in good faith.\n"
                "Download it again from the competition's page."
            )
        if size > MAX_MEMBER_BYTES:  # of litter too, which some archives can't be read without decompressing
            raise ArchiveError(
                f"{self.label}: member {name!r} says it is {size:,} bytes; more than {MAX_MEMBER_BYTES:,} is refused."
            )
        if is_junk or last in JUNK_NAMES or last.startswith("._"):
            return False
        is_other = not is_image_name(last) and ("." in last or self._images_only)
        if is_other and not self._images_only:
            raise ImageError(f"{self.label}: member {name!r} is no image. Take it out of the archive.")
        if len(self.names) + len(self.others) >= MAX_MEMBERS:
            raise ArchiveError(f"{self.label}: holds more than {MAX_MEMBERS:,} members, which is refused.")
        (self.others if is_other else self.names).append(name)
        return not is_other

    def _refuse_link(self, name: str) -> ArchiveError:
        return ArchiveError(f"{self.label}: member {name!r} is a link or a special file; put the image itself there.")


_DRIVE = re.compile("[A-Za-z]:")


@lru_cache(maxsize=1024)
def _judge_folder(folder: str) -> tuple[bool, bool]:
    """Whether a folder in it points out of the archive, and whether it is litter or hidden with all that it holds."""
    parts = folder.split("/")
    climbs = not parts[0] or "\\" in folder or "\0" in folder or ".." in parts or bool(_DRIVE.match(folder))
    is_junk = not JUNK_NAMES.isdisjoint(parts) or any(part.startswith(".") and part != "." for part in parts)
    return climbs, is_junk


class StoppedError(Exception):
    """The consumer has gone; a worker should end."""


class _Batcher:
    """Collects members into batches of about BATCH_BYTES, since a queue's hand-over costs more than a small PNG."""

    def __init__(self, put: Callable[[list[tuple[str, bytes]]], None]) -> None:
        self._put = put
        self._batch: list[tuple[str, bytes]] = []
        self._bytes = 0

    def __call__(self, name: str, data: bytes) -> None:
        self._batch.append((name, data))
        self._bytes += len(data)
        if self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._batch:
            self._put(self._batch)
        self._batch, self._bytes = [], 0


def damaged(label: str, reason: object, member: str | None = None) -> ArchiveError:
    """The error for an archive that doesn't hold together, or that the system doesn't let us read."""
    if isinstance(reason, OSError) and reason.errno not in (None, errno.EINVAL):  # EINVAL: an absurd offset in it
        return ArchiveError(f"{label}: can't be read ({reason.strerror}).")
    if member is not None:
        reason = f"member {member!r}: {reason}"
    first_line = str(reason).strip().split("\n")[0].rstrip(".:") or type(reason).__name__
    return ArchiveError(
        f"{label}: damaged or not complete ({first_line}).\n"
        "Download it again and compare its size with what its page says."
    )
