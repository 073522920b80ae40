"""Judge: logits become probabilities that mean what they say, and the word whether a picture is known at all.

Trained with smoothed labels a network says 75 % of what it gets right nearly always. One number, the temperature, mends
that: source: Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599). It is found on held-out images,
as the threshold of what is known, and changes neither the order of the classes nor a submission.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from podium.evaluation.predictions import Predictions
from podium.evaluation.unknown import score, threshold

__all__ = ["Judge", "temperature"]

_BOUNDS = (-4.0, 4.0)  # of the temperature's natural logarithm


@dataclass(frozen=True)
class Judge:
    """How a run's logits are read where a person reads them.

    Attributes:
        temperature: that the logits are divided by before the softmax; 1: nothing is known of them.
        threshold: score below which a picture looks like none of the classes; None: that can't be told.
    """

    temperature: float = 1.0
    threshold: float | None = None

    @staticmethod
    def from_hold_out(predictions: Predictions) -> Judge:
        """From what the network says of labelled images that it wasn't trained on."""
        assert predictions.labels is not None
        logits = predictions.logits
        return Judge(temperature(logits, predictions.labels), threshold(logits))

    def probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 (N, K), of logits (N, K)."""
        return np.asarray(special.softmax(logits.astype(np.float64) / self.temperature, axis=1), np.float32)

    def known(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
        """Whether each picture looks like any of the classes, bool (N,); None: that can't be told."""
        return None if self.threshold is None else np.asarray(score(logits) >= self.threshold)


def temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """What logits (N, K) are to be divided by for the lowest cross-entropy of labels (N,)."""
    wide = logits.astype(np.float64)

    def cross_entropy(exponent: float) -> float:
        scaled = wide / np.exp(exponent)
        return float((special.logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]).mean())

    found = optimize.minimize_scalar(cross_entropy, bounds=_BOUNDS, method="bounded")
    return float(np.exp(found.x))
