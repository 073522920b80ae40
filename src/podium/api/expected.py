"""Expected: what accuracy a training of so many epochs will most likely have, from those that were measured.

Of CIFAR-10 only: of other data nothing is known beforehand, and nothing is said.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from podium.data import Images
from podium.recipe import Recipe

__all__ = ["MEASURED", "Expected", "expected"]

MEASURED: dict[str, list[tuple[float, float]]] = {
    "sprint": [(2.5, 0.901), (5.0, 0.9282), (11.0, 0.9378), (20.0, 0.9396)],
    "sprint96": [(36.0, 0.9567)],
}
"""By network: epochs, and the accuracy on 5,000 held-out images of CIFAR-10. From bench/results/lengths.json, one run
each, but for sprint's 11 epochs (cpu-speed.json, mean of three) and sprint96's 36 (sprint96-accuracy.json, of two)."""

_CIFAR_10 = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
_ENOUGH = 40_000  # images to train on, of 50,000
_SPREAD = 0.007  # two standard deviations: over seeds 0.3 points, and what a single run doesn't know
_NEAR = 0.2  # of the logarithm of the epochs, past which it is less sure


@dataclass(frozen=True)
class Expected:
    """An accuracy on a hold-out, as a fraction: most likely between `low` and `high`."""

    accuracy: float
    low: float
    high: float


def expected(recipe: Recipe, images: Images) -> Expected | None:
    """None where nothing like it has been measured."""
    known = MEASURED.get(recipe.model)
    is_cifar = images.size == (32, 32) and set(images.classes) == _CIFAR_10 and len(images) >= _ENOUGH
    if known is None or not is_cifar:
        return None
    return _between(known, recipe.epochs)


def _between(known: list[tuple[float, float]], epochs: float) -> Expected:
    """On the line through the errors of the two nearest numbers of epochs, over the logarithm of these."""
    if len(known) == 1:
        accuracy, is_near = known[0][1], abs(math.log(epochs / known[0][0])) < _NEAR
    else:
        right = min(max(1, bisect_left(known, (epochs, 0.0))), len(known) - 1)
        (less, worse), (more, better) = known[right - 1 : right + 1]
        part = math.log(epochs / less) / math.log(more / less)
        accuracy = min(worse + (better - worse) * part, known[-1][1])  # no promise past what was seen
        is_near = part > -_NEAR
    spread = _SPREAD if is_near else 3 * _SPREAD
    return Expected(accuracy, max(0.0, accuracy - spread), min(1.0, accuracy + spread))
