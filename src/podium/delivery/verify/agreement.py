"""Two sets of answers for the same images, put side by side.

Shapes: N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium.delivery.verify.tolerance import Tolerance

__all__ = ["Answers", "Difference", "difference"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What a form says of the images.

    Attributes:
        probabilities: float32 (N, K).
        logits: float32 (N, K); None: the form doesn't tell them.
        beside: what these are to be compared with; None: with the reference.
        other_tensors: the tensors of a copy that aren't the original's, to the bit.
    """

    probabilities: Floats
    logits: Floats | None = None
    beside: Answers | None = None
    other_tensors: tuple[str, ...] = ()

    @property
    def are_finite(self) -> bool:
        """Whether all of them are numbers."""
        return all(np.isfinite(one).all() for one in (self.probabilities, self.logits) if one is not None)


@dataclass(frozen=True)
class Difference:
    """How far a form's answers lie from the reference's.

    Attributes:
        num_images: N.
        logits: the largest difference of two logits, as part of the largest logit; None: the form doesn't tell them.
        probabilities: the largest difference of two probabilities.
        num_other_answers: images whose most probable class is another one.
        num_within_margin: those of them where the reference's logits of both are no further apart than the margin.
        num_other_tensors: of a copy, the tensors that aren't the same bits.
        holds: whether all of it is within the tolerance.
    """

    num_images: int
    logits: float | None
    probabilities: float
    num_other_answers: int
    num_within_margin: int
    num_other_tensors: int
    holds: bool


def difference(reference: Answers, answers: Answers, tolerance: Tolerance) -> Difference:
    """Compares answers, all of them finite, for the same images and classes in the same order.

    Args:
        reference: with logits.
        answers: a form's.
        tolerance: the form's.
    """
    assert reference.logits is not None
    largest = float(np.abs(reference.logits).max()) or 1.0
    expected, found = reference.probabilities, answers.probabilities
    assert expected.shape == found.shape, (expected.shape, found.shape)
    apart = float(np.abs(found - expected).max())
    logits = None
    if answers.logits is not None:
        logits = float(np.abs(answers.logits - reference.logits).max()) / largest
    before, now = _guesses(reference), _guesses(answers)
    rows = np.flatnonzero(before != now)
    margins = reference.logits[rows, before[rows]] - reference.logits[rows, now[rows]]
    num_within = int((margins <= tolerance.margin * largest).sum())
    holds = (
        (tolerance.probabilities is None or apart <= tolerance.probabilities)
        and (tolerance.logits is None or logits is None or logits <= tolerance.logits)
        and len(rows) - num_within <= tolerance.other_answers * len(expected)
        and not answers.other_tensors
    )
    return Difference(len(expected), logits, apart, len(rows), num_within, len(answers.other_tensors), holds)


def _guesses(answers: Answers) -> npt.NDArray[np.intp]:
    """The answer to each image: by the logits where there are some, since probabilities may round to a tie."""
    return np.asarray((answers.probabilities if answers.logits is None else answers.logits).argmax(1), np.intp)
