"""Parquet files as the Hugging Face hub stores image sets: a folder of them, or one.

    food/data/train-00000-of-00002.parquet    also in the folder itself, or in its only subfolder
    food/data/validation-00000-of-00001.parquet
    food/data/test-00000-of-00001.parquet     labelled: to measure on, if there is no validation

Ids are a column's, if there is one of different values (id, image_id, file_name, …), else the rows' places from 0.
Reading needs pyarrow, which the extra "parquet" installs.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np

from podium.data.images import Images, digest
from podium.data.origin import Origin
from podium.data.packing import natural_order
from podium.data.parquet_files import Columns, ParquetOrigin, columns_in, read_column
from podium.data.progress import Progress
from podium.data.sources.packed import PackedDataset, encode, some
from podium.data.sources.top import Top, folders_in, role_in, role_of
from podium.data.store import Pack
from podium.data.tables import LABEL_COLUMNS
from podium.errors import DataError

__all__ = ["ParquetDataset", "find"]

LOOKED_FOR = "Parquet files of images"
PEEKED_FILES = 1000
MAX_FOLDERS = 32  # more are classes, and not the variants of a data set
TITLES = {"val": "validation split", "test": "test split"}


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> ParquetDataset | None:
    """The image set at `path`, a Parquet file or a folder of such; None if there is none.

    Raises:
        ArchiveError: a file is damaged.
        DataError: pyarrow isn't installed, the files have no images or not these labels, or it isn't clear which are
            meant.
    """
    splits = _splits_at(path)
    if not splits:
        return None
    if "train" not in splits:
        if len(splits) > 1:
            raise DataError(f"{path}: has files of {' and '.join(sorted(splits))}, but none of train.")
        splits = {"train": next(iter(splits.values()))}  # all that there is
    columns = columns_in(splits["train"][0])
    return ParquetDataset(path, splits, columns, _label_column(path, columns, labels), image_size, progress)


def _splits_at(path: Path) -> dict[str, list[Path]]:
    """The files of each split: told by their names, or by those of the folders that they lie in."""
    if path.is_file():
        return {"train": [path]} if path.suffix.lower() == ".parquet" else {}
    for folder in (path, path / "data"):
        if folder.is_dir() and (found := _splits_in(folder)):
            return found
    folders = folders_in(path)
    inner = [(entry, found) for entry in folders if len(folders) <= MAX_FOLDERS and (found := _splits_in(entry))]
    if len(inner) > 1:
        names = ", ".join(entry.name for entry, _ in inner)
        raise DataError(f"{path}: holds several sets of Parquet files: {names}. Give the one that you mean.")
    return inner[0][1] if inner else {}


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    files = [(role_in(file.name), file) for file in _files_in(folder)]
    for entry in folders_in(folder):
        if role := role_of(entry.name):
            files += [(role, file) for file in _files_in(entry)]
    if files and all(role is None for role, _ in files):
        return {"train": [file for _, file in files]}
    splits: dict[str, list[Path]] = {}
    for role, file in files:
        if role is None:
            raise DataError(
                f"{file}: of which split it is, its name doesn't say, while others' do. Rename it, or take it out."
            )
        splits.setdefault(role, []).append(file)
    return splits


def _files_in(folder: Path) -> list[Path]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if entry.name.lower().endswith(".parquet") and entry.is_file():
                names.append(entry.name)
            if number == PEEKED_FILES and not names:  # a folder of other things
                break
    return [folder / names[i] for i in natural_order(names)]


def _label_column(path: Path, columns: Columns, labels: str | None) -> str:
    names = list(columns.labels)
    if labels is not None:
        for name in (labels, f"{labels}_label"):
            if name in names:
                return name
        raise DataError(f"{path}: has no column {labels!r} for the labels; it has {', '.join(names) or 'none'}.")
    for known in (*LABEL_COLUMNS, "fine_label"):
        if known in names:
            return known
    if len(names) != 1:
        what = (
            f"has several columns of labels: {', '.join(names)}. Choose" if names else "has no column of labels. Name"
        )
        raise DataError(f"{path}: {what} one with --labels COLUMN.")
    return names[0]


class ParquetDataset(PackedDataset):
    """An image set in Parquet files."""

    kind = "parquet"

    def __init__(
        self,
        path: Path,
        splits: dict[str, list[Path]],
        columns: Columns,
        labels: str,
        image_size: int | None,
        progress: Progress | None,
    ) -> None:
        super().__init__(path, image_size, progress, Top(path) if path.is_dir() else None)
        self.labels_from = labels
        self._names = columns.labels[labels]
        self._origins = {
            role: ParquetOrigin(f"{self.name} ({role})", tuple(files), columns) for role, files in splits.items()
        }

    @cached_property
    def train(self) -> Images:
        """The labelled images, in natural order of their ids. Raises as `Dataset.train`."""
        return self._labelled("train", self._train_pack)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K class names, sorted: all that the schema has, or else all that are there. Raises DataError."""
        return tuple(sorted(set(self._labels("train")) if self._names is None else self._names))

    @property
    def evaluation_name(self) -> str | None:
        """Which of the splits it is, or None. Raises DataError."""
        role = self._evaluation_role
        return None if role is None else TITLES[role]

    @cached_property
    def evaluation(self) -> Images | None:
        """The validation split; or the test split, if it has labels. Raises as `Dataset.train`."""
        role = self._evaluation_role
        return None if role is None else self._labelled(role, self._load(self._origins[role], lambda ids: None))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images' ids, pixels and labels. Raises as `train`."""
        assert self.train.labels is not None
        return digest(self._train_pack.fingerprint, "\n".join(self.classes), self.train.labels.tobytes())

    @cached_property
    def _train_pack(self) -> Pack:
        self._labels("train")  # what is wrong with them is said before anything is decoded
        return self._load(self._origins["train"], lambda ids: None)

    @cached_property
    def _evaluation_role(self) -> str | None:
        if "val" in self._origins:
            return "val"
        if "test" not in self._origins or not any(self._values("test")):
            return None
        return "test"

    def _labelled(self, role: str, pack: Pack) -> Images:
        origin, names = self._origins[role], self._labels(role)
        if unknown := set(names).difference(self.classes):
            row = next(i for i, name in enumerate(names) if name in unknown)
            raise DataError(
                f"{origin.label}: row {row} has the label {names[row]!r}, which is no class of the rows to train on: "
                f"{some(self.classes)}."
            )
        label_of = dict(zip(origin.ids, names, strict=True))
        labels = encode([label_of[image_id] for image_id in pack.ids], self.classes)
        return Images(pack.pixels, labels, np.array(pack.ids), self.classes)

    def _labels(self, role: str) -> list[str]:
        """The class of each row. Raises DataError if one has none."""
        values = self._values(role)
        if "" in values:
            raise DataError(f"{self._origins[role].label}: row {values.index('')} has no label, while others have.")
        return values

    def _values(self, role: str) -> list[str]:
        """The class of each row, "" where there is none: null, or -1 where numbers have names."""
        origin, column = self._origins[role], self.labels_from
        assert column is not None
        if role == "test" and column not in columns_in(origin.paths[0]).labels:
            return [""] * len(origin.ids)
        values = read_column(origin.paths, column)
        if self._names is None:
            return ["" if value is None or value == -1 else str(value) for value in values]
        for row, value in enumerate(values):
            if value is not None and not -1 <= value < len(self._names):
                raise DataError(
                    f"{origin.label}: row {row} has the label {value}, beyond its {len(self._names)} classes."
                )
        return ["" if value is None or value == -1 else self._names[value] for value in values]

    # ---- the test set, as PackedDataset has it

    @property
    def _test_origin(self) -> Origin | None:
        return None if self._evaluation_role == "test" else self._origins.get("test")
