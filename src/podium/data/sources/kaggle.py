"""A Kaggle image competition's folder, as it is downloaded.

    train.7z   test.7z   trainLabels.csv   sampleSubmission.csv

Each archive may also be a .zip, a .tar or an unpacked folder, and all four may lie in the competition's one outer zip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.formats import is_archive, opened_zip, read_zip_member
from podium.data.images import Dataset, Images, ImageStream, SampleSubmission, digest
from podium.data.progress import Progress
from podium.data.store import Pack, Source, load_pack, stream_pack
from podium.data.tables import Table, read_table
from podium.errors import ArchiveError, DataError, TableError

__all__ = ["KaggleDataset", "find", "near_miss"]

LOOKED_FOR = "train.7z, .zip or .tar or a folder train, and trainLabels.csv"
LABELS = ("trainlabels.csv", "train_labels.csv", "labels.csv", "train.csv")
MAX_TABLE_BYTES = 1 << 28  # 256 MiB: more than ten million rows
SAMPLE = ("samplesubmission.csv", "sample_submission.csv")


class _Files:
    """What a folder, or an outer zip, holds at its top: found by name, whatever its case.

    `names` has each name as it is by its lower-case form; a folder's ends with "/".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_zip = path.is_file()
        if not self.is_zip:
            names = [entry.name + "/" * entry.is_dir() for entry in path.iterdir()]
            self.names = {name.lower(): name for name in names}
            return
        with opened_zip(path, path.name) as archive:
            members = [info.filename for info in archive.infolist()]
        members = [name for name in members if not name.startswith("__MACOSX/")]
        tops = {name.split("/")[0] for name in members}
        # Zipping a folder puts everything under its name.
        prefix = f"{next(iter(tops))}/" if len(tops) == 1 and all("/" in name for name in members) else ""
        self.names = {}
        for name in members:
            top, slash, _ = name.removeprefix(prefix).partition("/")
            if top:
                self.names[top.lower() + slash] = prefix + top + slash

    def source(self, role: str) -> Source | None:
        """The archive or folder of the images of `role`: "train" or "test"."""
        archives = [real for name, real in sorted(self.names.items()) if _is_archive_of(role, name)]
        found = archives[0] if archives else self.names.get(f"{role}/")
        if found is None:
            return None
        return Source(self.path, found) if self.is_zip else Source(self.path / found)

    def table_name(self, names: Sequence[str]) -> str | None:
        return next((self.names[name] for name in names if name in self.names), None)

    def table(self, name: str) -> Table:
        if self.is_zip:
            with opened_zip(self.path, self.path.name) as archive:
                info = archive.getinfo(name)
                _check_size(self.path.name, name, info.file_size)
                data = read_zip_member(archive, info, self.path.name)
        else:
            try:
                _check_size(str(self.path), name, (self.path / name).stat().st_size)
                data = (self.path / name).read_bytes()
            except OSError as error:
                raise TableError(f"{self.path / name}: can't be read ({error.strerror}).") from error
        return read_table(data, Path(name).name)


def _check_size(where: str, name: str, num_bytes: int) -> None:
    if num_bytes > MAX_TABLE_BYTES:
        raise TableError(
            f"{where}/{name}: is {num_bytes:,} bytes; more than {MAX_TABLE_BYTES:,} is refused.\n"
            "It should have no more than a line for each image."
        )


def _is_archive_of(role: str, name: str) -> bool:
    return name.startswith(f"{role}.") and is_archive(Path(name))


def files_at(path: Path) -> _Files | None:
    """The competition's files at `path`; None if there are none."""
    if path.is_dir():
        files = _Files(path)
        if files.source("train") and files.table_name(LABELS):
            return files
        zips = [path / name for name in files.names.values() if name.lower().endswith(".zip")]
        if len(zips) != 1 or files.source("train"):
            return None
        path = zips[0]
    elif path.suffix.lower() != ".zip":
        return None
    files = _Files(path)
    return files if files.source("train") and files.table_name(LABELS) else None


def find(path: Path, *, image_size: int | None = None, progress: Progress | None = None) -> KaggleDataset | None:
    """The competition at `path`, a folder or an outer zip file; None if there is none. Raises ArchiveError."""
    files = files_at(path)
    return None if files is None else KaggleDataset(path, files, image_size, progress)


def near_miss(path: Path) -> str | None:
    """What a folder lacks that holds a part of a competition's files; None if it holds none of them."""
    if not path.is_dir():
        return None
    files = _Files(path)
    train, labels = files.source("train"), files.table_name(LABELS)
    if train and not labels:
        return f"{train.label} is there, but trainLabels.csv is missing"
    if labels and not train:
        return f"{labels} is there, but train.7z (or .zip, .tar, or a folder train) is missing"
    return None


