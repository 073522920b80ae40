"""What a report shows in pictures: the mistakes, the near misses, the labels in doubt, and where the network looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from podium.delivery.report.pictures import Fetch, data_uri, heat_uri
from podium.evaluation import LabelIssues, Predictions
from podium.evaluation.grad_cam import grad_cam
from podium.models import Classifier

__all__ = ["Tile", "confident_mistakes", "heat_maps", "suspects", "unsure_hits"]

Rows = npt.NDArray[np.int64]

NUM_MISTAKES, NUM_HITS, NUM_SUSPECTS, NUM_HEATS = 24, 12, 24, 12
_AT_ONCE = 4  # images through the network, which keeps all that it computes for the gradient
_HEAT_SIDE = 4  # places of a heat map at least, where the network has such; fewer show little


@dataclass(frozen=True)
class Tile:
    """An image with what was said of it.

    Attributes:
        picture: as a data URI; None where the images aren't at hand.
        image_id: as the data set names it.
        label: the class that it bears.
        guess: the class that it was taken for.
        label_probability: of the class that it bears.
        guess_probability: of the guess.
        heat: where the network saw the guess, as a data URI; None but for heat maps.
    """

    picture: str | None
    image_id: str
    label: str
    guess: str
    label_probability: float
    guess_probability: float
    heat: str | None = None

    @property
    def is_hit(self) -> bool:
        """Whether the guess is the label."""
        return self.label == self.guess


def confident_mistakes(predictions: Predictions, fetch: Fetch | None) -> list[Tile]:
    """The wrong guesses with the highest probability, highest first."""
    confidence = predictions.probabilities.max(1)
    wrong = np.flatnonzero(predictions.guesses != predictions.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:NUM_MISTAKES]
    return _tiles(predictions, rows, predictions.guesses[rows], fetch)


def unsure_hits(predictions: Predictions, fetch: Fetch | None) -> list[Tile]:
    """The right guesses with the lowest probability, lowest first."""
    confidence = predictions.probabilities.max(1)
    right = np.flatnonzero(predictions.guesses == predictions.labels)
    rows = right[np.argsort(confidence[right], kind="stable")][:NUM_HITS]
    return _tiles(predictions, rows, predictions.guesses[rows], fetch)


def suspects(predictions: Predictions, issues: LabelIssues, fetch: Fetch | None) -> list[Tile]:
    """The labels most likely to be wrong; the guess is the class that the image is believed to be of."""
    return _tiles(predictions, issues.rows[:NUM_SUSPECTS], issues.likely[:NUM_SUSPECTS], fetch)


def heat_maps(predictions: Predictions, fetch: Fetch | None, classifier: Classifier) -> list[Tile]:
    """A dozen images with Grad-CAM of their guess: half of them the surest mistakes, the others hits of all classes."""
    if fetch is None:
        return []
    rows = _shown_rows(predictions)
    guesses = predictions.guesses[rows]
    pixels = torch.from_numpy(np.array(fetch(rows))).permute(0, 3, 1, 2)
    heats = [
        heat_uri(heat.numpy())
        for some, classes in zip(
            torch.split(pixels, _AT_ONCE), torch.split(torch.from_numpy(guesses), _AT_ONCE), strict=True
        )
        for heat in grad_cam(classifier, some, classes, _HEAT_SIDE)
    ]
    return _tiles(predictions, rows, guesses, fetch, heats)


def _shown_rows(predictions: Predictions) -> Rows:
    """Mistakes first. Hits: the surest of as many classes as there is room for, spread over them."""
    confidence, guesses = predictions.probabilities.max(1), predictions.guesses
    is_hit = guesses == predictions.labels
    wrong = np.flatnonzero(~is_hit)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][: NUM_HEATS // 2]
    order = np.flatnonzero(is_hit)
    order = order[np.argsort(-confidence[order], kind="stable")]
    _, firsts = np.unique(guesses[order], return_index=True)  # the surest of each class
    room = NUM_HEATS - len(wrong)
    chosen = firsts[np.linspace(0, len(firsts) - 1, min(room, len(firsts))).astype(int)] if len(firsts) else firsts
    rest = np.setdiff1d(np.arange(len(order)), chosen)[: room - len(chosen)]
    return np.concatenate([wrong, order[chosen], order[rest]]).astype(np.int64)


def _tiles(
    predictions: Predictions, rows: Rows, guesses: Rows, fetch: Fetch | None, heats: list[str] | None = None
) -> list[Tile]:
    assert predictions.labels is not None
    labels, classes = predictions.labels[rows], predictions.classes
    some = predictions.probabilities[rows]
    pictures = [None] * len(rows) if fetch is None else [data_uri(image) for image in fetch(rows)]
    return [
        Tile(
            picture=pictures[place],
            image_id=str(predictions.ids[rows[place]]),
            label=classes[labels[place]],
            guess=classes[guesses[place]],
            label_probability=float(some[place, labels[place]]),
            guess_probability=float(some[place, guesses[place]]),
            heat=None if heats is None else heats[place],
        )
        for place in range(len(rows))
    ]
