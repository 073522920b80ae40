"""Orders of images that lie in shards: those of few shards at a time, so that few must be at hand.

All numbers are drawn by a hash of seed, epoch and place, and so are the same whatever library's generator is there, and
for any number of processes: an order is of all images, and each process takes its places of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["by_shard", "shuffled"]

Words = npt.NDArray[np.uint64]

STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def by_shard(shards: npt.NDArray[np.int32], seed: int, epoch: int, window: int = 16) -> npt.NDArray[np.int64]:
    """An order of N images in which those of `window` shards are mixed, then those of the next `window`, and so on.

    Which shards come together changes with each epoch, and so does the order within. Images are best spread over the
    shards at random beforehand, as `podium shard` does: then N images out of `window` shards are a fair sample.

    Args:
        shards: int32 (N,), the shard that each image lies in.
        seed: of the training.
        epoch: from 0.
        window: shards that are mixed, at least 1; of any `window` × (images a shard) that follow each other in the
            order, no more than 2 `window` shards have a part.

    Returns:
        int64 (N,): every row once.
    """
    assert window >= 1
    numbers, places = np.unique(shards, return_inverse=True)
    turns = np.empty(len(numbers), np.int64)
    turns[shuffled(len(numbers), seed, 2 * epoch + 1)] = np.arange(len(numbers))
    return np.lexsort((_keys(len(shards), seed, 2 * epoch), turns[places] // window)).astype(np.int64)


def shuffled(count: int, seed: int, stream: int = 0) -> npt.NDArray[np.int64]:
    """A permutation of `count` places, int64 (count,), decided by `seed` and `stream` alone."""
    return np.argsort(_keys(count, seed, stream), kind="stable").astype(np.int64)


def _keys(count: int, seed: int, stream: int) -> Words:
    """As good as random, uint64 (count,). Source: Steele et al., "Fast Splittable Pseudorandom Number Generators"."""
    start = int(_mixed(np.array([seed & _MASK], np.uint64))[0]) ^ (stream * SECOND & _MASK)
    start = int(_mixed(np.array([start], np.uint64))[0])
    return _mixed(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(STEP) + np.uint64(start))


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(FIRST)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(SECOND)
    return words ^ (words >> np.uint64(31))
