"""A Kaggle image competition's folder, as it is downloaded.

    train.7z   test.7z   trainLabels.csv   sampleSubmission.csv

Each archive may also be a .zip, a .tar or an unpacked folder, and all four may lie in the competition's one outer zip.
Other competitions' names do as well: train_images and test_images, train.csv with columns such as id_code and
diagnosis, ids with or without the files' suffix.
"""

from __future__ import annotations

from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.images import Images, digest
from podium.data.origin import Origin
from podium.data.progress import Progress
from podium.data.sources.packed import PackedDataset, as_given, check_ids, encode
from podium.data.sources.top import LABELS, Top, role_in
from podium.data.store import Pack
from podium.data.tables import Table, find_columns, read_table, rows_of
from podium.errors import DataError, TableError

__all__ = ["KaggleDataset", "find", "near_miss", "top_at"]

LOOKED_FOR = "train.7z (or .zip, .tar, a folder) with trainLabels.csv"


def top_at(path: Path) -> Top | None:
    """The names of the competition at `path`; None if there is none."""
    if path.is_dir():
        top = Top(path)
        if top.origin("train") and _labels_name(top):
            return top
        zips = [path / name for name in top.names.values() if name.lower().endswith(".zip")]
        if len(zips) != 1 or top.origin("train"):
            return None
        path = zips[0]
    elif path.suffix.lower() != ".zip":
        return None
    top = Top(path)
    return top if top.origin("train") and _labels_name(top) else None


def _labels_name(top: Top) -> str | None:
    """The table of labels: by the usual names, or beside an archive the only one there is."""
    if found := top.table_name(LABELS):
        return found
    others = [name for name in top.tables if role_in(Path(name).name) in (None, "train")]
    return others[0] if len(others) == 1 and top.origin("train", archives_only=True) else None


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> KaggleDataset | None:
    """The competition at `path`, a folder or an outer zip file; None if there is none.

    Raises:
        ArchiveError: the zip file is damaged.
        TableError: it has no column called `labels`.
    """
    top = top_at(path)
    if top is None or _lists_paths(top):
        return None
    dataset = KaggleDataset(path, top, image_size, progress, labels)
    if labels is not None:
        _ = dataset.classes  # a wrong name is said now
    return dataset


def _lists_paths(top: Top) -> bool:
    """Whether the labels are of folders of classes, or of paths, so that names without folders wouldn't do."""
    origin, name = top.origin("train"), _labels_name(top)
    assert origin is not None
    assert name is not None
    if top.is_zip or not origin.path.is_dir():
        return False
    try:
        header, *rows = [row for _, row in islice(rows_of(top.read(name), name), 9)]
    except TableError:
        return False
    try:
        column = find_columns(header, name, header[-1]).ids  # whichever has the labels
        values = [row[column] for row in rows if len(row) > column]
    except TableError:  # not told by its name, so perhaps by what is in it
        values = [value for row in rows for value in row]
    if any("/" in value for value in values):
        return True
    folders = [entry for entry in origin.path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if len(folders) < 2:
        return False
    found = [file.stem for folder in folders for file in islice(folder.iterdir(), 10_000)]
    stems = set(found)
    if len(stems) < len(found):
        return True
    return not any(value.strip().rpartition(".")[0] in stems or value.strip() in stems for value in values)


def near_miss(path: Path) -> str | None:
    """What a folder lacks that holds a part of a competition's files; None if it holds none of them."""
    if not path.is_dir():
        return None
    top = Top(path)
    train, labels = top.origin("train"), top.table_name(LABELS)
    if train and not labels:
        return f"{train.label} is there, but trainLabels.csv is missing"
    if labels and not train:
        return f"{labels} is there, but train.7z (or .zip, .tar, or a folder train) is missing"
    return None


class KaggleDataset(PackedDataset):
    """A competition's files; each is read when it is asked for."""

    kind = "kaggle"

    def __init__(
        self, path: Path, top: Top, image_size: int | None, progress: Progress | None, labels: str | None = None
    ) -> None:
        super().__init__(path, image_size, progress, top)
        self.labels_from = labels
        self._files = top

    @cached_property
    def train(self) -> Images:
        """The labelled images, in natural order of their ids. Raises as `Dataset.train`."""
        pack = self._train_pack
        ids, labels = self._join(pack.ids)
        return Images(pack.pixels, labels, np.array(ids), self.classes)

    @property
    def _test_origin(self) -> Origin | None:
        origin, table = self._files.origin("test"), self._sample
        if origin is None and table is not None:
            raise DataError(
                f"{self.path}: {table.name} is there, but test.7z (or .zip, .tar, or a folder test) is missing."
            )
        return origin

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K class names, sorted. Raises TableError."""
        return tuple(sorted(set(self._labels.labels)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training set's ids, pixels and labels. Raises as `train`."""
        assert self.train.labels is not None
        return digest(self._train_pack.fingerprint, "\n".join(self.classes), self.train.labels.tobytes())

    @cached_property
    def _train_pack(self) -> Pack:
        origin = self._files.origin("train")
        assert origin is not None, self.path
        return self._load(origin, partial(check_ids, table=self._labels, label=origin.label))

    @cached_property
    def _labels(self) -> Table:
        name = _labels_name(self._files)
        assert name is not None, self.path
        return read_table(self._files.read(name), Path(name).name, self.labels_from)

    @property
    def _labels_name(self) -> str:
        return self._labels.name

    def _join(self, ids: list[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
        """The pack's ids as the table has them, and the label of each, int64 (N,)."""
        table = self._labels
        if ids == table.ids:
            return ids, encode(table.labels, self.classes)
        given = as_given(ids, table.ids)
        assert given is not None
        label_of = dict(zip(table.ids, table.labels, strict=True))
        return given, encode([label_of[image_id] for image_id in given], self.classes)
