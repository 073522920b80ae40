"""What all data sets in shards share, and those that podium wrote, whose index.json says where what lies."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.encoded import EncodedPixels, Files
from podium.data.images import Dataset, Images, SampleSubmission, digest
from podium.data.packing import Listing, decoded
from podium.data.progress import Progress
from podium.data.shard_index import ShardIndex, SplitIndex
from podium.data.shard_places import Place
from podium.data.shard_table import ShardTable
from podium.data.store import load_pack
from podium.data.tables import Columns, read_table
from podium.errors import ArchiveError, PodiumError
from podium.limits import memory

__all__ = ["IndexedShards", "Part", "ShardsDataset", "fits_in_memory"]


@dataclass(frozen=True)
class Part:
    """One of train, evaluation and test.

    Attributes:
        label: what messages call it.
        table: what its images are.
        files: where they lie, by row.
        content: changes when the content does.
        state: as of `Origin`.
    """

    label: str
    table: ShardTable
    files: Files
    content: str
    state: str = ""


def fits_in_memory(num_images: int, size: tuple[int, int]) -> bool:
    """Whether pixels take less than half of the memory that there is, or that the control group allows.

    Of what there is, and not of what is free now: the same command should do the same on each day.
    """
    found = memory()
    whole = found.limit or found.total
    return not whole or num_images * size[0] * size[1] * 3 < whole // 2


class ShardsDataset(Dataset):
    """A data set in shards.

    Args:
        path: as given by the user.
        image_size: each image's side in pixels; None: as they are.
        progress: told how far reading is.
        url: as given by the user, if it isn't a path.
    """

    kind = "shards"

    def __init__(self, path: Path, image_size: int | None, progress: Progress | None, url: str | None = None) -> None:
        self.path = path
        self.resized_to = image_size
        self._progress = progress
        self._url = url

    @property
    def reference(self) -> str:
        """As of `Dataset`; an URL as it was given."""
        return self._url or super().reference

    @property
    def place(self) -> str:
        """As of `Dataset`."""
        return self._url.partition("?")[0] if self._url else super().place

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width that images are handed over in."""

    @property
    @abstractmethod
    def is_resident(self) -> bool:
        """Whether all are decoded once, and not when they are asked for."""

    @abstractmethod
    def part(self, role: str) -> Part | None:
        """One of "train", "evaluation" and "test". Raises as `train`."""

    @cached_property
    def train(self) -> Images:
        """The images to train on, in the order that they had before they were shuffled. Raises as `Dataset.train`."""
        images = self._images("train")
        assert images is not None, self.path
        return images

    @cached_property
    def evaluation(self) -> Images | None:
        """The images to measure on. Raises as `Dataset.train`."""
        return self._images("evaluation")

    @cached_property
    def test(self) -> Images | None:
        """The images to be predicted. Raises as `Dataset.train`."""
        return self._images("test")

    @property
    def sample_submission(self) -> SampleSubmission | None:
        """None."""
        return None

    def _images(self, role: str) -> Images | None:
        part = self.part(role)
        if part is None:
            return None
        labels = None
        if role != "test":
            labels = part.table.labels_by_row()
            if (labels < 0).any():
                row = int(np.flatnonzero(labels < 0)[0])
                raise ArchiveError(f"{part.files.where(row)}: nothing says the label of this image.")
        return Images(self._pixels(part), labels, part.table.ids_by_row(), self.classes)

    def _pixels(self, part: Part) -> npt.NDArray[np.uint8] | EncodedPixels:
        if not self.is_resident:
            return EncodedPixels(part.files, self.size)
        return load_pack(_PartOrigin(part), lambda _: None, self.resized_to, self._progress).pixels


