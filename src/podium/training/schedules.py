"""Schedules: functions from a step, or a position between two, to the multiplier of the learning rate."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from podium.recipe import Recipe
from podium.training.timetable import Timetable

__all__ = ["Schedule", "cosine", "from_recipe", "linear", "milestones", "one_cycle", "step_decay", "warmed"]

Schedule = Callable[[int], float]
Shape = Callable[[float], float]

_ONE_CYCLE_START = 1 / 25  # of the highest rate


def constant(step: float) -> float:
    """1 at every step."""
    return 1.0


def linear(step: float, num_steps: int) -> float:
    """Falls from 1 at step 0 to 0 at `num_steps` and stays there."""
    return max(0.0, 1 - step / num_steps) if num_steps else 0.0


def cosine(step: float, num_steps: int) -> float:
    """Falls from 1 at step 0 to 0 at `num_steps` along half a cosine wave (arXiv 1608.03983, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / num_steps))) if num_steps else 0.0


def one_cycle(step: float, num_steps: int, peak: float) -> float:
    """Rises from a 25th to 1 at the part `peak` of all steps, then falls to 0; both along half a cosine wave.

    Source: arXiv 1708.07120, with the cosine that most have taken since.
    """
    top = round(peak * num_steps)
    if step < top:
        return 1 - (1 - _ONE_CYCLE_START) * cosine(step, top)
    return cosine(step - top, num_steps - top)


def step_decay(epochs: float, period: float, factor: float) -> float:
    """Multiplied by `factor` every `period` epochs."""
    return float(factor ** int(epochs / period + 1e-9))


def milestones(epochs: float, ends: tuple[float, ...], factor: float) -> float:
    """Multiplied by `factor` after each of the epochs `ends`."""
    return float(factor ** bisect_right(ends, epochs + 1e-9))


def warmed(step: float, num_warm: int, schedule: Shape) -> float:
    """Rises linearly to 1 during `num_warm` steps, none of which is 0; then `schedule`, counted from there."""
    return (step + 1) / (num_warm + 1) if step < num_warm else schedule(step - num_warm)


def from_recipe(recipe: Recipe, timetable: Timetable) -> Schedule:
    """The schedule that `recipe` names, for a training of `timetable`'s steps."""
    plan = timetable.plan
    num_warm = plan.step_of(recipe.warmup_epochs)
    num_steps = plan.num_steps - num_warm

    def shape(step: float) -> float:
        epochs = plan.epoch_of(step + num_warm)
        match recipe.schedule:
            case "linear":
                return linear(step, num_steps)
            case "cosine":
                return cosine(step, num_steps)
            case "one_cycle":
                return one_cycle(step, num_steps, recipe.schedule_peak)
            case "step" if recipe.schedule_milestones:
                return milestones(epochs, recipe.schedule_milestones, recipe.schedule_factor)
            case "step":
                return step_decay(epochs, recipe.schedule_period, recipe.schedule_factor)
            case _:
                return constant(step)

    return lambda step: warmed(timetable.position(step), num_warm, shape)
