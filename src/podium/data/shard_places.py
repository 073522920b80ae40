"""Where shards lie: in a folder, or on a web server."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from podium.data import http
from podium.data.cache import content_hash
from podium.data.progress import Progress
from podium.data.shard_cache import Origin, ensure, is_plain_name
from podium.data.shard_index import INDEX_NAME, MAX_INDEX_BYTES, Stored
from podium.errors import ArchiveError, DataError

__all__ = ["Folder", "Place", "Server", "expanded", "named"]

MAX_NAMES = 100_000
RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")


class Place(Protocol):
    """Where the files beside an index.json lie."""

    def label(self, name: str) -> str:
        """What messages call one of them."""

    def index(self) -> bytes:
        """The content of index.json. Raises ArchiveError."""

    def read(self, stored: Stored) -> bytes:
        """A small file's content, its checksum compared. Raises ArchiveError, StorageError."""

    def containers(self, shards: Sequence[Stored]) -> tuple[list[bytes], list[bytes] | None]:
        """For each shard where it lies and where it is fetched from, as `Files` has them. Raises ArchiveError."""

    def check(self, shards: Sequence[Stored], progress: Progress | None) -> None:
        """Compares the checksums of all of them, if nobody does it later. Raises ArchiveError."""


@dataclass(frozen=True)
class Folder:
    """A folder on a disk."""

    path: Path

    def label(self, name: str) -> str:
        """As of `Place`."""
        return str(self.path / name)

    def index(self) -> bytes:
        """As of `Place`."""
        return _read(self.path / INDEX_NAME, MAX_INDEX_BYTES)

    def read(self, stored: Stored) -> bytes:
        """As of `Place`."""
        path = self._sized(stored)
        data = _read(path, stored.num_bytes)
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            raise _other_content(path)
        return data

    def containers(self, shards: Sequence[Stored]) -> tuple[list[bytes], list[bytes] | None]:
        """As of `Place`."""
        return [os.fsencode(self._sized(stored).absolute()) for stored in shards], None

    def check(self, shards: Sequence[Stored], progress: Progress | None) -> None:
        """As of `Place`; what was compared once, and wasn't changed since, isn't read again."""
        for stored in shards:
            if content_hash(path := self._sized(stored), progress) != stored.sha256:
                raise _other_content(path)

    def _sized(self, stored: Stored) -> Path:
        path = self.path / stored.name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ArchiveError(f"{path}: can't be read ({error.strerror}); {INDEX_NAME} names it.") from error
        if size != stored.num_bytes:
            raise ArchiveError(f"{path}: has {size:,} bytes, by {INDEX_NAME} {stored.num_bytes:,}. Get it again.")
        return path


@dataclass(frozen=True)
class Server:
    """A folder on a web server.

    Attributes:
        url: http or https, of the folder.
        progress: told while something is fetched now.
    """

    url: str
    progress: Progress | None = None

    def label(self, name: str) -> str:
        """As of `Place`."""
        return http.shown(self._url(name))

    def index(self) -> bytes:
        """As of `Place`."""
        try:
            return http.get(self._url(INDEX_NAME), MAX_INDEX_BYTES)
        except ArchiveError as error:
            raise ArchiveError(
                f"{error}\nA folder of podium's shards is looked for; others' are given as "
                f"{self.label('name-{000000..000099}.tar')}."
            ) from error

    def read(self, stored: Stored) -> bytes:
        """As of `Place`."""
        origin = self._origin(stored)
        path = origin.path(stored.name)
        ensure(str(path), origin.encoded(), self.progress)
        return _read(path, stored.num_bytes)

    def containers(self, shards: Sequence[Stored]) -> tuple[list[bytes], list[bytes] | None]:
        """As of `Place`."""
        origins = [self._origin(stored) for stored in shards]
        paths = [os.fsencode(origin.path(stored.name)) for origin, stored in zip(origins, shards, strict=True)]
        return paths, [origin.encoded() for origin in origins]

    def check(self, shards: Sequence[Stored], progress: Progress | None) -> None:
        """As of `Place`: each is compared when it is fetched."""

    def _origin(self, stored: Stored) -> Origin:
        return Origin(self._url(stored.name), stored.num_bytes, stored.sha256)

    def _url(self, name: str) -> str:
        parts = urllib.parse.urlsplit(self.url)
        folder = parts.path.removesuffix(INDEX_NAME).rstrip("/")
        return http.checked(urllib.parse.urlunsplit(parts._replace(path=f"{folder}/{name}", fragment="")))


def expanded(text: str) -> list[str]:
    """The names that a text such as train-{000000..000099}.tar stands for; itself, if it has no braces.

    Raises:
        DataError: they are too many.
    """
    said = RANGE.search(text)
    if said is None:
        return [text]
    first, last, width = int(said[1]), int(said[2]), len(said[1])
    if not 0 <= last - first < MAX_NAMES:
        raise DataError(f"{http.shown(text)}: stands for no shard, or for more than {MAX_NAMES:,}.")
    found = [f"{text[: said.start()]}{number:0{width}}{text[said.end() :]}" for number in range(first, last + 1)]
    if RANGE.search(found[0]):
        raise DataError(f"{http.shown(text)}: one pair of braces is understood, and not several.")
    return found


def named(url: str) -> tuple[str, Origin]:
    """The name and origin of a shard on a server that no index speaks of. Raises ArchiveError, DataError."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(http.checked(url)).path).rpartition("/")[2]
    if not is_plain_name(name):
        raise DataError(f"{http.shown(url)}: {name!r} can't be a shard's name.")
    num_bytes, mark = http.size_of(url)
    return name, Origin(url, num_bytes, mark=mark)


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ArchiveError(f"{path}: can't be read ({error.strerror}).") from error
    if len(data) > max_bytes:
        raise ArchiveError(f"{path}: has more than {max_bytes:,} bytes, which is refused.")
    return data


def _other_content(path: Path) -> ArchiveError:
    return ArchiveError(f"{path}: is damaged, its SHA-256 isn't the one in {INDEX_NAME}. Get it again.")
