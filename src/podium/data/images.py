"""Images and Dataset: what every source gives, and every later room takes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset", "Images", "SampleSubmission"]


@dataclass(frozen=True)
class Images:
    """N images of one size, in memory or memory-mapped.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB.
        labels: int64 (N,), indices into `classes`; None for a test set.
        ids: str (N,), the names that the competition gave, in the order of `pixels`.
        classes: the K class names, sorted; a label's index is its place here.
    """

    pixels: npt.NDArray[np.uint8]
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

    def subset(self, indices: npt.NDArray[np.int64]) -> Images:
        """The images at `indices` (int64 (M,)), in that order, copied into memory."""
        labels = None if self.labels is None else self.labels[indices]
        return replace(self, pixels=self.pixels[indices], labels=labels, ids=self.ids[indices])


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
        kind: which source read it: "kaggle", "digits", …
        path: where it lies.
        resized_to: the side in pixels that every image was resized to, if it was.
    """

    name: str
    kind: str
    path: Path
    resized_to: int | None = None

    @property
    def reference(self) -> str:
        """What `podium.open` takes to open it again, from any working folder."""
        return str(self.path.resolve())

    @property
    @abstractmethod
    def train(self) -> Images:
        """The labelled images. Read once, then kept.

        Raises:
            DataError: a file is missing, damaged or inconsistent with the others.
            StorageError: the cache can't be written.
        """

    @property
    @abstractmethod
    def test(self) -> Images | None:
        """The images to be predicted (labels None), or None if the data set has none. Raises as `train`."""

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
