"""A CSV of paths and labels beside images.

    birds/labels.csv              path,label        also with a column "split": train, val or test
    birds/images/a/1.jpg          images/a/1.jpg,owl

    birds/train.csv  birds/val.csv  birds/test.csv  birds/images/…     or a table for each part

The column of paths is the one whose values are images below the folder: whole paths, with or without the suffix, or
names alone where those are unique. An image's id is what the table calls it. Rows without label in the part test are to
be predicted. Images without a row are left out: `faults` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.formats import FolderArchive
from podium.data.images import Images, digest
from podium.data.origin import ArchiveOrigin, Origin
from podium.data.progress import Progress
from podium.data.sources.listed import NoLabelsError, Rows, columns_of, has_classes, rows_in
from podium.data.sources.packed import PackedDataset, check_ids, encode, some
from podium.data.sources.paths import Paths
from podium.data.sources.top import LABELS, Top, read_file, role_in
from podium.data.store import Pack
from podium.errors import ArchiveError, DataError, TableError

__all__ = ["TableDataset", "find"]

LOOKED_FOR = "a CSV of paths and labels beside images"
TITLES = {"val": "validation rows", "test": "labelled test rows"}


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> TableDataset | None:
    """The images that a table at `path` lists: a CSV file, or a folder with one; None if there is none.

    Raises:
        ArchiveError: the images' folder can't be read.
        DataError: several tables list images, and it isn't clear which is meant.
        TableError: the table has no column of labels, or isn't well formed.
    """
    is_named = path.is_file() and path.suffix.lower() == ".csv"
    if not is_named and not path.is_dir():
        return None
    root = path.parent if is_named else path
    top = Top(root)
    tables = [path.name] if is_named else top.tables
    if not tables:
        return None
    paths = Paths(FolderArchive(root, root.resolve().name, images_only=True).names)
    found: dict[str, dict[str, Rows]] = {}
    errors: list[TableError] = []
    for name in tables:
        data = read_file(root / name)
        try:
            columns = columns_of(data, name, paths, labels, is_meant=is_named or _says_so(name))
        except NoLabelsError:
            raise
        except TableError as error:
            errors.append(error)
        else:
            if columns is not None:
                found[name] = rows_in(data, name, columns, paths, root)
    if not found and errors and (is_named or labels is not None or not has_classes(paths)):
        raise errors[0]  # else the table may be about something else
    telling = [name for name in tables if is_named or _says_so(name)]
    if not found and telling and (is_named or (paths.names and not has_classes(paths))):
        raise TableError(f"{root / telling[0]}: none of its columns names images that lie below {root}.")
    if not found:
        return None
    return TableDataset(path, root, _parts(found, path), paths, top, image_size, progress)


def _says_so(name: str) -> bool:
    """Whether a table's name says that it lists images."""
    return name.lower() in LABELS or role_in(name) is not None


def _parts(found: dict[str, dict[str, Rows]], path: Path) -> dict[str, Rows]:
    """The rows of "train", "val" and "test", of one table or of one each."""
    parts: dict[str, Rows] = {}
    origins: dict[str, str] = {}
    for name, tables_parts in found.items():
        # A table that names no part is that of the labelled images.
        own = role_in(name) or "train" if len(found) > 1 else "train"
        for role, rows in tables_parts.items():
            if (role or own) in parts:
                raise DataError(
                    f"{path}: {origins[role or own]} and {name} both list images. Say which is meant: give its path "
                    f"instead, for instance {path / name}."
                )
            parts[role or own], origins[role or own] = rows, name
    if "train" not in parts:
        raise TableError(f"{', '.join(found)}: has no row of the part train.")
    for role, rows in parts.items():
        if role != "test" and "" in rows.labels:
            raise TableError(f"{rows.wheres[rows.labels.index('')]}: has no label. Add it, or take the row out.")
    return parts


