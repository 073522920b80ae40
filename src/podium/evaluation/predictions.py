"""Predictions: what a classifier said of some images. Submission, ensembles, report and comparison read these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from podium.errors import RunError
from podium.files import write_atomically

__all__ = ["Predictions", "concatenated", "ensemble"]


@dataclass(frozen=True)
class Predictions:
    """What was predicted for N images.

    Attributes:
        ids: str (N,), as the data set names its images.
        classes: the K names, in the order of the logits.
        logits: float32 (N, K).
        labels: int64 (N,), the right classes where they are known, else None.
    """

    ids: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        assert self.logits.shape == (len(self.ids), len(self.classes))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """float32 (N, K): the softmax of the logits."""
        shifted = np.exp(self.logits - self.logits.max(1, keepdims=True))
        return np.asarray(shifted / shifted.sum(1, keepdims=True))

    @property
    def guesses(self) -> npt.NDArray[np.int64]:
        """int64 (N,): the most probable class of each image."""
        return np.asarray(self.logits.argmax(1))

    def save(self, path: Path) -> None:
        """Writes to one safetensors file. Raises StorageError."""
        tensors: dict[str, npt.NDArray[np.generic]] = {"logits": self.logits}
        if self.labels is not None:
            tensors["labels"] = self.labels
        header = {"ids": json.dumps(self.ids.tolist()), "classes": json.dumps(self.classes)}
        write_atomically(path, safetensors.numpy.save(tensors, metadata=header))

    @staticmethod
    def load(path: Path) -> Predictions:
        """Reads what `save` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            with safetensors.safe_open(path, framework="np") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
            ids, classes = np.array(json.loads(header["ids"]), dtype=np.str_), tuple(json.loads(header["classes"]))
            return Predictions(ids, classes, tensors["logits"], tensors.get("labels"))
        except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise RunError(f"{path} can't be read: {error}. `podium evaluate` computes it anew.") from error


def concatenated(each: list[Predictions]) -> Predictions:
    """One classifier's predictions for several sets of labelled images, one after the other."""
    if len(each) == 1:
        return each[0]
    labels = [one.labels for one in each if one.labels is not None]
    assert len(labels) == len(each)
    ids = np.concatenate([one.ids for one in each])
    logits = np.concatenate([one.logits for one in each])
    return Predictions(ids, each[0].classes, logits, np.concatenate(labels))


def ensemble(each: list[Predictions]) -> Predictions:
    """The mean of several classifiers' probabilities for the same images, as logits.

    Raises:
        RunError: their classes differ.
    """
    first = each[0]
    for other in each[1:]:
        if set(other.classes) != set(first.classes):
            raise RunError(
                f"The runs know different classes ({', '.join(first.classes)} and {', '.join(other.classes)}), "
                "so their probabilities can't be averaged."
            )
        assert np.array_equal(other.ids, first.ids)
    if len(each) == 1:
        return first
    mean = np.zeros(first.logits.shape, np.float64)
    for one in each:
        mean += one.probabilities[:, [one.classes.index(name) for name in first.classes]] / len(each)
    return Predictions(first.ids, first.classes, np.log(np.maximum(mean, 1e-30)).astype(np.float32), first.labels)
