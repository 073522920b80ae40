"""Schedules: pure functions from a step to the multiplier of the learning rate."""

from __future__ import annotations

from collections.abc import Callable

from podium.recipe import Recipe
from podium.training.plan import Plan

__all__ = ["Schedule", "from_recipe", "linear", "step_decay"]

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """1 at every step."""
    return 1.0


def linear(step: int, num_steps: int) -> float:
    """Falls from 1 at step 0 to 0 at `num_steps` and stays there."""
    return max(0.0, 1 - step / num_steps) if num_steps else 0.0


def step_decay(epochs: float, period: float, factor: float) -> float:
    """Multiplied by `factor` every `period` epochs."""
    return float(factor ** int(epochs / period + 1e-9))


def from_recipe(recipe: Recipe, plan: Plan) -> Schedule:
    """The schedule that `recipe` names, for a training of `plan`'s steps."""
    if recipe.schedule == "linear":
        return lambda step: linear(step, plan.num_steps)
    if recipe.schedule == "step":
        return lambda step: step_decay(plan.epoch_of(step), recipe.schedule_period, recipe.schedule_factor)
    return constant