class TableDataset(PackedDataset):
    """Images that a table lists."""

    kind = "table"

    def __init__(
        self,
        path: Path,
        root: Path,
        parts: dict[str, Rows],
        paths: Paths,
        top: Top,
        image_size: int | None,
        progress: Progress | None,
    ) -> None:
        super().__init__(root, image_size, progress, top)
        self.path = path
        self.labels_from = parts["train"].label_column
        self._parts = parts
        self._paths = paths

    @cached_property
    def train(self) -> Images:
        """The labelled images, in natural order of their places. Raises as `Dataset.train`."""
        return self._labelled("train", self._train_pack)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The K labels, sorted."""
        return tuple(sorted(set(self._parts["train"].labels)))

    @property
    def evaluation_name(self) -> str | None:
        """Which rows they are, or None. Raises TableError."""
        role = self._evaluation_role
        return None if role is None else TITLES[role]

    @cached_property
    def evaluation(self) -> Images | None:
        """The images of val; or those of test, if they have labels. Raises as `Dataset.train`."""
        role = self._evaluation_role
        if role is None:
            return None
        rows = self._parts[role]
        for label, where in zip(rows.labels, rows.wheres, strict=True):
            if label not in self.classes:
                raise TableError(f"{where}: {label!r} is no class of the rows to train on: {some(self.classes)}.")
        return self._labelled(role, self._pack(role))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images' places, pixels and labels. Raises as `train`."""
        assert self.train.labels is not None
        return digest(self._train_pack.fingerprint, "\n".join(self.classes), self.train.labels.tobytes())

    def faults(self, progress: Progress | None = None) -> list[str]:
        """Which images have no row."""
        listed = {name for rows in self._parts.values() for name in rows.names}
        others = sorted(name for name in self._paths.names if name not in listed)
        if not others:
            return []
        images = "1 image" if len(others) == 1 else f"{len(others):,} images"
        return [f"Left out, since without a row: {images}, {', '.join(others[:5])}{', …' * (len(others) > 5)}."]

    # ---- parts and packs

    @cached_property
    def _evaluation_role(self) -> str | None:
        if "val" in self._parts:
            return "val"
        rows = self._parts.get("test")
        if rows is None or not any(rows.labels):
            return None
        if "" in rows.labels:
            raise TableError(
                f"{rows.wheres[rows.labels.index('')]}: has no label, though other rows of the part test have.\n"
                "An evaluation set has a label in every row, a test set in none."
            )
        return "test"

    def _origin(self, role: str) -> Origin:
        return ArchiveOrigin(self._paths_root, is_tree=True, only=frozenset(self._parts[role].names))

    @property
    def _paths_root(self) -> Path:
        assert self._top is not None
        return self._top.path

    def _pack(self, role: str) -> Pack:
        def check(ids: Sequence[str]) -> None:
            if len(ids) != len(self._parts[role].names):
                raise ArchiveError(f"{self.name}: was changed while it was read. Wait until it is complete.")

        return self._load(self._origin(role), check)

    @cached_property
    def _train_pack(self) -> Pack:
        return self._pack("train")

    def _labelled(self, role: str, pack: Pack) -> Images:
        rows = self._parts[role]
        label_of = dict(zip(rows.names, rows.labels, strict=True))
        labels = encode([label_of[name] for name in pack.ids], self.classes)
        return Images(pack.pixels, labels, np.array(self._given(role, pack.ids)), self.classes)

    def _given(self, role: str, names: Sequence[str]) -> list[str]:
        given = dict(zip(self._parts[role].names, self._parts[role].ids, strict=True))
        return [given[name] for name in names]

    # ---- the test set, as PackedDataset has it

    @property
    def _test_origin(self) -> Origin | None:
        return None if "test" not in self._parts or self._evaluation_role == "test" else self._origin("test")

    def _check_test(self, ids: Sequence[str]) -> None:
        if self._sample is not None:
            check_ids(self._given("test", ids), self._sample, self.name)

    def _test_ids(self, ids: list[str]) -> npt.NDArray[np.str_]:
        return super()._test_ids(self._given("test", ids))

    @property
    def _labels_name(self) -> str:
        return self._parts["train"].wheres[0].partition(", line")[0]
