"""Where a set of images lies, and what tells its content from another's."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from podium.data.archive import Archive, damaged
from podium.data.cache import cache_root, content_hash, stamp
from podium.data.formats import FolderArchive, open_archive, opened_zip, zip_pieces
from podium.data.images import digest
from podium.data.packing import Listing, list_archive
from podium.data.progress import MEGABYTE, Progress, Ticker
from podium.errors import StorageError

__all__ = ["ArchiveOrigin", "Origin", "files_state", "hash_of_files"]


class Origin(Protocol):
    """Where a set of images lies. A source makes them, the store reads them."""

    @property
    def label(self) -> str:
        """What messages call it."""

    def open(self, scratch: Path, progress: Progress | None = None) -> Listing:
        """Lists it. `scratch` is a folder for files that may be made on the way.

        Raises:
            DataError: it can't be read, or isn't what it should be.
            StorageError: there is no room in the scratch folder.
            OSError: that can't be written. (None is of reading.)
        """

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        """16 hex digits that change when the content does, and the `state` from before they were found.

        Raises ArchiveError.
        """

    def state(self) -> str:
        """Changes whenever something is written to it; found without reading it. Raises ArchiveError."""


@dataclass(frozen=True)
class ArchiveOrigin:
    """An archive or a folder.

    Attributes:
        path: an archive or folder on disk.
        inside: of an outer zip file, the member that is the archive, or the folder in it (ends with "/").
        is_tree: the folders in it mean something. Ids are the images' whole names, and what is no image is left out;
            else ids are the names without folder and suffix, and all must be images.
        only: names of a folder's images to take; None: all.
    """

    path: Path
    inside: str = ""
    is_tree: bool = False
    only: frozenset[str] | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.path.name}/{self.inside}".rstrip("/") if self.inside else self.path.name

    def open(self, scratch: Path, progress: Progress | None = None) -> Listing:
        """Lists it; an archive within an archive is copied to `scratch` first. Raises as `Origin.open`."""
        return list_archive(self._opened(scratch, progress), whole_names=self.is_tree)

    def _opened(self, scratch: Path, progress: Progress | None) -> Archive:
        if not self.inside or self.inside.endswith("/"):
            return open_archive(self.path, self.label, self.inside, images_only=self.is_tree, only=self.only)
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
        return open_archive(inner, self.label, images_only=self.is_tree)

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        """As of `Origin`."""
        state = self.state()
        if self.path.is_dir():
            return state, state
        return digest("file", content_hash(self.path, progress), self.inside, *self._kind), state

    def state(self) -> str:
        """As of `Origin`."""
        if self.path.is_dir():
            stamps = FolderArchive(self.path, self.label, images_only=self.is_tree, only=self.only).stamps
            return digest("folder", str(self.path.resolve()), json.dumps(stamps), *self._kind)
        return files_state([self.path], self.label)

    @property
    def _kind(self) -> tuple[str, ...]:
        return ("tree",) if self.is_tree else ()


def files_state(paths: list[Path], label: str) -> str:
    """Changes whenever something is written to one of some files. Raises ArchiveError."""
    try:
        stamps = [stamp(path) for path in paths]
    except OSError as error:
        raise damaged(label, error) from error
    return json.dumps(stamps[0] if len(stamps) == 1 else stamps)


def hash_of_files(paths: list[Path], progress: Progress | None = None) -> str:
    """16 hex digits of the SHA-256 of some files' names and contents. Raises ArchiveError."""
    return digest(*(part for path in paths for part in (path.name, content_hash(path, progress))))
