"""What a study is of, and its trials as they stand: plain values, for whoever shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from podium.tuning.space import Value

__all__ = ["COUNTED", "Row", "State", "Task", "best_of", "num_done", "own_accuracy"]

State = Literal["finished", "pruned", "diverged", "impossible", "lost", "stopped", "surplus", "running", "waiting"]
"""What became of a trial. The first four count; what was lost or stopped is tried again; surplus ones never began."""

COUNTED: tuple[State, ...] = ("finished", "pruned", "diverged", "impossible")
"""Those that came to an end."""


@dataclass(frozen=True)
class Task:
    """What a study is of: all its workers must agree.

    Attributes:
        data: their fingerprint.
        recipe: that is to be bettered, as TOML.
        space: what is varied in its trials, as TOML.
        epochs: of a trial.
        validation: part of the images without the hold-out that trials are judged on.
        validation_seed: chooses these.
        pruner: median, hyperband or none.
        seed: of the trials, and of the draws.
    """

    data: str
    recipe: str
    space: str
    epochs: float
    validation: float
    validation_seed: int
    pruner: str
    seed: int


@dataclass(frozen=True)
class Row:
    """A trial, as it stands.

    Attributes:
        number: from 0.
        state: what became of it.
        values: what was varied, as its recipe has it.
        curve: (epoch, accuracy) of its looks at the validation images.
        seconds: it took; None: it isn't over, or its worker was lost.
        note: why, where it didn't come to its end.
        is_own: whether it has the recipe's own values.
    """

    number: int
    state: State
    values: dict[str, Value]
    curve: tuple[tuple[int, float], ...]
    seconds: float | None
    note: str
    is_own: bool

    @property
    def accuracy(self) -> float | None:
        """Of one that finished."""
        return self.curve[-1][1] if self.state == "finished" and self.curve else None


def best_of(rows: Sequence[Row]) -> Row | None:
    """The finished one with the highest accuracy, of several the first."""
    done = [row for row in rows if row.accuracy is not None]
    return max(done, key=lambda row: (row.accuracy or 0.0, -row.number), default=None)


def num_done(rows: Sequence[Row]) -> int:
    """How many came to an end that counts."""
    return sum(row.state in COUNTED for row in rows)


def own_accuracy(rows: Sequence[Row]) -> float | None:
    """Of the recipe as it was; None: it wasn't tried, or didn't finish."""
    return next((row.accuracy for row in rows if row.is_own and row.accuracy is not None), None)
