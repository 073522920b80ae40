"""Images and Dataset: what every source gives, and every later room takes."""

from __future__ import annotations

import hashlib
import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.encoded import EncodedPixels, Files
from podium.data.progress import Progress

__all__ = ["Batch", "Dataset", "ImageStream", "Images", "SampleSubmission"]

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]
"""Some images: their rows, int64 (B,), and their pixels, uint8 (B, H, W, 3), in memory."""

_KEPT_BYTES = 1 << 25


@dataclass(frozen=True)
class Images:
    """N images of one size: in memory, memory-mapped, or decoded when they are asked for.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB: an array, or what looks like one.
        labels: int64 (N,), indices into `classes`; None for a test set.
        ids: str (N,), the names that the competition gave, in the order of `pixels`.
        classes: the K class names, sorted; a label's index is its place here.
    """

    pixels: npt.NDArray[np.uint8] | EncodedPixels
    labels: npt.NDArray[np.int64] | None
    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.pixels.dtype == np.uint8, self.pixels.dtype
        assert self.pixels.ndim == 4, self.pixels.shape
        assert self.pixels.shape[3] == 3, self.pixels.shape
        assert len(self.ids) == len(self.pixels)
        assert self.labels is None or (self.labels.dtype == np.int64 and self.labels.shape == (len(self.pixels),))

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def resident(self) -> npt.NDArray[np.uint8]:
        """The pixels, which must be an array and not decoded when they are asked for."""
        assert isinstance(self.pixels, np.ndarray)
        return self.pixels

    @property
    def shards(self) -> npt.NDArray[np.int32] | None:
        """Which shard holds each, int32 (N,), so that few are read at a time; None: in none, or resident."""
        if not isinstance(self.pixels, EncodedPixels) or self.pixels.files.origins is None:
            return None
        return self.pixels.files.container

    def subset(self, indices: npt.NDArray[np.int64]) -> Images:
        """The images at `indices` (int64 (M,)), in that order, copied into memory unless they stay encoded."""
        labels = None if self.labels is None else self.labels[indices]
        pixels = self.pixels.take(indices) if isinstance(self.pixels, EncodedPixels) else self.pixels[indices]
        return replace(self, pixels=pixels, labels=labels, ids=self.ids[indices])

    def batches(self, size: int, rows: npt.NDArray[np.int64] | None = None) -> Generator[Batch]:
        """The images in batches of `size`, copied into memory; the last may be smaller.

        However many there are, little memory is taken: pages of a memory-mapped file that have been read are given back
        every now and then, or they would count as this process's own.

        Args:
            size: images a batch.
            rows: int64 (M,), which images, and in which order; None: all, in theirs.
        """
        rows = np.arange(len(self)) if rows is None else rows
        if isinstance(self.pixels, EncodedPixels):
            yield from self.pixels.batches(size, rows)
            return
        kept = 0
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            pixels = np.asarray(self.pixels[some])
            kept += pixels.nbytes
            if kept >= _KEPT_BYTES:
                _give_back(self.pixels)
                kept = 0
            yield some, pixels

    def stream(self, size: int) -> ImageStream:
        """The images as a stream in batches of `size`."""
        return ImageStream(self.ids, self.labels, self.batches(size), lambda: self)


@dataclass(frozen=True)
class ImageStream:
    """N images to be taken once, batch by batch, perhaps while they are being read.

    Attributes:
        ids: str (N,), as of `Images`.
        labels: int64 (N,) or None, as of `Images`.
        batches: every row once, in any order. To be taken to its end, or closed: what is read then is kept, or nothing.
            Raises as `Dataset.test`.
        images: gives all of them, once `batches` has been taken to its end.
    """

    ids: npt.NDArray[np.str_]
    labels: npt.NDArray[np.int64] | None
    batches: Generator[Batch]
    images: Callable[[], Images]

    def __len__(self) -> int:
        return len(self.ids)


def _give_back(pixels: npt.NDArray[np.uint8]) -> None:
    """Lets the system forget that this process has read the pages of a map; the file cache still has them."""
    mapped = getattr(pixels, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and getattr(pixels, "mode", "") == "r" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class SampleSubmission:
    """The form that a submission must have: `sampleSubmission.csv` of the competition.

    Attributes:
        path: the file it was read from.
        columns: names of the id column and the label column.
        ids: str (N,), the id of each row, in order.
    """

    path: Path
    columns: tuple[str, str]
    ids: npt.NDArray[np.str_]


class Dataset(ABC):
    """A data set found by `podium.open`. Nothing is read before it is asked for.

    Attributes:
        name: short, for people.
        kind: which source read it: "kaggle", "cifar", "folder", …
        path: where it lies.
        resized_to: the side in pixels that every image was resized to, if it was.
        labels_from: which labels these are, where the data have several: "fine" or "coarse", a column's name.
    """

    name: str
    kind: str
    path: Path
    resized_to: int | None = None
    labels_from: str | None = None

    @property
    def reference(self) -> str:
        """What `podium.open` takes to open it again, from any working folder."""
        return str(self.path.resolve())

    @property
    def place(self) -> str:
        """What messages call the place where it lies: its path, or an URL."""
        return str(self.path)

    @property
    @abstractmethod
    def train(self) -> Images:
        """The labelled images to train on. Read once, then kept.

        Raises:
            DataError: a file is missing, damaged or inconsistent with the others.
            StorageError: the cache can't be written.
        """

    @property
    @abstractmethod
    def test(self) -> Images | None:
        """The images to be predicted (labels None), or None if the data set has none. Raises as `train`."""

    @property
    def evaluation_name(self) -> str | None:
        """What the images of `evaluation` are, in words: "official test split". None if there are none.

        Found without decoding. Raises DataError.
        """
        return None

    @property
    def evaluation(self) -> Images | None:
        """Labelled images that are there to measure on, and never to train on. Their classes are those of `train`.

        None if the data set has none. Raises as `train`.
        """
        return None

    def loose(self, role: str) -> Files | None:
        """The files that the pixels of "train", "evaluation" or "test" were decoded from, by row.

        None if they were resized, or don't lie as single files on a disk.
        """
        return None

    def faults(self, progress: Progress | None = None) -> list[str]:
        """What its source finds amiss that is no error: a sentence for each. Raises as `train`."""
        return []

    def stream_test(self, size: int) -> ImageStream | None:
        """The images of `test` in batches of about `size`; on a first opening, while they are read.

        None if the data set has none. Raises as `test`, some of it only when the batches are taken.
        """
        return None if self.test is None else self.test.stream(size)

    @property
    @abstractmethod
    def sample_submission(self) -> SampleSubmission | None:
        """The form of a submission, or None if the data set has none. Raises TableError."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, sorted."""
        return self.train.classes

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of what the training images and labels are made of. Raises as `train`."""


def digest(*parts: str | bytes) -> str:
    """16 hex digits of the SHA-256 of `parts`, each preceded by its length so that no two lists collide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()[:16]
