"""WebDataset shards that others made, without an index: the tars' headers are read once and what they say is kept."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from podium.data.cache import cache_root, stamp
from podium.data.images import digest
from podium.data.packing import natural_order
from podium.data.progress import Progress, Ticker
from podium.data.shard_cache import Origin, ensure
from podium.data.shard_places import named
from podium.data.shard_scan import is_webdataset, scan, size_in
from podium.data.shard_table import ShardTable
from podium.data.sources.packed import some
from podium.data.sources.shard_sets import Part, ShardsDataset, fits_in_memory
from podium.data.sources.top import is_hidden, role_in, role_of
from podium.errors import ArchiveError, DataError, StorageError
from podium.files import write_atomically

__all__ = ["ScannedShards", "Shard", "shards_in", "shards_of"]

SCAN_VERSION = "1"  # part of each key: raise it when the same shard would be read otherwise
USUAL_SIZE = 224
MEASURED = 3  # images of a shard whose sizes are looked at
TITLES = {"val": "validation shards", "test": "labelled test shards"}


@dataclass(frozen=True)
class Shard:
    """A shard: what messages call it, where it lies, and where it is fetched from, if it isn't there."""

    label: str
    path: Path
    origin: Origin | None = None


def shards_of(urls: list[str], progress: Progress | None) -> list[Shard]:
    """Shards on a server. Raises ArchiveError, DataError."""
    ticker, found = Ticker(progress, "asking for shards", len(urls)), []
    for number, url in enumerate(urls, 1):
        name, origin = named(url)
        found.append(Shard(name, origin.path(name), origin))
        ticker(number)
    return found


def shards_in(folder: Path) -> dict[str, list[Shard]]:
    """The shards of each of "train", "val" and "test" in a folder; empty if there are none.

    Of which they are, their names say, or those of the folders that they lie in; all are to train on, if none says it.
    """
    found = [(role_in(path.name), path) for path in _tars_in(folder)]
    for entry in sorted(folder.iterdir()):
        if not is_hidden(entry.name) and (role := role_of(entry.name)) and entry.is_dir():
            found += [(role, path) for path in _tars_in(entry)]
    roles = {role for role, _ in found}
    firsts = [next(path for one, path in found if one == role) for role in roles]
    if not any(map(is_webdataset, firsts)):  # a test set's may have no labels
        return {}
    if None in roles and len(roles) > 1:
        odd = next(path for role, path in found if role is None)
        raise DataError(f"{odd}: of which split it is, its name doesn't say, while others' do. Rename it.")
    if "train" not in roles:
        if len(roles) > 1:
            raise DataError(f"{folder}: has shards of {' and '.join(sorted(map(str, roles)))}, but none of train.")
        return {"train": [Shard(path.name, path) for _, path in found]}
    return {
        str(role): [Shard(path.name, path) for one, path in found if one == role] for role in sorted(roles, key=str)
    }


def _tars_in(folder: Path) -> list[Path]:
    names = [path.name for path in folder.iterdir() if path.suffix == ".tar" and not is_hidden(path.name)]
    return [folder / names[i] for i in natural_order(names)]


