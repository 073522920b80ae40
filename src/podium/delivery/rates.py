"""The learning rate that a run's recipe had at a step."""

from __future__ import annotations

from podium.errors import RecipeError
from podium.run import Run
from podium.training import schedules
from podium.training.plan import Plan
from podium.training.timetable import Timetable

__all__ = ["Rates"]


class Rates:
    """A run's learning rates. With `muon`: of the filters; biases and head have rates of their own, which fall alike.

    Attributes:
        timetable: its steps and epochs.
    """

    def __init__(self, run: Run, plan: Plan) -> None:
        self.timetable = Timetable.from_manifest(plan, run.manifest)
        self._highest = run.recipe.learning_rate
        self._schedule = schedules.from_recipe(run.recipe, self.timetable)

    @staticmethod
    def of(run: Run) -> Rates | None:
        """Those of a run; None of an imported one, and of one whose number of images no longer fits its recipe."""
        num_images = run.manifest["split"]["num_train"]
        try:
            return Rates(run, Plan.from_recipe(run.recipe, num_images)) if num_images else None
        except RecipeError:
            return None

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        return self._highest * self._schedule(step)
