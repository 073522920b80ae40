"""Timetable: the steps that a training makes, where a time limit may stretch or shorten what its recipe planned.

The plan says what happens when: warm-up, growing images, left-out images, the falling rate. Its steps are positions,
and a step of the training stands at one of them. Without a limit they are the same. Where the machine turns out faster
or slower than thought, what is left of the plan is spread over more or fewer steps: the rate still falls to its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from podium.training.plan import Plan

__all__ = ["Timetable"]


class Timetable:
    """The steps of a training and the places in its plan that they stand at.

    Args:
        plan: the recipe's.

    Attributes:
        plan: the recipe's.
        num_steps: of the training, as it is known now.
        num_images: shown in each epoch.
        ends: the step at which each epoch ends, counted from the training's first.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.num_steps, self.num_images, self.ends = plan.num_steps, plan.num_images, plan.ends
        self._knots = [(0, 0.0)]  # steps at which it was stretched, and their positions

    @property
    def is_stretched(self) -> bool:
        """Whether it isn't the plan itself."""
        return len(self._knots) > 1 or self.num_steps != self.plan.num_steps

    @property
    def steps_per_epoch(self) -> int:
        """Where every image is shown."""
        return self.plan.steps_per_epoch

    def position(self, step: int) -> float:
        """The step of the plan that a step stands for; a fraction where the plan is stretched."""
        if not self.is_stretched:
            return step
        last = bisect_right(self._knots, step, key=lambda knot: knot[0]) - 1
        knots = [*self._knots, (self.num_steps, float(self.plan.num_steps))]
        (since, place), (until, end) = knots[last : last + 2]
        return min(place + (step - since) * (end - place) / (until - since), float(self.plan.num_steps))

    def stretch(self, step: int, num_steps: int) -> None:
        """What is left of the plan from `step` on, not done yet, is spread so that there are `num_steps` in all.

        An epoch that has begun shows what it began with; later ones show what the plan has at their place.
        """
        assert num_steps > step >= self._knots[-1][0], (step, num_steps)
        place = self.position(step)
        self._knots = [knot for knot in self._knots if knot[0] < step] + [(step, place)]
        self.num_steps = num_steps
        epoch, within = self.locate(step)
        begun = epoch + (within > 0)
        images, ends = list(self.num_images[:begun]), list(self.ends[:begun])
        while not ends or ends[-1] < num_steps:
            start = ends[-1] if ends else 0
            number = min(int(self.plan.epoch_of(self.position(start))), len(self.plan.ends) - 1)
            before = self.plan.ends[number - 1] if number else 0
            images.append(self.plan.num_images[number])
            ends.append(start + self.plan.ends[number] - before)
        self.num_images, self.ends = tuple(images), tuple(ends)

    def locate(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and its place among that epoch's steps; both from 0."""
        epoch = bisect_right(self.ends, step)
        return epoch, step - self._start(epoch)

    def ends_epoch(self, num_done: int) -> bool:
        """Whether an epoch, or the training, is over after `num_done` steps."""
        return num_done in self.ends or num_done == self.num_steps

    def epoch_of(self, num_done: int) -> float:
        """Epochs that `num_done` steps make."""
        epoch = min(bisect_right(self.ends, num_done), len(self.ends) - 1)
        start = self._start(epoch)
        return epoch + (num_done - start) / (self.ends[epoch] - start)

    def scale(self, step: int) -> float:
        """The part of their own size at which a step's images are shown."""
        return self.plan.scale(self.position(step))

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs: steps and their positions, float64 (M, 2); epochs' images and ends, int64 (2, E)."""
        if not self.is_stretched:
            return {}
        knots = [*self._knots, (self.num_steps, float(self.plan.num_steps))]
        return {"knots": torch.tensor(knots, dtype=torch.float64), "epochs": torch.tensor([self.num_images, self.ends])}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave."""
        if "knots" not in state:
            return
        *knots, (num_steps, _) = state["knots"].tolist()
        self._knots, self.num_steps = [(int(step), place) for step, place in knots], int(num_steps)
        images, ends = state["epochs"].tolist()
        self.num_images, self.ends = tuple(images), tuple(ends)

    def to_manifest(self) -> dict[str, Any]:
        """What a run tells of it, for `from_manifest`: nothing if it is the plan."""
        if not self.is_stretched:
            return {}
        kept = {name: tensor.tolist() for name, tensor in self.state().items()}
        return {"timetable": {**kept, "num_epochs": round(self.epoch_of(self.num_steps), 3)}}

    @staticmethod
    def from_manifest(plan: Plan, manifest: Mapping[str, Any]) -> Timetable:
        """That of a finished run, or of one that repeats such; else the plan."""
        timetable = Timetable(plan)
        kept = manifest.get("timetable", {})
        if kept:
            knots, epochs = torch.tensor(kept["knots"], dtype=torch.float64), torch.tensor(kept["epochs"])
            timetable.load_state({"knots": knots, "epochs": epochs})
        return timetable

    def _start(self, epoch: int) -> int:
        return self.ends[epoch - 1] if epoch else 0