class KaggleDataset(Dataset):
    """A competition's files; each is read when it is asked for."""

    kind = "kaggle"

    def __init__(self, path: Path, files: _Files, image_size: int | None, progress: Progress | None) -> None:
        self.path = path
        self.name = path.resolve().stem if path.is_file() else path.resolve().name
        self.resized_to = image_size
        self._files = files
        self._load = partial(load_pack, image_size=image_size, progress=progress)
        self._stream = partial(stream_pack, image_size=image_size, progress=progress)

    @cached_property
    def train(self) -> Images:
        """The labelled images, in natural order of their ids. Raises as `Dataset.train`."""
        pack = self._train_pack
        class_index = {name: i for i, name in enumerate(self.classes)}
        return _images(pack, _join(pack.ids, self._labels, class_index), self.classes)

    @cached_property
    def test(self) -> Images | None:
        """The images to be predicted, in natural order of their ids. Raises as `Dataset.test`."""
        source = self._test_source
        return None if source is None else _images(self._load(source, self._check_test), None, self.classes)

    def stream_test(self, size: int) -> ImageStream | None:
        """The images of `test` in batches of about `size`; on a first opening, while they are read."""
        if "test" in self.__dict__ or (source := self._test_source) is None:
            return super().stream_test(size)
        found = self._stream(source, self._check_test)
        if isinstance(found, Pack):
            return _images(found, None, self.classes).stream(size)

        def images() -> Images:
            kept = self.test
            assert kept is not None
            return kept

        return ImageStream(np.array(found.ids), None, found.batches, images)

    @property
    def _test_source(self) -> Source | None:
        source, table = self._files.source("test"), self._sample
        if source is None and table is not None:
            raise DataError(
                f"{self.path}: {table.name} is there, but test.7z (or .zip, .tar, or a folder test) is missing."
            )
        return source

    def _check_test(self, ids: Sequence[str]) -> None:
        if self._sample is not None and self._test_source is not None:
            _check_ids(ids, self._sample, self._test_source.label)

    @cached_property
    def sample_submission(self) -> SampleSubmission | None:
        """The form of a submission. Raises TableError if it has a class that trainLabels.csv hasn't."""
        table = self._sample
        if table is None:
            return None
        if unknown := set(table.labels).difference(self.classes):
            row = next(i for i, label in enumerate(table.labels) if label in unknown)
            raise TableError(
                f"{table.name}, line {table.lines[row]}: {table.labels[row]!r} is no class of {self._labels.name}, "
                f"which has {_some(self.classes)}."
            )
        path = self._files.path / (self._files.table_name(SAMPLE) or "")
        return SampleSubmission(path, table.columns, np.array(table.ids))

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
        source = self._files.source("train")
        assert source is not None, self.path
        return self._load(source, partial(_check_ids, table=self._labels, label=source.label))

    @cached_property
    def _labels(self) -> Table:
        name = self._files.table_name(LABELS)
        assert name is not None, self.path
        return self._files.table(name)

    @cached_property
    def _sample(self) -> Table | None:
        name = self._files.table_name(SAMPLE)
        return None if name is None else self._files.table(name)


def _images(pack: Pack, labels: npt.NDArray[np.int64] | None, classes: tuple[str, ...]) -> Images:
    return Images(pack.pixels, labels, np.array(pack.ids), classes)


def _check_ids(ids: Sequence[str], table: Table, label: str) -> None:
    """Raises unless the archive's ids and the table's are the same."""
    if len(ids) == len(table.ids) and (ids == table.ids or set(ids) == set(table.ids)):
        return
    present, named = set(ids), set(table.ids)
    for row, image_id in enumerate(table.ids):
        if image_id not in present:
            raise TableError(
                f"{table.name}, line {table.lines[row]}: id {image_id!r} has no image in {label}"
                f"{_and_more(len(named - present))}. Add it, or take the row out."
            )
    missing = [image_id for image_id in ids if image_id not in named]
    raise ArchiveError(
        f"{label}: image {missing[0]!r} has no row in {table.name}{_and_more(len(missing))}. "
        "Add it, or take the image out."
    )


def _join(ids: Sequence[str], table: Table, class_index: dict[str, int]) -> npt.NDArray[np.int64]:
    """The label of each id, int64 (N,)."""
    labels = table.labels
    if ids != table.ids:
        row_of = {image_id: row for row, image_id in enumerate(table.ids)}
        labels = [table.labels[row_of[image_id]] for image_id in ids]
    return np.array([class_index[label] for label in labels], np.int64)


def _and_more(count: int) -> str:
    return "" if count == 1 else f" (nor have {count - 1:,} more)"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
