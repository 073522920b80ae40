"""Blend: how much each member of an ensemble counts, from images that all of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.evaluation.predictions import Predictions, common_rows

__all__ = ["LEAST", "Blend", "blend"]

LEAST = 100
"""Images that must have been held out by all members; of fewer, weights say nothing."""

_NUM_FOLDS = 5
_MOST_TURNS, _CLOSE = 1000, 1e-6  # of the iteration: at most, and when its steps are small enough

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Blend:
    """What each member counts.

    Attributes:
        weights: of the members' probabilities; they add up to 1.
        num_images: that all members held out, on which the weights were found.
        accuracy: there, cross-fitted: each fifth with the weights of the other four, since no weights may be measured
            on the images that they were found on.
        accuracy_of_equal: with the same weight for all.
        accuracy_of_best: of the best single member there.
    """

    weights: tuple[float, ...]
    num_images: int
    accuracy: float
    accuracy_of_equal: float
    accuracy_of_best: float


def blend(each: Sequence[Predictions]) -> Blend | None:
    """The weights with the lowest cross-entropy on the images that all members held out.

    Where such a blend would get fewer of them right than the best single member, that one alone counts.

    Args:
        each: the members' predictions for their hold-outs, with labels; classes in any order.

    Returns:
        None if they have fewer than `LEAST` images in common, or these bear different labels.
    """
    common = _common(each)
    if common is None:
        return None
    probabilities, labels = common  # (R, M, K), (M,)
    weights = _found(probabilities, labels)
    singles = [_accuracy(one[None], labels, np.ones(1)) for one in probabilities]
    equal = np.full(len(each), 1 / len(each))
    order = np.random.default_rng(0).permutation(len(labels))
    num_hits = 0
    for fold in np.array_split(order, _NUM_FOLDS):
        others = np.setdiff1d(order, fold)
        there = _found(probabilities[:, others], labels[others])
        num_hits += round(_accuracy(probabilities[:, fold], labels[fold], there) * len(fold))
    return Blend(
        tuple(weights.round(4).tolist()),
        len(labels),
        num_hits / len(labels),
        _accuracy(probabilities, labels, equal),
        max(singles),
    )


def _found(probabilities: Probabilities, labels: npt.NDArray[np.int64]) -> Probabilities:
    """Weights (R,), by expectation maximisation of the right classes' likelihood, which has one maximum."""
    right = probabilities[:, np.arange(len(labels)), labels]  # (R, M)
    weights = np.full(len(right), 1 / len(right))
    for _ in range(_MOST_TURNS):
        parts = weights[:, None] * right
        new = (parts / np.maximum(parts.sum(0), 1e-300)).mean(1)
        new /= new.sum()
        is_close = np.abs(new - weights).max() < _CLOSE
        weights = new
        if is_close:
            break
    singles = [_accuracy(one[None], labels, np.ones(1)) for one in probabilities]
    if _accuracy(probabilities, labels, weights) < max(singles):
        weights = np.zeros(len(right))
        weights[int(np.argmax(singles))] = 1
    return weights


def _accuracy(probabilities: Probabilities, labels: npt.NDArray[np.int64], weights: Probabilities) -> float:
    return float((np.tensordot(weights, probabilities, 1).argmax(1) == labels).mean())


def _common(each: Sequence[Predictions]) -> tuple[Probabilities, npt.NDArray[np.int64]] | None:
    """Probabilities (R, M, K) of the M common images, classes as the first has them, and their labels."""
    first = each[0]
    if any(one.labels is None or set(one.classes) != set(first.classes) for one in each):
        return None
    rows_of_each = common_rows(each)
    if rows_of_each is None or len(rows_of_each[0]) < LEAST:
        return None
    found, labels = [], []
    for one, rows in zip(each, rows_of_each, strict=True):
        assert one.labels is not None
        places = [one.classes.index(name) for name in first.classes]
        found.append(one.probabilities[rows][:, places].astype(np.float64))
        labels.append(np.argsort(places)[one.labels[rows]])
    if any(not np.array_equal(labels[0], other) for other in labels[1:]):
        return None
    return np.stack(found), labels[0]
