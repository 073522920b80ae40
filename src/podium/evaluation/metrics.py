"""What predictions are worth: small functions of Predictions, and one that gathers them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.evaluation.predictions import Predictions

__all__ = [
    "CalibrationBin",
    "ClassResult",
    "Evaluation",
    "calibration_bins",
    "calibration_error",
    "confusion_matrix",
    "evaluate_predictions",
    "wilson_interval",
]

_Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class ClassResult:
    """Of one class: how many images are of it, what share of those was found, what share of the guesses was right.

    A share of nothing is None.
    """

    name: str
    num_images: int
    recall: float | None
    recall_interval: tuple[float, float]
    precision: float | None


@dataclass(frozen=True)
class CalibrationBin:
    """Images whose guess has about the same confidence, and how many of these guesses are right.

    Attributes:
        low: the least confidence that falls into the bin, in [0, 1].
        high: the confidence below which it ends; the last bin holds 1 too.
        num_images: at least 1.
        confidence: their mean.
        accuracy: the part that is right.
        interval: of the accuracy at 95 %, Wilson's.
    """

    low: float
    high: float
    num_images: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """How good predictions are.

    Attributes:
        what: which images, in words.
        num_images: N.
        accuracy: top-1, in [0, 1].
        interval: of the accuracy at 95 %, Wilson's.
        cross_entropy: mean negative log likelihood, in nats.
        calibration_error: expected, over 15 bins of confidence.
        per_class: in the order of the classes.
        confusion: int (K, K): rows are the right classes, columns the guesses.
        tta: the test-time augmentation used.
    """

    what: str
    num_images: int
    accuracy: float
    interval: tuple[float, float]
    cross_entropy: float
    calibration_error: float
    per_class: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    tta: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def wilson_interval(num_hits: int, num_images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; it holds at 0 and 1 too. E. B. Wilson, JASA 22 (1927)."""
    if num_images == 0:
        return 0.0, 1.0
    share, z2 = num_hits / num_images, _Z95**2
    middle = (share + z2 / (2 * num_images)) / (1 + z2 / num_images)
    half = _Z95 / (1 + z2 / num_images) * math.sqrt(share * (1 - share) / num_images + z2 / (4 * num_images**2))
    low = 0.0 if num_hits == 0 else middle - half  # exactly, which rounding would miss
    high = 1.0 if num_hits == num_images else middle + half
    return low, high


def confusion_matrix(
    labels: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64], num_classes: int
) -> npt.NDArray[np.int64]:
    """int64 (K, K): how often the images of a row's class were taken for a column's."""
    return np.bincount(labels * num_classes + guesses, minlength=num_classes**2).reshape(num_classes, num_classes)


def calibration_bins(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], num_bins: int = 15
) -> tuple[CalibrationBin, ...]:
    """Equal bins of the confidence, which is the probability (N, K) of the guess. Those without images are left out."""
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    hits = np.bincount(bins, weights=right, minlength=num_bins)
    sums = np.bincount(bins, weights=confidence, minlength=num_bins)
    return tuple(
        CalibrationBin(
            low=index / num_bins,
            high=(index + 1) / num_bins,
            num_images=int(counts[index]),
            confidence=float(sums[index] / counts[index]),
            accuracy=float(hits[index] / counts[index]),
            interval=wilson_interval(int(hits[index]), int(counts[index])),
        )
        for index in np.flatnonzero(counts).tolist()
    )


def calibration_error(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], num_bins: int = 15
) -> float:
    """Expected calibration error: |accuracy - confidence| over equal bins of confidence, weighted by their images."""
    bins = calibration_bins(probabilities, labels, num_bins)
    return sum(one.num_images * abs(one.accuracy - one.confidence) for one in bins) / len(labels)


def evaluate_predictions(predictions: Predictions, what: str, tta: str) -> Evaluation:
    """Gathers all numbers; `predictions.labels` must be there."""
    labels, guesses = predictions.labels, predictions.guesses
    assert labels is not None
    confusion = confusion_matrix(labels, guesses, len(predictions.classes))
    num_hits = int(confusion.trace())
    probabilities = predictions.probabilities
    likelihood = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    per_class = []
    for index, name in enumerate(predictions.classes):
        found, there, guessed = (
            int(confusion[index, index]),
            int(confusion[index].sum()),
            int(confusion[:, index].sum()),
        )
        recall, precision = found / there if there else None, found / guessed if guessed else None
        per_class.append(ClassResult(name, there, recall, wilson_interval(found, there), precision))
    return Evaluation(
        what=what,
        num_images=len(labels),
        accuracy=num_hits / len(labels),
        interval=wilson_interval(num_hits, len(labels)),
        cross_entropy=float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        calibration_error=calibration_error(probabilities, labels),
        per_class=tuple(per_class),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        tta=tta,
    )
