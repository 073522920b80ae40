"""Schedules: pure functions from a step to the multiplier of the learning rate."""

from __future__ import annotations

from collections.abc import Callable

from podium.recipe import Recipe

__all__ = ["Schedule", "from_recipe", "linear", "step_decay"]

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """1 at every step."""
    return 1.0


def linear(step: int, num_steps: int) -> float:
    """Falls from 1 at step 0 to 0 at `num_steps` and stays there."""
    return max(0.0, 1 - step / num_steps) if num_steps else 0.0


def step_decay(step: int, period: int, factor: float) -> float:
    """Multiplied by `factor` every `period` steps."""
    return float(factor ** (step // period))


def from_recipe(recipe: Recipe, steps_per_epoch: int, num_steps: int) -> Schedule:
    """The schedule that `recipe` names, for a training of `num_steps` steps."""
    if recipe.schedule == "linear":
        return lambda step: linear(step, num_steps)
    if recipe.schedule == "step":
        period = max(1, round(recipe.schedule_period * steps_per_epoch))
        return lambda step: step_decay(step, period, recipe.schedule_factor)
    return constant
