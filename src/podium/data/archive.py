"""Members of a .7z, .zip, .tar or folder, as one stream of (name, bytes).

An archive is read front to back by threads of its own: decompression releases the interpreter's lock, so whoever takes
the members decodes them meanwhile. The queue between the two is bounded, so memory stays flat.

Archives come from strangers. Nothing here writes a member to disk; names that climb out, links, and members of absurd
size are refused, and every declared size is only ever a bound.
"""

from __future__ import annotations

import lzma
import os
import queue
import re
import stat
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from podium.errors import ArchiveError, ImageError

__all__ = ["Archive", "damaged", "is_archive", "open_archive"]

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


class Archive(ABC):
    """An opened archive or folder.

    Attributes:
        label: what messages call it.
        names: names of its images, in its own order; directories and operating systems' litter are left out.
    """

    def __init__(self, path: Path, label: str) -> None:
        self.path = path
        self.label = label
        self.names: list[str] = []

    @abstractmethod
    def parts(self) -> list[Part]:
        """The independent stretches, which together give every member of `names` once."""

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Every member's name and bytes; one archive's order is kept only within each of its parts.

        Raises:
            ArchiveError: the archive is damaged, cut short, or compressed in a way that can't be read.
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
            raise _StoppedError

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
            except _StoppedError:
                pass
            except BaseException as error:
                with suppress(_StoppedError):
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
        parts = name.split("/")
        if not parts[0] or "\\" in name or "\0" in name or ".." in parts or re.match("[A-Za-z]:", name):
            raise ArchiveError(
                f"{self.label}: member {name!r} points out of the archive, so it was not made in good faith.\n"
                "Download it again from the competition's page."
            )
        if not JUNK_NAMES.isdisjoint(parts) or parts[-1].startswith("._"):
            return False
        dot, suffix = parts[-1].rpartition(".")[1:]
        if dot and suffix.lower() not in IMAGE_SUFFIXES:
            raise ImageError(f"{self.label}: member {name!r} is no image. Take it out of the archive.")
        if size > MAX_MEMBER_BYTES:
            raise ArchiveError(
                f"{self.label}: member {name!r} says it is {size:,} bytes; more than {MAX_MEMBER_BYTES:,} is refused."
            )
        if len(self.names) >= MAX_MEMBERS:
            raise ArchiveError(f"{self.label}: holds more than {MAX_MEMBERS:,} members, which is refused.")
        self.names.append(name)
        return True

    def _refuse_link(self, name: str) -> ArchiveError:
        return ArchiveError(f"{self.label}: member {name!r} is a link or a special file; put the image itself there.")


class _StoppedError(Exception):
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


def damaged(label: str, reason: object) -> ArchiveError:
    """The error for an archive that doesn't hold together."""
    return ArchiveError(
        f"{label}: damaged or not complete ({reason}).\n"
        "Download it again and compare its size with the competition page's."
    )


class ZipArchive(Archive):
    """A .zip file, or one folder inside of it."""

    def __init__(self, path: Path, label: str, inside: str = "") -> None:
        super().__init__(path, label)
        self._infos = []
        with opened_zip(path, label) as archive:
            for info in archive.infolist():
                name = info.orig_filename
                if info.is_dir() or not name.startswith(inside):
                    continue
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise self._refuse_link(name)
                if self._admit(name, info.file_size):
                    self._infos.append(info)

    def parts(self) -> list[Part]:
        return [self._read]

    def _read(self, sink: Sink) -> None:
        with opened_zip(self.path, self.label) as archive:
            for info in self._infos:
                sink(info.orig_filename, read_zip_member(archive, info, self.label))


def opened_zip(path: Path, label: str) -> zipfile.ZipFile:
    """The zip file at `path`. Raises ArchiveError if it is none, is damaged or is encrypted."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        raise damaged(label, error) from error
    if any(info.flag_bits & 1 for info in archive.infolist()):
        archive.close()
        raise ArchiveError(f"{label}: is encrypted. Unpack it with its password and give the folder instead.")
    return archive


def read_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> bytes:
    """One member's bytes, checked against its CRC. Raises ArchiveError."""
    try:
        return archive.read(info)
    except NotImplementedError as error:
        raise ArchiveError(f"{label}: {error}. Unpack it and give the folder instead.") from error
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise damaged(label, f"member {info.orig_filename!r}: {error}") from error


