"""Pace: at which steps a training is looked at, kept, and stopped.

A look reads sums from the device, which makes the processor wait for a GPU; and of several processes each must do the
same after the same step. So they agree now and then, about once a second and at each epoch's end, not at every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from podium.world import World

__all__ = ["Look", "Pace"]

_READ_SECONDS = 1.0  # at most so long, and a step, between two looks at a GPU's sums, or of several processes
_MOST_STEPS = 1000  # between two of these


@dataclass(frozen=True)
class Look:
    """What is to be done after a step.

    Attributes:
        reads: whether sums are read, for figures.
        saves: whether a checkpoint is written.
        stops: whether this sitting ends here.
    """

    reads: bool
    saves: bool = False
    stops: bool = False


class Pace:
    """Decides after each step.

    Args:
        world: the processes that must do the same. Rank 0's clock counts.
        device: that computes; reading a processor's sums costs nothing.
        checkpoint_seconds: at most so long, and about a second or a step, between two checkpoints.
        should_stop: asked now and then; of several processes any may say so.
    """

    def __init__(
        self, world: World, device: torch.device, checkpoint_seconds: float, should_stop: Callable[[], bool]
    ) -> None:
        self.always_reads = always_reads(device) and world.size == 1
        self._world = world
        self._checkpoint_seconds = checkpoint_seconds
        self._should_stop = should_stop
        self._saved_at = self._read_at = time.monotonic()
        self._read_step = -1  # of the last look
        self._next_step = 0  # of the next agreement

    def __call__(self, step: int, *, ends_epoch: bool, is_last: bool) -> Look:
        """After the step number `step`, counted from 1: the same in every process."""
        look = self._alone(ends_epoch, is_last) if self._world.size == 1 else self._agreed(step, ends_epoch, is_last)
        if look.reads:
            self._read_at, self._read_step = time.monotonic(), step
        return look

    def saved(self) -> None:
        """A checkpoint has been written."""
        self._saved_at = time.monotonic()

    def _alone(self, ends_epoch: bool, is_last: bool) -> Look:
        stops = not is_last and self._should_stop()
        saves = stops or (not is_last and self._is_due())
        reads = self.always_reads or ends_epoch or saves or self._read_step < 0
        return Look(reads or time.monotonic() - self._read_at >= _READ_SECONDS, saves, stops)

    def _agreed(self, step: int, ends_epoch: bool, is_last: bool) -> Look:
        if not ends_epoch and step < self._next_step:
            return Look(reads=False)
        pause = 1
        if self._read_step >= 0:
            step_seconds = (time.monotonic() - self._read_at) / (step - self._read_step)
            pause = int(min(_READ_SECONDS, self._checkpoint_seconds) / max(step_seconds, 1e-6))
        mine = [float(self._should_stop()), float(self._is_due()), float(min(max(1, pause), _MOST_STEPS))]
        said = self._world.stack(torch.tensor(mine)).tolist()  # rank 0 knows the time
        self._next_step = step + int(said[0][2])
        stops = not is_last and any(one[0] for one in said)
        return Look(reads=True, saves=stops or (not is_last and bool(said[0][1])), stops=stops)

    def _is_due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._checkpoint_seconds


def always_reads(device: torch.device) -> bool:
    """Whether reading a sum costs nothing, since whoever reads it has computed it."""
    return device.type == "cpu"