class ScannedShards(ShardsDataset):
    """Shards without an index.

    Args:
        path: as given by the user.
        shards: of "train", "val" and "test", as far as there are such.
        image_size: as of `ShardsDataset`.
        progress: as of `ShardsDataset`.
        url: as of `ShardsDataset`.
        class_names: what labels that are numbers mean; None: themselves.
    """

    def __init__(
        self,
        path: Path,
        shards: dict[str, list[Shard]],
        image_size: int | None,
        progress: Progress | None,
        url: str | None = None,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(path, image_size, progress, url)
        first = shards["train"][0].label
        self.name = first.removesuffix(".tar") if url or path.is_file() else path.resolve().name
        self._shards = shards
        self._class_names = class_names
        self._scans: dict[str, list[dict[str, Any]]] = {}
        self._parts: dict[str, Part] = {}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that there are, sorted; or what was said that they mean. Raises as `train`."""
        if self._class_names is not None:
            return self._class_names
        found = {label for one in self._scanned("train") for label in one["labels"] if label is not None}
        if not found:
            shard = self._shards["train"][0].label
            raise DataError(f"{shard}: its images have no labels: x.jpg's would lie in x.cls, or as label in x.json.")
        return tuple(sorted(found))

    @cached_property
    def size(self) -> tuple[int, int]:
        """As asked for; else as the images have it, if it is one size, or 224×224."""
        if self.resized_to is not None:
            return self.resized_to, self.resized_to
        return self._own_size or (USUAL_SIZE, USUAL_SIZE)

    @cached_property
    def is_resident(self) -> bool:
        """Whether they have one size, or are given one, and there is memory for all pixels."""
        num_images = sum(len(one["ids"]) for one in self._scanned("train"))
        has_size = self.resized_to is not None or self._own_size is not None
        return has_size and fits_in_memory(num_images, self.size)

    @cached_property
    def _own_size(self) -> tuple[int, int] | None:
        sizes = {(size[0], size[1]) if size else None for one in self._scanned("train") for size in one["sizes"]}
        return next(iter(sizes)) if len(sizes) == 1 else None

    @property
    def evaluation_name(self) -> str | None:
        """Which shards they are."""
        role = self._role("evaluation")
        return None if role is None else TITLES[role]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images' ids, lengths and labels. Raises as `train`."""
        part = self.part("train")
        assert part is not None
        table = part.table
        ids = "\n".join(table.ids_by_row().tolist())
        return digest(ids, table.lengths.tobytes(), table.labels.tobytes(), "\n".join(self.classes))

    def part(self, role: str) -> Part | None:
        """As of `ShardsDataset`."""
        own = self._role(role)
        if own is None:
            return None
        if role not in self._parts:
            self._parts[role] = self._read(role, own)
        return self._parts[role]

    def _role(self, role: str) -> str | None:
        """Under which name the shards of a part are here."""
        if role == "train":
            return role
        if role == "evaluation" and "val" in self._shards:
            return "val"
        if "test" not in self._shards:
            return None
        labels = [label is not None for one in self._scanned("test") for label in one["labels"]]
        if any(labels) and not all(labels) and "val" not in self._shards:
            raise ArchiveError(f"{self.place}: some test images have a label and some have none.")
        is_evaluation = all(labels) and "val" not in self._shards
        return "test" if is_evaluation == (role == "evaluation") else None

    def _read(self, role: str, own: str) -> Part:
        shards, scans = self._shards[own], self._scanned(own)
        counts = [len(one["ids"]) for one in scans]
        ids = [image_id for one in scans for image_id in one["ids"]]
        if len(set(ids)) < len(ids):
            stems = [shard.label.removesuffix(".tar") for shard in shards]
            ids = [f"{stem}/{image_id}" for stem, one in zip(stems, scans, strict=True) for image_id in one["ids"]]
        places = {name: place for place, name in enumerate(self.classes)}
        if self._class_names is not None:
            places = {str(place): place for place in range(len(self.classes))}
        labels = []
        for shard, one in zip(shards, scans, strict=True):
            for name, label in zip(one["names"], one["labels"], strict=True):
                if role != "test" and label is not None and label not in places:
                    raise DataError(
                        f"{shard.label}: member {name!r} has the label {label!r}, which is no class of the images to "
                        f"train on: {some(self.classes)}."
                    )
                labels.append(-1 if label is None or role == "test" else places[label])
        table = ShardTable(
            np.repeat(np.arange(len(shards), dtype=np.int32), counts),
            np.array([offset for one in scans for offset in one["offsets"]], np.int64),
            np.array([length for one in scans for length in one["lengths"]], np.int64),
            None,
            np.array(labels, np.int64),
            np.arange(len(ids)),
            np.array([image_id.encode(errors="replace") for image_id in ids], np.bytes_),
            np.array([name.encode(errors="replace") for one in scans for name in one["names"]], np.bytes_),
        )
        containers = [os.fsencode(shard.path.absolute()) for shard in shards]
        are_there = [shard.origin.encoded() for shard in shards if shard.origin]
        files = table.files(containers, are_there or None)
        return Part(f"{self.name}/{role}", table, files, json.dumps([role, *map(_key, shards)]))

    def _scanned(self, own: str) -> list[dict[str, Any]]:
        """What each shard's headers say: lists of ids, names, offsets, lengths and labels, and some sizes."""
        if own not in self._scans:
            shards = self._shards[own]
            ticker, found = Ticker(self._progress, "reading shards' headers", len(shards)), []
            for number, shard in enumerate(shards, 1):
                found.append(_kept_scan(shard, self._progress))
                ticker(number)
            self._scans[own] = found
        return self._scans[own]


def _key(shard: Shard) -> str:
    if shard.origin is not None:
        return shard.origin.key
    try:
        return digest(str(shard.path.resolve()), json.dumps(stamp(shard.path)))
    except OSError as error:
        raise ArchiveError(f"{shard.path}: can't be read ({error.strerror}).") from error


def _kept_scan(shard: Shard, progress: Progress | None) -> dict[str, Any]:
    place = cache_root() / "indexes" / f"shard-{digest(SCAN_VERSION, _key(shard))}.json"
    with suppress(OSError, ValueError):
        found = json.loads(place.read_text())
        if isinstance(found, dict):
            return found
    if shard.origin is not None:
        ensure(str(shard.path), shard.origin.encoded(), progress)
    samples = scan(shard.path, shard.label)
    images = [(sample, sample.image) for sample in samples if sample.image is not None]
    measured = sorted({0, len(images) // 2, len(images) - 1})[:MEASURED]
    found = {
        "ids": [sample.key for sample, _ in images],
        "names": [image.name for _, image in images],
        "offsets": [image.offset for _, image in images],
        "lengths": [image.size for _, image in images],
        "labels": [sample.label for sample, _ in images],
        "sizes": [size_in(shard.path, images[i][1]) for i in measured],
    }
    with suppress(OSError, StorageError):  # a cache that can't be written costs time, and nothing else
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, json.dumps(found))
    return found
