"""What a reader under test is: how an input for it is made, and the public way in that gets it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzzing.mutate import Repair, mutated

__all__ = ["Reader", "Said"]


class Said(Exception):  # noqa: N818  # it is no error of the bench
    """A refusal in a reader's own words, where that isn't a PodiumError: a server's answer."""


@dataclass(frozen=True)
class Reader:
    """One format and one way in.

    Attributes:
        name: of the reader.
        share: of all inputs; the shares are relative to each other.
        seeds: makes the files that are changed, in the process that forks the others. The first is valid, and is read
            well.
        read: puts an input into a folder, with what belongs beside it, and reads it. What it raises is judged.
        repair: as of `mutated`.
        focus: as of `mutated`.
        wrap: what is done to an input last, such as compressing it.
        prepare: makes in a folder what all inputs share; called once in each process.
        keeps: the folder isn't emptied between two inputs.
    """

    name: str
    share: float
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[Path, bytes], object]
    repair: Repair | None = None
    focus: int | None = None
    wrap: Callable[[bytes, random.Random], bytes] | None = None
    prepare: Callable[[Path], None] | None = None
    keeps: bool = False

    def input(self, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
        """Input `number`: the same for the same seed, whichever process asks."""
        rng = random.Random(f"{seed} {self.name} {number}")
        data = mutated(seeds, rng, self.repair, self.focus)
        return data if self.wrap is None else self.wrap(data, rng)