@dataclass(frozen=True)
class _PartOrigin:
    """An `Origin` of a part: what the store decodes."""

    part: Part

    @property
    def label(self) -> str:
        return self.part.label

    def open(self, scratch: Path, progress: Progress | None = None) -> Listing:
        files = self.part.files
        ids = self.part.table.ids_by_row().tolist()

        def where(name: str) -> str:
            return files.where(int(name))

        def members() -> Generator[tuple[str, bytes]]:
            for row in np.lexsort((files.offsets, files.container)).tolist():  # as they lie
                yield str(row), files.read(row)

        rows = {str(row): row for row in range(len(ids))}
        return Listing(self.label, ids, rows, lambda image_size: decoded(members(), where, image_size), where)

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        return digest("shards", self.part.content), self.part.state

    def state(self) -> str:
        return self.part.state


class IndexedShards(ShardsDataset):
    """Shards that podium wrote.

    Args:
        path: as given by the user.
        place: where they lie.
        index: of them.
        image_size: as of `ShardsDataset`.
        progress: as of `ShardsDataset`.
        url: as of `ShardsDataset`.
    """

    def __init__(
        self,
        path: Path,
        place: Place,
        index: ShardIndex,
        image_size: int | None,
        progress: Progress | None,
        url: str | None = None,
    ) -> None:
        super().__init__(path, image_size, progress, url)
        self._place = place
        self._index = index
        self.name = index.name
        self.labels_from = index.labels
        self._parts: dict[str, Part] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """As the index has them."""
        return self._index.classes

    @property
    def size(self) -> tuple[int, int]:
        """As asked for, or as the images had it that were put into shards."""
        return self._index.image_size if self.resized_to is None else (self.resized_to, self.resized_to)

    @property
    def is_resident(self) -> bool:
        """What stayed encoded where it came from stays so; other images are decoded once, if there is memory."""
        num_images = self._index.splits["train"].num_images
        return not self._index.is_encoded and fits_in_memory(num_images, self.size)

    @property
    def evaluation_name(self) -> str | None:
        """As the index has it."""
        return (self._index.evaluation or "evaluation shards") if "evaluation" in self._index.splits else None

    @property
    def fingerprint(self) -> str:
        """That of the data set which the shards were made of, unless its pixels were resized."""
        if self._index.is_encoded or self.size == self._index.image_size:
            return self._index.fingerprint
        return digest(self._index.fingerprint, str(self.resized_to))

    @cached_property
    def sample_submission(self) -> SampleSubmission | None:
        """As it was where the shards came from. Raises ArchiveError, TableError."""
        stored = self._index.sample_submission
        if stored is None:
            return None
        table = read_table(self._place.read(stored), stored.name, columns=Columns(0, 1))
        return SampleSubmission(Path(self._place.label(stored.name)), table.columns, np.array(table.ids))

    def faults(self, progress: Progress | None = None) -> list[str]:
        """Shards that aren't what the index says; those of a server are looked at when they are fetched."""
        found = []
        for split in self._index.splits.values():
            for shard in split.shards:
                try:
                    self._place.check([shard], progress)
                except PodiumError as error:
                    found.append(str(error))
        return found

    def part(self, role: str) -> Part | None:
        """As of `ShardsDataset`."""
        split = self._index.splits.get(role)
        if split is None:
            return None
        if role not in self._parts:
            self._parts[role] = self._read(role, split)
        return self._parts[role]

    def _read(self, role: str, split: SplitIndex) -> Part:
        sizes = [shard.num_bytes for shard in split.shards]
        label = self._place.label(split.table.name)
        table = ShardTable.decoded(self._place.read(split.table), label, sizes, len(self.classes))
        counts = np.bincount(table.shard, minlength=len(sizes)).tolist()
        if len(table) != split.num_images or counts != [shard.num_images for shard in split.shards]:
            raise ArchiveError(f"{label}: doesn't say as many images as index.json does. Get both again.")
        files = table.files(*self._place.containers(split.shards))
        if self.is_resident:
            self._place.check(split.shards, self._progress)
        content = json.dumps([role, split.table.sha256, *(shard.sha256 for shard in split.shards)])
        return Part(f"{self.name}/{role}", table, files, content)
