"""Is the difference more than chance? Of two networks on the same images, and of two recipes over their seeds.

Two networks: McNemar's test, which asks of the images that only one of the two gets right. Two recipes: a t-test of
their accuracies over seeds, since the same recipe with another seed gives another network. Both are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from podium.evaluation.predictions import Predictions, common_rows

__all__ = [
    "LEVEL",
    "POWER",
    "McNemar",
    "SeedTest",
    "Spread",
    "common_hits",
    "holm",
    "images_interval",
    "mcnemar",
    "seed_test",
    "seeds_needed",
    "spread",
]

Hits = npt.NDArray[np.bool_]

LEVEL = 0.05
"""A difference counts if chance alone gives one as large less often than this."""
POWER = 0.8
"""How often as many seeds as `seeds_needed` says would find the difference, if it is real."""
MOST_SEEDS = 1000


@dataclass(frozen=True)
class McNemar:
    """Two networks on the same images.

    Attributes:
        num_images: N.
        only_first: images that only the first gets right.
        only_second: images that only the second gets right.
        p_value: how often chance gives so uneven a split of those, or a more uneven one, if the networks are equally
            good.
    """

    num_images: int
    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Spread:
    """Accuracies over seeds.

    Attributes:
        num_runs: at least 1.
        mean: of the accuracies.
        deviation: standard, with n - 1; None of a single run.
        lowest: accuracy.
        highest: accuracy.
    """

    num_runs: int
    mean: float
    deviation: float | None
    lowest: float
    highest: float


@dataclass(frozen=True)
class SeedTest:
    """Two recipes over their seeds.

    Attributes:
        difference: of the mean accuracies, the first less the second.
        interval: of the difference at 95 %; None if the seeds tell nothing about it.
        p_value: how often chance gives so large a difference between equally good recipes; None likewise.
        method: "welch", or "pooled" where one recipe has a single run and is taken to vary as the other does; "none".
        num_needed: seeds of each recipe that would find a difference of this size in four of five tries; None if that
            can't be known, or is more than a thousand.
    """

    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    method: str
    num_needed: int | None


def mcnemar(first: Hits, second: Hits) -> McNemar:
    """McNemar's exact test. Q. McNemar, Psychometrika 12 (1947).

    Args:
        first: (N,), which images the first network gets right.
        second: (N,), the same of the second, for the same images.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    fewer, both = min(only_first, only_second), only_first + only_second
    p_value = min(1.0, 2 * float(special.bdtr(fewer, both, 0.5))) if both else 1.0  # the binomial's two tails
    return McNemar(len(first), only_first, only_second, p_value)


def common_hits(each: Sequence[Predictions]) -> list[Hits] | None:
    """Of each of several networks, bool (M,): whether it got the images right for which there are predictions of all.

    Images are told apart by their ids. None if there are no such images, or they bear different labels.
    """
    places = common_rows(each)
    if places is None:
        return None
    found, labels = [], []
    for one, rows in zip(each, places, strict=True):
        assert one.labels is not None
        found.append((one.guesses == one.labels)[rows])
        labels.append(np.array(one.classes)[one.labels[rows]])
    return found if all(np.array_equal(labels[0], other) for other in labels[1:]) else None


def images_interval(first: Sequence[Hits], second: Sequence[Hits]) -> tuple[float, float]:
    """Between which values the difference of mean accuracies lies at 95 %, if other images like these had been drawn.

    The networks stay as they are.

    Args:
        first: of each network of one recipe, bool (M,): the images that it gets right.
        second: the same of another recipe, for the same images.
    """
    differences = np.mean(first, axis=0) - np.mean(second, axis=0)  # (M,)
    middle, error = float(differences.mean()), float(differences.std()) / math.sqrt(len(differences))
    half = float(special.ndtri(1 - LEVEL / 2)) * error
    return middle - half, middle + half


def spread(accuracies: Sequence[float]) -> Spread:
    """How accuracies of the same recipe lie."""
    values = np.asarray(accuracies, np.float64)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(len(values), float(values.mean()), deviation, float(values.min()), float(values.max()))


def seed_test(first: Sequence[float], second: Sequence[float]) -> SeedTest:
    """A t-test of two recipes' accuracies: Welch's (Biometrika 34, 1947), which lets each have a spread of its own.

    Where one recipe has a single run, it is taken to vary as the other does. If both have, or none varies, there is
    nothing to test with.
    """
    groups = [np.asarray(first, np.float64), np.asarray(second, np.float64)]
    difference = float(groups[0].mean() - groups[1].mean())
    sizes = [len(group) for group in groups]
    squares = [float(((group - group.mean()) ** 2).sum()) for group in groups]
    num_free = sum(sizes) - 2
    pooled = sum(squares) / num_free if num_free else 0.0
    if pooled <= 1e-18:  # of rounding only
        return SeedTest(difference, None, None, "none", None)
    if min(sizes) > 1:
        method = "welch"
        parts = [square / (size - 1) / size for square, size in zip(squares, sizes, strict=True)]
        error2 = sum(parts)
        freedom = error2**2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    else:
        method = "pooled"
        error2, freedom = pooled * sum(1 / size for size in sizes), num_free
    error = math.sqrt(error2)
    p_value = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    half = float(special.stdtrit(freedom, 1 - LEVEL / 2)) * error
    needed = seeds_needed(difference, math.sqrt(pooled))
    return SeedTest(difference, (difference - half, difference + half), p_value, method, needed)


def seeds_needed(difference: float, deviation: float) -> int | None:
    """Seeds of each recipe with which a t-test finds `difference` with probability POWER, from 2 on.

    Args:
        difference: of the two recipes' means, as it is thought to be.
        deviation: standard, of either recipe over its seeds; above 0.

    Returns:
        None if it is more than a thousand.
    """
    size = abs(difference) / deviation
    for num_seeds in range(2, MOST_SEEDS + 1):
        freedom, shift = 2 * num_seeds - 2, size * math.sqrt(num_seeds / 2)
        critical = float(special.stdtrit(freedom, 1 - LEVEL / 2))
        # far out the noncentral t has no digits left, and the normal distribution is as good
        found = special.ndtr(shift - critical) if shift > 30 else 1 - special.nctdtr(freedom, shift, critical)
        if found >= POWER:
            return num_seeds
    return None


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, raised so that all of them together err as seldom as one. S. Holm (1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
