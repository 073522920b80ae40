"""Stratified hold-out and folds. The same labels and seed give the same split on every machine and NumPy version."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from podium.errors import DataError

__all__ = ["folds", "hold_out"]

Indices = npt.NDArray[np.int64]


def hold_out(labels: Indices, fraction: float, seed: int = 0) -> tuple[Indices, Indices]:
    """Splits off a stratified part.

    Each class gives its share, rounded so that the whole is round(N · fraction): classes with the largest remainders
    give one more.

    Args:
        labels: int64 (N,), 0 or more.
        fraction: to hold out, in [0, 1).
        seed: chooses which of a class's images are held out.

    Returns:
        Indices of the training part and of the held-out part, int64, each sorted.

    Raises:
        DataError: the fraction is out of range.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"The part to hold out is {fraction}; it must be at least 0 and less than 1.")
    exact = Fraction(fraction).limit_denominator(1_000_000)  # 0.1, not the double nearest to it
    counts = np.bincount(labels)
    quotas = [int(count) * exact for count in counts]
    shares = [int(quota) for quota in quotas]
    rest = round(len(labels) * exact) - sum(shares)
    by_remainder = sorted(range(len(quotas)), key=lambda c: (shares[c] - quotas[c], c))
    for c in by_remainder[:rest]:
        shares[c] += 1
    order = _shuffled_by_class(labels, seed)
    place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = place_in_class < np.repeat(np.array(shares, np.int64), counts)
    return np.sort(order[~held]), np.sort(order[held])


def folds(labels: Indices, k: int, seed: int = 0) -> list[tuple[Indices, Indices]]:
    """Splits into `k` stratified folds, whose sizes differ by one at most, in whole and class by class.

    Args:
        labels: int64 (N,), 0 or more.
        k: number of folds, from 2 to N.
        seed: chooses which fold an image falls into.

    Returns:
        For each fold the indices of the others and of its own, int64, each sorted.

    Raises:
        DataError: `k` is out of range.
    """
    if not 2 <= k <= len(labels):
        raise DataError(
            f"{k} folds of {len(labels):,} images: it must be at least 2, and no more than there are images."
        )
    order = _shuffled_by_class(labels, seed)
    fold = np.arange(len(labels)) % k  # dealt out like cards, one class after the other
    return [(np.sort(order[fold != i]), np.sort(order[fold == i])) for i in range(k)]


def _shuffled_by_class(labels: Indices, seed: int) -> Indices:
    """Indices, all of class 0 first, then of class 1 and so on; within a class in an order that the seed gives."""
    return np.lexsort((_splitmix64(len(labels), seed), labels)).astype(np.int64)


def _splitmix64(count: int, seed: int) -> npt.NDArray[np.uint64]:
    """Steele, Lea and Flood's SplitMix64 (OOPSLA 2014, figure 17): `count` numbers of the stream that `seed` names."""
    start = np.uint64(seed % 2**32 << 32)  # streams of less than 2³² numbers don't overlap
    x = (start + np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
