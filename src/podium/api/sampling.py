"""Some of a set's images, drawn the same each time, and their pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium.data import Images

__all__ = ["each_class", "pixels_of", "some_of"]

Rows = npt.NDArray[np.int64]


def some_of(rows: Rows, count: int) -> Rows:
    """As many of the rows, or all of them, drawn the same each time; sorted if they were."""
    return np.sort(np.random.default_rng(0).choice(rows, min(count, len(rows)), replace=False))


def each_class(labels: npt.NDArray[np.int64], count: int) -> Rows:
    """About `count` rows, sorted: of each class the first ones, as many of one as of another, and one at least."""
    num_each = max(1, count // (int(labels.max()) + 1))
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    return np.sort(order[np.arange(len(order)) - starts < num_each]).astype(np.int64)


def pixels_of(images: Images, rows: Rows) -> npt.NDArray[np.uint8]:
    """uint8 (M, H, W, 3) of the images at `rows` (int64 (M,)), in that order."""
    pixels = np.empty((len(rows), *images.size, 3), np.uint8)
    places = {row: place for place, row in enumerate(rows.tolist())}
    for some, read in images.batches(100, rows):
        pixels[[places[row] for row in some.tolist()]] = read
    return pixels
