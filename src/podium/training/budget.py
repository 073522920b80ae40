"""Budget: a training that ends in time, however fast the machine turns out to be while it trains.

What is left of the plan is spread anew over the steps that the time left allows, many times in a training. The time of
a step is measured as it goes, for each size at which images are shown; what comes after the last step is set aside.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from podium.training.timetable import Timetable
from podium.world import ALONE, World

__all__ = ["PAST_TRAINING", "Budget"]

_RECENT = 20  # looks whose mean is a step's time
_OFTEN = 100  # times that the end is reckoned anew
PAST_TRAINING = 3.0  # images are looked at so many times as fast as they are trained on, until that is measured
_LAST_SECONDS = 1.5  # to write the model, the manifest and the report


@dataclass
class Budget:
    """When a training must be over.

    Attributes:
        end: `time.monotonic()` at which all is done, the last measurement and the report too.
        num_looks: images that are looked at after the last step, each view of one counted.
        num_looked: images of a look at the hold-out during the training.
        evaluate_every: epochs between two of those; 0: none.
        batch_size: images a step.
        most_steps: that the training may grow to; None: any number.
        world: the processes that train; rank 0's clock counts.
    """

    end: float
    num_looks: int
    num_looked: int
    evaluate_every: int
    batch_size: int
    most_steps: int | None = None
    world: World = ALONE
    _seconds: dict[float, deque[float]] = field(default_factory=dict)  # of a step, by scale
    _look_seconds: float | None = None  # of an image that is looked at
    _since: tuple[int, float] | None = None  # step and time of the last note
    _next: int = 0  # step at which the end is reckoned anew

    @property
    def seconds_left(self) -> float:
        """Until the end; below 0 if it has passed."""
        return self.end - time.monotonic()

    def note(self, step: int, scale: float) -> None:
        """`step` steps are done, and all that was asked of the device is; the last ones were shown at `scale`."""
        now = time.monotonic()
        if self._since is not None and step > self._since[0]:
            each = (now - self._since[1]) / (step - self._since[0])
            self._seconds.setdefault(scale, deque(maxlen=_RECENT)).append(each)
        self._since = step, now

    def looked(self, seconds: float) -> None:
        """A look at the hold-out took so long: it isn't a step's time."""
        self._look_seconds = seconds / max(1, self.num_looked)
        if self._since is not None:
            self._since = self._since[0], time.monotonic()

    def keep(self, timetable: Timetable, step: int) -> None:
        """Before a step: stretches or shortens what is left, where that has to be."""
        if step < self._next:
            return
        number, self._next = self.world.tell(self._reckon(timetable, step) if self.world.is_first else (0, 0))
        if number and number != timetable.num_steps:
            timetable.stretch(step, number)

    def _reckon(self, timetable: Timetable, step: int) -> tuple[int, int]:
        """How many steps there should be in all, 0 if that isn't known yet; and when to ask again."""
        if not self._seconds:
            return 0, step + 1
        left = self.seconds_left - self._afterwards(timetable, step)
        parts = _parts(timetable, step)
        mean = sum(part * self._step_seconds(scale) for scale, part in parts.items())
        number = max(1, int(left / mean))
        if self.most_steps is not None:
            number = max(1, min(number, self.most_steps - step))
        planned = timetable.num_steps - step
        is_near = abs(number - planned) <= 0.003 * planned  # not worth a change
        return timetable.num_steps if is_near else step + number, step + max(1, min(planned, number) // _OFTEN)

    def _step_seconds(self, scale: float) -> float:
        """Of a step at a scale: measured, or from the nearest one that is."""
        if scale not in self._seconds:
            near = min(self._seconds, key=lambda known: abs(known - scale))
            return self._step_seconds(near) * (scale / near) ** 2
        known = self._seconds[scale]
        return sum(known) / len(known)

    def _afterwards(self, timetable: Timetable, step: int) -> float:
        """Seconds of what isn't steps: looks at the hold-out, the end."""
        each = self._look_seconds or self._step_seconds(1.0) / self.batch_size / PAST_TRAINING
        looks = self.num_looks
        if self.evaluate_every:
            done, end = timetable.epoch_of(step), timetable.epoch_of(timetable.num_steps)
            looks += self.num_looked * int(end // self.evaluate_every - done // self.evaluate_every)
        return each * looks + _LAST_SECONDS


def _parts(timetable: Timetable, step: int) -> dict[float, float]:
    """Which part of what is left of the plan is shown at which scale."""
    plan = timetable.plan
    start, end = timetable.position(step), float(plan.num_steps)
    bounds = [start, *(place for place in map(float, plan.scale_ends) if start < place < end), end]
    parts: dict[float, float] = {}
    for begin, until in pairwise(bounds):
        scale = plan.scale(begin)
        parts[scale] = parts.get(scale, 0.0) + (until - begin) / (end - start)
    return parts
