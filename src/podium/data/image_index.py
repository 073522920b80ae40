"""Where a large data set's images lie, kept in the cache: its second opening reads a few arrays, and no archive.

    <cache>/indexes/<key>/<part>/ids.npy, folders.npy, sizes.npy, …     an array each, as `Index` has them
    <cache>/indexes/<key>/index.json                                    names of the parts, and what was left out

The key is made of paths, sizes and times of change, since hashing 138 GB would take longer than a training's first
hour. An index is built beside its place and renamed to it, so it is whole or not there.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from podium.data import cache
from podium.data.archive import MAX_MEMBER_BYTES, is_image_name
from podium.data.encoded import Files, Indices
from podium.data.images import digest
from podium.errors import ArchiveError, StorageError

__all__ = ["Index", "IndexBuilder", "kept_indexes"]

INDEX_VERSION = "1"  # part of each key: raise it when the same files would become another index
SHOWN = 5  # names of files that were left out
COLUMNS = ("container", "offsets", "lengths", "names", "deflated", "ids", "folders", "sizes")

Columns: TypeAlias = "dict[str, npt.NDArray[Any]]"


@dataclass(frozen=True)
class Index:
    """N images, by folder and then in natural order of their ids.

    Attributes:
        files: where they lie.
        ids: bytes (N,), UTF-8: their names without folder and suffix; with their folder, if they aren't unique else.
        folders: bytes (N,), UTF-8: the folder or inner archive that each lies in, "" if in none.
        sizes: int64 (N,), bytes of each image's file, inflated.
        others: the first names of the files that were left out, since no images.
        num_others: how many these are.
    """

    files: Files
    ids: npt.NDArray[np.bytes_]
    folders: npt.NDArray[np.bytes_]
    sizes: Indices
    others: tuple[str, ...] = ()
    num_others: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def names(self) -> npt.NDArray[np.str_]:
        """The ids as str (N,)."""
        try:
            return self.ids.astype(np.str_)
        except UnicodeDecodeError:  # which takes ASCII only, but quickly
            return np.char.decode(self.ids, "utf-8", "replace")


@dataclass
class IndexBuilder:
    """Takes the images of one folder after the other; what it holds meanwhile are arrays, so a million is no matter.

    Args:
        label: what messages call the whole.
    """

    label: str
    others: list[str] = field(default_factory=list)
    num_others: int = 0

    def __post_init__(self) -> None:
        self._containers: list[bytes] = []
        self._chunks: list[Columns] = []

    def container(self, path: Path | str) -> int:
        """The number of another file that holds images."""
        self._containers.append(os.fsencode(path))
        return len(self._containers) - 1

    def admits(self, name: str, size: int) -> bool:
        """Whether a file is an image, by its name; if not, it is counted, unless systems made it for themselves.

        Raises:
            ArchiveError: it is absurdly large.
        """
        if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")) or name.endswith("Thumbs.db"):
            return False
        if not is_image_name(name):
            self.leave_out(name)
            return False
        if size > MAX_MEMBER_BYTES:
            raise ArchiveError(
                f"{self.label}: {name!r} has {size:,} bytes; more than {MAX_MEMBER_BYTES:,} is refused for an image."
            )
        return True

    def leave_out(self, name: str) -> None:
        """Counts a file that is no image."""
        self.num_others += 1
        if len(self.others) < SHOWN:
            self.others.append(name)

    def add(
        self,
        folder: str,
        names: list[str],
        containers: list[int] | int,
        offsets: list[int],
        lengths: list[int],
        sizes: list[int],
        shown: list[str] | None = None,
        deflated: list[bool] | None = None,
    ) -> None:
        """Takes the images of a folder, or some of them.

        Args:
            folder: its name, "" for none.
            names: of the images, with suffix.
            containers: the number of the file that holds each, or all.
            offsets: as of `Files`.
            lengths: as of `Files`.
            sizes: as of `Index`.
            shown: what messages call them; None: by `names`.
            deflated: as of `Files`.
        """
        count = len(names)
        if not count:
            return
        stems = [name.rpartition("/")[2].rpartition(".")[0].encode(errors="replace") for name in names]
        self._chunks.append(
            {
                "container": np.broadcast_to(np.array(containers, np.int32), count),
                "offsets": np.array(offsets, np.int64),
                "lengths": np.array(lengths, np.int64),
                "names": np.array([name.encode(errors="replace") for name in (names if shown is None else shown)]),
                "deflated": np.zeros(count, np.bool_) if deflated is None else np.array(deflated, np.bool_),
                "ids": np.array(stems, np.bytes_),
                "folders": np.broadcast_to(np.array(folder.encode(errors="replace"), np.bytes_), count),
                "sizes": np.array(sizes, np.int64),
            }
        )

    def finish(self) -> Index:
        """The index of all that was taken.

        Raises:
            ArchiveError: there is no image, or two in one folder have the same name.
        """
        if not self._chunks:
            raise ArchiveError(f"{self.label}: holds no image.")
        columns = {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self._chunks[0]}
        self._chunks = []
        ids = columns["ids"]
        if len(np.unique(ids)) < len(ids):  # trees of other origin number each folder's images from 1
            ids = np.char.add(np.char.add(columns["folders"], b"/"), ids)
            found, counts = np.unique(ids, return_counts=True)
            if counts.max() > 1:
                twice = found[counts.argmax()].decode(errors="replace").removeprefix("/")
                raise ArchiveError(f"{self.label}: two images are called {twice!r}. Take one out.")
        order = np.lexsort((ids, np.char.str_len(ids), columns["folders"]))
        columns = {name: values[order] for name, values in columns.items()} | {"ids": ids[order]}
        return _index(columns, np.array(self._containers), tuple(self.others), self.num_others)


def _index(columns: Columns, containers: npt.NDArray[np.bytes_], others: tuple[str, ...], num_others: int) -> Index:
    deflated = columns["deflated"].astype(np.bool_, copy=False)
    files = Files(
        containers.astype(np.bytes_, copy=False),
        columns["container"].astype(np.int32, copy=False),
        columns["offsets"].astype(np.int64, copy=False),
        columns["lengths"].astype(np.int64, copy=False),
        columns["names"].astype(np.bytes_, copy=False),
        deflated if deflated.any() else None,
    )
    ids, folders = columns["ids"].astype(np.bytes_, copy=False), columns["folders"].astype(np.bytes_, copy=False)
    return Index(files, ids, folders, columns["sizes"].astype(np.int64, copy=False), others, num_others)


def kept_indexes(
    what: Sequence[str], stamps: Callable[[], list[list[int]]], build: Callable[[], dict[str, Index]]
) -> dict[str, Index]:
    """The indexes of a data set's parts, from the cache or built now.

    Args:
        what: names what is indexed: paths, and how they are read.
        stamps: gives `cache.stamp` of each file or folder that an index is made from.
        build: makes them.

    Raises:
        ArchiveError: a file can't be read, or was changed meanwhile; and as `build` raises.
    """
    before = stamps()
    place = cache.cache_root() / "indexes" / digest(INDEX_VERSION, json.dumps([list(what), before]))
    if (found := _read(place)) is not None:
        return found
    found = build()
    if stamps() != before:
        raise ArchiveError(f"{what[0]} was changed while it was read. Wait until it is complete, and try again.")
    newest = max(max(stamp[1:3]) for stamp in before)
    if time.time_ns() - newest > cache.SETTLED_NS:  # as in `cache.content_hash`
        with suppress(OSError, StorageError):  # a cache that can't be written costs time, and nothing else
            _write(place, found)
    return found


def _write(place: Path, indexes: dict[str, Index]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=place.parent))
    try:
        for part, index in indexes.items():
            (building / part).mkdir()
            files = index.files
            deflated = np.zeros(len(files), np.bool_) if files.deflated is None else files.deflated
            values = (files.container, files.offsets, files.lengths, files.names, deflated)
            arrays = (*values, index.ids, index.folders, index.sizes, files.containers)
            for name, array in zip((*COLUMNS, "containers"), arrays, strict=True):
                np.save(building / part / f"{name}.npy", array, allow_pickle=False)
        about = {part: [index.others, index.num_others] for part, index in indexes.items()}
        (building / "index.json").write_text(json.dumps(about))
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _read(place: Path) -> dict[str, Index] | None:
    """The indexes at `place`; None if there are none, or if they are damaged."""
    found = {}
    try:
        for part, (others, num_others) in json.loads((place / "index.json").read_text()).items():
            columns = {name: np.load(place / part / f"{name}.npy", allow_pickle=False) for name in COLUMNS}
            containers = np.load(place / part / "containers.npy", allow_pickle=False)
            if len({len(values) for values in columns.values()}) != 1:
                return None
            if not 0 <= columns["container"].min() <= columns["container"].max() < len(containers):
                return None
            found[part] = _index(columns, containers, tuple(others), num_others)
    except Exception:  # as in `store`
        return None
    return found
