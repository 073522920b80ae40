"""Predictions: what a classifier said of some images. Submission, ensembles, report and comparison read these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from podium.errors import RunError
from podium.files import write_atomically

__all__ = ["Predictions", "common_rows", "concatenated", "ensemble", "pooled"]


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
            ids, classes = json.loads(header["ids"]), json.loads(header["classes"])
            logits, labels = tensors["logits"], tensors.get("labels")
            _check(ids, classes, logits, labels)
            return Predictions(np.array(ids, np.str_), tuple(classes), logits, labels)
        except Exception as error:  # a damaged file can be damaged anyhow
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise RunError(f"{path} can't be read: {reason}. `podium evaluate` computes it anew.") from error


def _check(ids: object, classes: object, logits: npt.NDArray[Any], labels: npt.NDArray[Any] | None) -> None:
    """Raises ValueError unless they are the parts of one `Predictions`."""
    for names in (ids, classes):
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("its ids or classes are no names")
    assert isinstance(ids, list)
    assert isinstance(classes, list)
    if len(set(classes)) < len(classes):
        raise ValueError("it names a class twice")
    if logits.dtype != np.float32 or logits.shape != (len(ids), len(classes)):
        raise ValueError("its logits aren't one number for each image and class")
    if labels is not None and (
        labels.dtype != np.int64 or labels.shape != (len(ids),) or not 0 <= labels.min() <= labels.max() < len(classes)
    ):
        raise ValueError("its labels aren't one class for each image")


def common_rows(each: Sequence[Predictions]) -> list[npt.NDArray[np.int64]] | None:
    """Where each has the images that all have, in the order of their ids: int64 (M,) of each.

    None if there are none, or ids that stand for several images.
    """
    common = each[0].ids
    for one in each[1:]:
        common = np.intersect1d(common, one.ids)
    if not len(common) or any(len(np.unique(one.ids)) < len(one) for one in each):
        return None
    common = np.sort(common)
    orders = [np.argsort(one.ids) for one in each]
    return [order[np.searchsorted(one.ids, common, sorter=order)] for one, order in zip(each, orders, strict=True)]


def concatenated(each: list[Predictions]) -> Predictions:
    """One classifier's predictions for several sets of labelled images, one after the other."""
    if len(each) == 1:
        return each[0]
    labels = [one.labels for one in each if one.labels is not None]
    assert len(labels) == len(each)
    ids = np.concatenate([one.ids for one in each])
    logits = np.concatenate([one.logits for one in each])
    return Predictions(ids, each[0].classes, logits, np.concatenate(labels))


def ensemble(each: list[Predictions], weights: Sequence[float] | None = None) -> Predictions:
    """The weighted mean of several classifiers' probabilities for the same images, as logits.

    Args:
        each: the classifiers' predictions.
        weights: of each; they add up to 1. None: all count the same.

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
    for one, weight in zip(each, weights or [1 / len(each)] * len(each), strict=True):
        mean += weight * one.probabilities[:, [one.classes.index(name) for name in first.classes]]
    return Predictions(first.ids, first.classes, np.log(np.maximum(mean, 1e-30)).astype(np.float32), first.labels)


def pooled(each: list[Predictions]) -> Predictions:
    """Several classifiers' predictions for sets of labelled images that may overlap, such as their hold-outs.

    Images are told apart by their ids. One that several predicted has the mean of their probabilities, as logits.

    Raises:
        RunError: the classes or an image's labels differ.
    """
    first = each[0]
    for other in each[1:]:
        if other.classes != first.classes:
            raise RunError(
                f"The runs know different classes ({', '.join(first.classes[:10])} and "
                f"{', '.join(other.classes[:10])}), so their predictions can't be put together."
            )
    if len(each) == 1:
        return first
    ids, places = np.unique(np.concatenate([one.ids for one in each]), return_inverse=True)
    given = np.concatenate([one.labels for one in each if one.labels is not None])
    assert len(given) == len(places)
    labels = np.empty(len(ids), np.int64)
    labels[places] = given
    if (odd := np.flatnonzero(labels[places] != given)).size:
        raise RunError(f"The runs know image '{ids[places[odd[0]]]}' under different labels: they saw other data.")
    sums = np.zeros((len(ids), len(first.classes)))
    np.add.at(sums, places, np.concatenate([one.probabilities for one in each]))
    mean = sums / np.bincount(places)[:, None]
    return Predictions(ids, first.classes, np.log(np.maximum(mean, 1e-30)).astype(np.float32), labels)
