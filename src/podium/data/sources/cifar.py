"""CIFAR-10 and CIFAR-100 as their author released them: the Python and the binary versions, packed or unpacked.

    cifar-10-python.tar.gz    cifar-10-batches-py/    data_batch_1 … data_batch_5, test_batch, batches.meta
    cifar-10-binary.tar.gz    cifar-10-batches-bin/   data_batch_1.bin … test_batch.bin, batches.meta.txt
    cifar-100-python.tar.gz   cifar-100-python/       train, test, meta
    cifar-100-binary.tar.gz   cifar-100-binary/       train.bin, test.bin, fine_label_names.txt, coarse_label_names.txt

Ids are the places in the release's order, from 0, so both versions of one data set have the same.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html, which has the MD5 sums too.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from podium.data.archive import damaged
from podium.data.cifar_files import VERSIONS, CifarOrigin, Version
from podium.data.formats import tar_entries
from podium.data.images import Images, digest
from podium.data.progress import Progress
from podium.data.sources.packed import PackedDataset, no_choice
from podium.data.store import Pack
from podium.errors import ArchiveError, DataError

__all__ = ["CifarDataset", "find"]

LOOKED_FOR = "CIFAR's official releases"
ORIGINALS = {  # size in bytes and MD5
    "cifar-10-python.tar.gz": (170498071, "c58f30108f718f92721af3b95e74349a"),
    "cifar-10-binary.tar.gz": (170052171, "c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar-100-python.tar.gz": (169001437, "eb9058c3a382ffc7106e4002c42a8d85"),
    "cifar-100-binary.tar.gz": (168513733, "03b5dce01913d631647c71ecec9e9cb8"),
}
PEEKED = 8  # entries of a tar file: the originals have one of the release's files among their first three
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> CifarDataset | None:
    """The release at `path`, in it or in a folder of its own there; None if there is none.

    Raises:
        DataError: there are several, or `labels` names none of its sets.
    """
    found = [(path, version)] if (version := _version_at(path)) else []
    if not found and path.is_dir():
        children = [path / name for name in (*FOLDERS, *ORIGINALS) if (path / name).exists()]
        found = [(child, version) for child in children if (version := _version_at(child))]
        found = list({version.title: (child, version) for child, version in reversed(found)}.values())
    if len(found) > 1:
        names = ", ".join(sorted(child.name for child, _ in found))
        raise DataError(
            f"{path}: holds several data sets: {names}. Give the one that you mean, for instance {found[0][0]}."
        )
    if not found:
        return None
    (place, version), choices = found[0], list(found[0][1].names)
    if len(choices) == 1:
        no_choice(path, labels)
    elif labels is not None and labels not in choices:
        raise DataError(f"{path}: {version.title}, has the labels {' and '.join(choices)}, not {labels!r}.")
    return CifarDataset(path, place, version, image_size, labels or choices[0], progress)


def _version_at(path: Path) -> Version | None:
    """The version that lies just at `path`, told by the names of its files."""
    if path.is_dir():
        names = {name for version in VERSIONS for name in version.files if (path / name).is_file()}
        # One file says little: other data sets have a file "train" too.
        return next((version for version in VERSIONS if len(names & version.files) > 1), None)
    if not path.name.lower().endswith((".tar.gz", ".tgz", ".tar")):
        return None
    try:
        for number, (info, _) in enumerate(tar_entries(path, path.name)):
            base = info.name.rpartition("/")[2]
            if info.isreg() and (version := next((version for version in VERSIONS if base in version.files), None)):
                return version
            if number == PEEKED or info.size > 1 << 20:
                return None
    except ArchiveError:
        return None
    return None


class CifarDataset(PackedDataset):
    """A release; each split is read when it is asked for."""

    kind = "cifar"
    evaluation_name = "official test split"

    def __init__(
        self,
        path: Path,
        place: Path,
        version: Version,
        image_size: int | None,
        labels: str,
        progress: Progress | None,
    ) -> None:
        super().__init__(place, image_size, progress)
        self.path = path
        self.labels_from = labels
        self._place = place
        self._version = version

    @cached_property
    def train(self) -> Images:
        """The training images in the release's order. Raises as `Dataset.train`."""
        return self._images(self._train_pack)

    @cached_property
    def evaluation(self) -> Images:
        """The official test split in the release's order. Raises as `Dataset.train`."""
        images = self._images(self._load(CifarOrigin(self._place, self._version, "test"), lambda ids: None))
        if images.classes != self.classes:
            raise DataError(f"{self._place}: the classes of its two splits differ. Download it again.")
        return images

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images and the chosen labels. Raises as `train`."""
        assert self.train.labels is not None
        return digest(self._train_pack.fingerprint, "\n".join(self.classes), self.train.labels.tobytes())

    def faults(self, progress: Progress | None = None) -> list[str]:
        """Whether a file of an original's name is that original. Raises ArchiveError."""
        name = self._place.name
        if not self._place.is_file() or name not in ORIGINALS:
            return []
        size, md5 = ORIGINALS[name]
        try:
            if (num_bytes := self._place.stat().st_size) != size:
                return [f"{name} is not the original: it has {num_bytes:,} bytes, the original {size:,}."]
            if progress:
                progress(f"comparing {name} with the original", 0, 0)
            with self._place.open("rb") as file:
                found = hashlib.file_digest(file, "md5").hexdigest()
        except OSError as error:
            raise damaged(name, error) from error
        return [] if found == md5 else [f"{name} is not the original: its MD5 is {found}, the original's {md5}."]

    @cached_property
    def _train_pack(self) -> Pack:
        return self._load(CifarOrigin(self._place, self._version, "train"), lambda ids: None)

    def _images(self, pack: Pack) -> Images:
        names: list[str] = pack.facts["names"][self.labels_from]
        classes = tuple(sorted(names))
        places = np.array([classes.index(name) for name in names])
        labels = places[np.array(pack.facts["labels"][self.labels_from], np.int64)]
        return Images(pack.pixels, labels.astype(np.int64), np.array(pack.ids), classes)
