"""How far the clocks of several machines are apart, measured by round trips through the store that they met at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = ["NUM_TRIPS", "Offset", "answer", "ask"]

NUM_TRIPS = 8


@dataclass(frozen=True)
class Offset:
    """What a clock shows minus what rank 0's shows.

    Attributes:
        seconds: the difference.
        uncertainty: of it, either way: half of the quickest round trip.
    """

    seconds: float
    uncertainty: float


def ask(store: Store, name: str, seconds: float, clock: Callable[[], float] = time.time) -> Offset:
    """This clock's offset from that of the process that calls `answer`.

    Args:
        store: that both see.
        name: of this process, in the store.
        seconds: to wait for each answer.
        clock: seconds since some common beginning.

    Raises:
        RuntimeError: no answer came (torch's own kinds of it).
    """
    best: Offset | None = None
    for trip in range(NUM_TRIPS):
        began, sent = time.perf_counter(), clock()
        store.set(f"clock/{name}/{trip}/ask", "")
        store.wait([f"clock/{name}/{trip}/answer"], timedelta(seconds=seconds))
        trip_seconds = time.perf_counter() - began
        theirs = float(store.get(f"clock/{name}/{trip}/answer"))
        now = Offset(sent + trip_seconds / 2 - theirs, trip_seconds / 2)
        if best is None or now.uncertainty < best.uncertainty:
            best = now
    assert best is not None
    return best


def answer(store: Store, names: Sequence[str], seconds: float, clock: Callable[[], float] = time.time) -> None:
    """Answers each of `names` in turn. Raises RuntimeError: one didn't ask."""
    for name in names:
        for trip in range(NUM_TRIPS):
            store.wait([f"clock/{name}/{trip}/ask"], timedelta(seconds=seconds))
            store.set(f"clock/{name}/{trip}/answer", repr(clock()))