class TarArchive(Archive):
    """A .tar file, plain or compressed. It is read twice, since its listing is spread over the whole of it."""

    def __init__(self, path: Path, label: str) -> None:
        super().__init__(path, label)
        self._images: set[int] = set()
        for info, _ in self._entries():
            if info.isdir():
                continue
            if not info.isreg():
                raise self._refuse_link(info.name)
            if self._admit(info.name.removeprefix("./"), info.size):
                self._images.add(info.offset)

    def parts(self) -> list[Part]:
        return [self._read]

    def _read(self, sink: Sink) -> None:
        for info, archive in self._entries():
            if info.offset in self._images:
                file = archive.extractfile(info)
                assert file is not None, info.name
                data = file.read(info.size)
                if len(data) != info.size:
                    raise damaged(self.label, f"member {info.name!r} is cut short")
                sink(info.name.removeprefix("./"), data)

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
        try:
            with tarfile.open(self.path, "r:*") as archive:
                while (info := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # it would keep every header it has passed
                    yield info, archive
        except (OSError, ValueError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
            raise damaged(self.label, error) from error


class FolderArchive(Archive):
    """An unpacked folder, with all folders below it. Links to images are followed: they are the user's own."""

    def __init__(self, path: Path, label: str) -> None:
        super().__init__(path, label)
        self.stamps: list[tuple[str, int, int]] = []
        """Each image's name, size in bytes and time of change in nanoseconds, sorted by name."""
        for name, status in sorted(_walk(path, "", label), key=lambda entry: entry[0]):
            if self._admit(name, status.st_size):
                self.stamps.append((name, status.st_size, status.st_mtime_ns))

    def parts(self) -> list[Part]:
        return [self._read]

    def _read(self, sink: Sink) -> None:
        for name in self.names:
            try:
                data = (self.path / name).read_bytes()
            except OSError as error:
                raise ArchiveError(f"{self.label}/{name}: can't be read ({error.strerror}).") from error
            sink(name, data)


def _walk(folder: Path, prefix: str, label: str) -> Iterable[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", label)
                elif not entry.is_dir():
                    yield prefix + entry.name, entry.stat()
    except OSError as error:
        raise ArchiveError(f"{label}: {error.filename or folder} can't be read ({error.strerror}).") from error


def is_archive(path: Path) -> bool:
    """Whether the name says that `path` is an archive which `open_archive` reads."""
    return bool(re.search(r"\.(7z|zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", path.name, re.IGNORECASE))


def open_archive(path: Path, label: str | None = None, inside: str = "") -> Archive:
    """The archive or folder at `path`, its listing read.

    Args:
        path: a .7z, .zip or .tar file, told by its first bytes, or a folder.
        label: what messages call it; its file name if None.
        inside: read only what lies in this folder of a zip file (ends with "/").

    Raises:
        ArchiveError: it is damaged, encrypted, of another kind, or has a member that must not be read.
        ImageError: a member's name says that it is no image.
    """
    from podium.data.sevenzip import SevenZipArchive  # noqa: PLC0415  (py7zr takes 0.1 s to import; only a build needs it)

    label = label or path.name
    if path.is_dir():
        return FolderArchive(path, label)
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise ArchiveError(f"{label}: can't be read ({error.strerror}).") from error
    if start == b"7z\xbc\xaf\x27\x1c":
        return SevenZipArchive(path, label)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return ZipArchive(path, label, inside)
    if not start:
        raise damaged(label, "the file is empty")
    if re.search(r"\.(tar(\.\w+)?|t[gbx]z2?)$", label, re.IGNORECASE):
        return TarArchive(path, label)
    raise damaged(label, "its first bytes are no archive's")
