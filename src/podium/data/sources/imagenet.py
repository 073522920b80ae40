"""ImageNet (ILSVRC2012), however it lies there; nothing is unpacked, and images are decoded when they are asked for.

    ILSVRC2012_img_train.tar    a tar of 1,000 tars
    ILSVRC2012_img_val.tar      with ILSVRC2012_devkit_t12.tar.gz, or that unpacked
    ILSVRC2012_img_test….tar    if it is there

    ILSVRC/Data/CLS-LOC/train/n01440764/…, val/…, test/…     as Kaggle has it, unpacked or in its one zip, with
    LOC_val_solution.csv, LOC_sample_submission.csv

    train/n01440764/…           unpacked, or the 1,000 tars in a folder
    val/n01440764/…             in folders of classes; or flat, with the devkit or LOC_val_solution.csv

Classes are WordNet ids, sorted; an image's id is its name without suffix. So all layouts give the same data set.

Source: O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", arXiv 1409.0575.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from podium.data.encoded import EncodedPixels, Indices
from podium.data.image_index import Index
from podium.data.images import Dataset, Images, SampleSubmission, digest
from podium.data.progress import Progress
from podium.data.sources.devkit import ground_truth
from podium.data.sources.ilsvrc_files import TABLES, index_part, index_zip
from podium.data.sources.ilsvrc_layout import SAMPLE, SOLUTION, Layout, layout_at
from podium.data.sources.packed import check_ids, no_choice, some
from podium.data.sources.top import read_file
from podium.data.tables import Table, read_table
from podium.errors import DataError, TableError

__all__ = ["ImageNetDataset", "find"]

LOOKED_FOR = "ImageNet's ILSVRC2012_img_train.tar or ILSVRC/Data/CLS-LOC"
USUAL_SIZE = 224
WHOLE = {"train": 1_281_167, "val": 50_000, "test": 100_000}  # images
WORDS = {"train": "training", "val": "validation", "test": "test"}


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> ImageNetDataset | None:
    """ImageNet at `path`: a folder, the tar of its training images, or Kaggle's zip; None if it isn't there."""
    layout = layout_at(path)
    if layout is None:
        return None
    no_choice(path, labels)
    return ImageNetDataset(path, layout, image_size or USUAL_SIZE, progress)


class ImageNetDataset(Dataset):
    """ImageNet; its parts are listed when they are asked for, and the lists are kept in the cache.

    Args:
        path: as given by the user.
        layout: where what lies.
        image_size: each image's side in pixels as it is handed over.
        progress: told how far listing is.
    """

    kind = "imagenet"

    def __init__(self, path: Path, layout: Layout, image_size: int, progress: Progress | None) -> None:
        self.path = path
        self.name = path.resolve().stem if path.is_file() else path.resolve().name
        self.resized_to = image_size
        self._layout = layout
        self._progress = progress

    # ---- the four sets

    @cached_property
    def train(self) -> Images:
        """The training images, by class and then in natural order of their ids. Raises as `Dataset.train`."""
        index = self._index("train")
        assert index is not None, self.path
        if b"" in index.folders:
            row = int(np.flatnonzero(index.folders == b"")[0])
            raise DataError(f"{self._label('train')}: {index.files.where(row)} is in no folder or tar of a class.")
        labels = np.zeros(len(index), np.int64)  # the index is sorted by folders, as the classes are
        labels[1:] = np.cumsum(index.folders[1:] != index.folders[:-1])
        return self._images(index, labels)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The WordNet ids, sorted. Raises as `train`."""
        index = self._index("train")
        assert index is not None, self.path
        is_first = np.append([True], index.folders[1:] != index.folders[:-1])
        return tuple(name.decode(errors="replace") for name in index.folders[is_first].tolist())

    @property
    def evaluation_name(self) -> str | None:
        """What val is, if it is there."""
        return "validation set" if self._has("val") else None

    @cached_property
    def evaluation(self) -> Images | None:
        """The images of val, in natural order of their ids. Raises as `Dataset.train`."""
        index = self._index("val")
        if index is None:
            return None
        names = self._classes_of_val(index)
        known = set(self.classes)
        for row, name in enumerate(names):
            if name not in known:
                raise DataError(
                    f"{self._label('val')}: {index.ids[row].decode()} is of class {name}, of which there are no images "
                    f"to train on; there are {some(self.classes)}."
                )
        order = np.lexsort((index.ids, np.char.str_len(index.ids)))  # however they lie in folders
        return self._images(index, self._encoded(names), order)

    @cached_property
    def test(self) -> Images | None:
        """The images to be predicted, in natural order of their ids. Raises as `Dataset.test`."""
        index = self._index("test")
        if index is None:
            return None
        if self._sample is not None:
            check_ids(index.names().tolist(), self._sample, self._label("test"))
        return self._images(index, None, np.lexsort((index.ids, np.char.str_len(index.ids))))

    @cached_property
    def sample_submission(self) -> SampleSubmission | None:
        """Kaggle's, without its example predictions. Raises TableError."""
        table = self._sample
        if table is None:
            return None
        return SampleSubmission(self._layout.tables.get(SAMPLE, self.path), table.columns, np.array(table.ids))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images' ids, sizes of their files and labels. Raises as `train`.

        Not of their pixels: reading them takes an hour.
        """
        index = self._index("train")
        assert index is not None, self.path
        assert self.train.labels is not None
        ids, sizes, labels = index.ids, index.sizes, self.train.labels
        return digest(str(ids.itemsize), ids.tobytes(), sizes.tobytes(), labels.tobytes(), "\n".join(self.classes))

    def faults(self, progress: Progress | None = None) -> list[str]:
        """What was left out, and how far this is the whole of ILSVRC2012. Raises as `train`."""
        found = []
        counts = {role: 0 if (index := self._index(role)) is None else len(index) for role in WHOLE if self._has(role)}
        if parts := [
            f"{count:,} of {WHOLE[role]:,} {WORDS[role]} images"
            for role, count in counts.items()
            if count != WHOLE[role]
        ]:
            found.append(f"Not the whole of ILSVRC2012: {', '.join(parts)}; {len(self.classes):,} of 1,000 classes.")
        for role in counts:
            index = self._index(role)
            if index is not None and index.num_others:
                files = "1 file" if index.num_others == 1 else f"{index.num_others:,} files"
                names = ", ".join(index.others) + ", …" * (index.num_others > len(index.others))
                found.append(f"Left out of {self._label(role)}, since no images: {files}, {names}.")
        return found

    # ---- the classes of val

    def _classes_of_val(self, index: Index) -> list[str]:
        folders = [folder.decode(errors="replace") for folder in index.folders.tolist()]
        if all(folders):
            return folders
        if (data := self._table(SOLUTION)) is not None:
            return self._from_solution(read_table(data, SOLUTION), index)
        if self._layout.devkit is not None:
            return self._from_devkit(self._layout.devkit, index)
        raise DataError(
            f"{self._label('val')}: its images lie in no folders of classes, and what says their classes is missing.\n"
            "Put ILSVRC2012_devkit_t12.tar.gz, or LOC_val_solution.csv, beside it."
        )

    def _from_solution(self, table: Table, index: Index) -> list[str]:
        """From rows such as ILSVRC2012_val_00000001,n01751748 111 108 431 323."""
        ids = index.names().tolist()
        check_ids(ids, table, self._label("val"))
        found = dict(zip(table.ids, (label.split()[0] for label in table.labels), strict=True))
        if missing := [image_id for image_id in ids if image_id not in found]:
            raise TableError(f"{table.name}: has no row {missing[0]!r}. Ids are the images' names without suffix.")
        return [found[image_id] for image_id in ids]

    def _from_devkit(self, devkit: Path, index: Index) -> list[str]:
        truth = ground_truth(devkit)
        if len(truth) != len(index):
            raise DataError(
                f"{self._label('val')} has {len(index):,} images, and the ground truth of {devkit.name} {len(truth):,} "
                "lines. Get the one that is wrong again."
            )
        found = []
        for image_id in index.names().tolist():
            number = int(digits[0]) if (digits := re.findall(r"\d{1,18}$", image_id)) else 0
            if not 1 <= number <= len(truth):
                raise DataError(
                    f"{self._label('val')}: {image_id} isn't one of ILSVRC2012_val_00000001 to {len(truth):08}, so the "
                    "ground truth has no line for it."
                )
            found.append(truth[number - 1])
        return found

    # ---- where they lie

    def _has(self, role: str) -> bool:
        return role in self._parts_of_zip if self._layout.zip else role in self._layout.parts

    def _index(self, role: str) -> Index | None:
        if not self._has(role):
            return None
        if self._layout.zip:
            return self._parts_of_zip[role]
        if role not in self._indexes:
            self._indexes[role] = index_part(self._layout.parts[role], self._progress)
        return self._indexes[role]

    @cached_property
    def _indexes(self) -> dict[str, Index]:
        return {}

    @cached_property
    def _parts_of_zip(self) -> dict[str, Index]:
        assert self._layout.zip is not None
        found = index_zip(self._layout.zip, self._progress)
        if "train" not in found:
            raise DataError(f"{self._layout.zip}: holds no training images. Get it again from the competition's page.")
        return found

    def _label(self, role: str) -> str:
        """What messages call a part."""
        place = self._layout.zip or self._layout.parts[role]
        return f"{place.name}/{role}" if self._layout.zip else f"{self.name}/{place.name}".removeprefix("/")

    def _table(self, name: str) -> bytes | None:
        """The content of one of Kaggle's tables. Raises DataError."""
        if not self._layout.zip:
            return read_file(self._layout.tables[name]) if name in self._layout.tables else None
        tables = self._parts_of_zip.get(TABLES)
        rows = [] if tables is None else [row for row, found in enumerate(tables.files.names) if found == name.encode()]
        return tables.files.read(rows[0]) if tables is not None and rows else None

    @cached_property
    def _sample(self) -> Table | None:
        data = self._table(SAMPLE)
        return None if data is None else read_table(data, SAMPLE)

    # ---- images

    def _encoded(self, names: Sequence[str]) -> Indices:
        """The index of each name among the classes, int64 (N,)."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places[name] for name in names], np.int64)

    def _images(self, index: Index, labels: Indices | None, order: Indices | None = None) -> Images:
        assert self.resized_to is not None
        files, ids = index.files, index.names()
        if order is not None:
            files, ids, labels = files.take(order), ids[order], None if labels is None else labels[order]
        return Images(EncodedPixels(files, (self.resized_to, self.resized_to)), labels, ids, self.classes)
