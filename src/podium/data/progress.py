"""Telling a caller how far something is, seldom enough to cost nothing."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["MEGABYTE", "Progress", "Ticker"]

TICK_SECONDS = 0.1
MEGABYTE = 1_000_000


class Progress(Protocol):
    """Called now and then while something takes long: what is being done, how much of it is done, and of how much.

    `total` is 0 when that isn't known. Where bytes are counted, `what` says so and the counts are in MB.
    """

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Takes the state of affairs."""


class Ticker:
    """Passes counts on to a Progress, ten times a second at most; the last one always.

    Args:
        progress: who is told; None: nobody.
        what: what is being done.
        total: how much there is of it, in images or bytes.
        unit: what one step of the counts passed on is made of. A total of less than one unit isn't worth a word.
    """

    def __init__(self, progress: Progress | None, what: str, total: int, unit: int = 1) -> None:
        self._progress = progress if total >= unit else None
        self._what = what
        self._total = total
        self._unit = unit
        self._next = 0.0

    def __call__(self, done: int) -> None:
        """Says that `done` of the total is done."""
        if self._progress and ((now := time.monotonic()) >= self._next or done >= self._total):
            self._progress(self._what, done // self._unit, self._total // self._unit)
            self._next = now + TICK_SECONDS
