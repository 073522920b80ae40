"""The files that CIFAR's releases are made of, and the images and labels in them."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from podium.data.archive import damaged
from podium.data.decode import resized
from podium.data.formats import tar_entries
from podium.data.images import digest
from podium.data.origin import files_state, hash_of_files
from podium.data.packing import Listing
from podium.data.pickles import read_pickle
from podium.data.progress import Progress
from podium.errors import DataError, PodiumError

__all__ = ["VERSIONS", "CifarOrigin", "Version"]

MAX_FILE_BYTES = 1 << 28  # 256 MiB: the largest of them, CIFAR-100's training images as a pickle, has 155 MB
SIDE, ROW_BYTES = 32, 3072  # an image is 1,024 red, 1,024 green and 1,024 blue bytes, line by line

Labels = dict[str, list[int]]
"""For each set of labels ("fine", "coarse", or "label" of CIFAR-10) the N numbers."""


@dataclass(frozen=True)
class Version:
    """What one version of a release is made of.

    Attributes:
        title: for people.
        train, test: the files of images.
        names: for each set of labels the file that names its classes and, in a Python version, the key in it.
        keys: for each set of labels its key in a Python version's file; in a binary version its place in a record.
    """

    title: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: dict[str, tuple[str, bytes]]
    keys: dict[str, bytes | int]

    @property
    def files(self) -> set[str]:
        """All that is needed."""
        return {*self.train, *self.test, *(file for file, _ in self.names.values())}


VERSIONS = (
    Version(
        "CIFAR-10, Python version",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        {"label": ("batches.meta", b"label_names")},
        {"label": b"labels"},
    ),
    Version(
        "CIFAR-10, binary version",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        {"label": ("batches.meta.txt", b"")},
        {"label": 0},
    ),
    Version(
        "CIFAR-100, Python version",
        ("train",),
        ("test",),
        {"fine": ("meta", b"fine_label_names"), "coarse": ("meta", b"coarse_label_names")},
        {"fine": b"fine_labels", "coarse": b"coarse_labels"},
    ),
    Version(
        "CIFAR-100, binary version",
        ("train.bin",),
        ("test.bin",),
        {"fine": ("fine_label_names.txt", b""), "coarse": ("coarse_label_names.txt", b"")},
        {"coarse": 0, "fine": 1},
    ),
)


@dataclass(frozen=True)
class CifarOrigin:
    """One split of a release.

    Attributes:
        place: the .tar.gz file, or the folder of the files.
        version: which it is.
        split: "train" or "test".
    """

    place: Path
    version: Version
    split: str

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.place.name} ({self.split})"

    def open(self, scratch: Path, progress: Progress | None = None) -> Listing:
        """Reads the split: it takes no more than 160 MB. Raises DataError."""
        if progress:
            progress(f"reading {self.label}", 0, 0)
        read = self._read_files()
        names = {which: self._names(which, read[file]) for which, (file, _) in self.version.names.items()}
        labels: Labels = {which: [] for which in names}
        arrays = []
        for part in self._parts:
            rows, found = self._images_of(part, read.pop(part))
            arrays.append(rows)
            for which, numbers in found.items():
                if not all(0 <= number < len(names[which]) for number in numbers):
                    raise self._amiss(part, f"has labels beyond its {len(names[which])} classes")
                labels[which] += numbers
        ids = [str(i) for i in range(sum(map(len, arrays)))]
        if not ids:
            raise self._amiss(self._parts[0], "has no images")
        return Listing(
            self.label,
            ids,
            {image_id: row for row, image_id in enumerate(ids)},
            lambda image_size: _decode(arrays, image_size),
            lambda name: f"{self.label}: image {name}",
            {"labels": labels, "names": names},
        )

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        """As of `Origin`."""
        state = self.state()
        return digest("cifar", self.version.title, self.split, hash_of_files(self._paths, progress)), state

    def state(self) -> str:
        """As of `Origin`."""
        return files_state(self._paths, self.label)

    @property
    def _parts(self) -> tuple[str, ...]:
        return self.version.train if self.split == "train" else self.version.test

    @property
    def _paths(self) -> list[Path]:
        if self.place.is_file():
            return [self.place]
        for name in self._files:
            if not (self.place / name).is_file():
                raise self._missing(name)
        return [self.place / name for name in self._files]

    @property
    def _files(self) -> list[str]:
        return sorted({*self._parts, *(file for file, _ in self.version.names.values())})

    def _amiss(self, name: str, what: str) -> DataError:
        return DataError(
            f"{self.place.name}/{name}: {what}, so it is no file of {self.version.title}.\n"
            "Download it again from https://www.cs.toronto.edu/~kriz/cifar.html."
        )

    def _missing(self, name: str) -> DataError:
        return DataError(
            f"{self.place}: {name} is missing, which {self.version.title}, has.\n"
            "Download it again from https://www.cs.toronto.edu/~kriz/cifar.html."
        )

    # ---- its files

    def _read_files(self) -> dict[str, Any]:
        """What each of the files holds: a dict of a Python version's, bytes of a binary version's."""
        read: dict[str, Any] = {}
        if self.place.is_dir():
            for path in self._paths:
                try:
                    with path.open("rb") as file:
                        read[path.name] = self._read(path.name, file, path.stat().st_size)
                except OSError as error:
                    raise damaged(f"{self.place.name}/{path.name}", error) from error
            return read
        for info, archive in tar_entries(self.place, self.place.name):
            base = info.name.rpartition("/")[2]
            if base in self._files and base not in read and info.isreg():
                try:
                    with _opened(archive, info) as file:
                        read[base] = self._read(base, file, info.size)
                except PodiumError:
                    raise
                except Exception as error:  # see opened_zip
                    raise damaged(self.place.name, error) from error
        if missing := [name for name in self._files if name not in read]:
            raise self._missing(missing[0])
        return read

    def _read(self, name: str, file: IO[bytes], num_bytes: int) -> Any:
        if num_bytes > MAX_FILE_BYTES:
            raise self._amiss(name, f"says it is {num_bytes:,} bytes")
        if name.endswith((".bin", ".txt")):
            data = file.read(num_bytes)
            if len(data) != num_bytes:
                raise damaged(self.place.name, f"{name} is cut short")
            return data
        return read_pickle(file, num_bytes, f"{self.place.name}/{name}")

    def _names(self, which: str, content: Any) -> list[str]:
        """The classes of a set of labels, in the order of their numbers."""
        file, key = self.version.names[which]
        lines = content.split(b"\n") if isinstance(content, bytes) else content.get(key)
        if not isinstance(lines, list) or not all(type(line) is bytes and line.isascii() for line in lines):
            raise self._amiss(file, "doesn't name its classes")
        names = [line.decode().strip() for line in lines]
        names = [name for name in names if name]
        if len(names) < 2 or len(set(names)) < len(names):
            raise self._amiss(file, f"names {len(names)} classes, or one of them twice")
        return names

    def _images_of(self, name: str, content: Any) -> tuple[npt.NDArray[np.uint8], Labels]:
        """A file's images as they lie in it, uint8 (N, 3072), and their labels."""
        keys = self.version.keys
        if isinstance(content, bytes):
            if len(content) % (len(keys) + ROW_BYTES):
                raise self._amiss(name, f"has {len(content):,} bytes, no multiple of {len(keys) + ROW_BYTES:,}")
            records = np.frombuffer(content, np.uint8).reshape(-1, len(keys) + ROW_BYTES)
            columns = {which: int(place) for which, place in keys.items()}
            return records[:, len(keys) :], {which: records[:, place].tolist() for which, place in columns.items()}
        rows = content.get(b"data")
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != ROW_BYTES:
            raise self._amiss(name, "has no array of images of 3,072 bytes")
        labels: Labels = {}
        for which, key in keys.items():
            numbers = content.get(key)
            if not isinstance(numbers, list) or len(numbers) != len(rows) or not all(type(n) is int for n in numbers):
                raise self._amiss(name, f"has not one label of {key!r} for each of its {len(rows):,} images")
            labels[which] = numbers
        return rows, labels


def _opened(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None, info.name
    return file


def _decode(
    arrays: Sequence[npt.NDArray[np.uint8]], image_size: int | None
) -> Generator[tuple[str, npt.NDArray[np.uint8]]]:
    number = 0
    for rows in arrays:
        for row in rows:
            pixels = np.ascontiguousarray(row.reshape(3, SIDE, SIDE).transpose(1, 2, 0))
            yield str(number), resized(pixels, image_size)
            number += 1
