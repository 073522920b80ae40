"""Choice: which recipe, and how many epochs of it, a time limit allows on this machine.

The network's speed is measured for a second or two with random pixels of the data's size; how many passes over the data
that gives decides. The training itself then keeps the time: budget.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from podium import models
from podium.api.expected import Expected, expected
from podium.data import Images
from podium.errors import RecipeError
from podium.evaluation.tta import NUM_VIEWS
from podium.recipe import Recipe, default_recipe, load_recipe, stretched
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Parts
from podium.training.budget import PAST_TRAINING, Budget
from podium.training.plan import Plan
from podium.training.speed import step_speeds
from podium.world import World

__all__ = ["Choice", "budget_of", "choose", "choose_for", "num_looks", "recipe_of", "stretched"]

_LONG_FROM = 16.0  # epochs of `sprint`, from which on its images are better shifted further: `sprint_long`
_WIDE_FROM = 18.0  # epochs of `sprint96`, from which on it is the better one
_MOST_SMALL = 100.0  # epochs of small data sets, after which more of them hardly help
_TRIED = 250  # images a step, in which speed is measured
_MOST = 1e4  # epochs
_SPARE = 0.95  # of the measured speed: reading, augmentation and optimizer steps take time too


@dataclass(frozen=True)
class Choice:
    """What a time limit allows.

    Attributes:
        recipe: with the epochs that fit.
        images_per_second: of its training at full size, as measured.
        is_capped: whether the time isn't used up, since more epochs would hardly help.
        expected: accuracy on a hold-out, if trainings of such data have been measured.
    """

    recipe: Recipe
    images_per_second: float
    is_capped: bool
    expected: Expected | None

    def to_manifest(self) -> dict[str, Any]:
        """For a run's manifest."""
        return {
            "images_per_second": round(self.images_per_second),
            "expected": None if self.expected is None else asdict(self.expected),
            "is_capped": self.is_capped,
        }


def choose_for(
    images: Images,
    parts: Parts,
    end: float,
    runtime: Runtime,
    recipe: Recipe | None,
    settings: Mapping[str, object],
    teachers: Sequence[Recipe] = (),
) -> Choice:
    """What the time until `end`, of `time.monotonic`, allows; of several processes all get rank 0's answer.

    Raises:
        RecipeError: as `choose`; or `settings` has the epochs.
    """
    world = runtime.world
    if "epochs" in settings:
        raise RecipeError("epochs can't be set where --minutes are given: the time decides how many there are.")
    with world.together():
        choice = choose(images, len(parts[0]), end - time.monotonic(), runtime, recipe, settings, teachers)
    if world.size > 1:
        choice = replace(choice, recipe=Recipe(**world.tell(choice.recipe.to_dict())))
    return choice


def recipe_of(run: Run | None) -> dict[str, Any] | None:
    """A run's recipe, as plain values; None of no run."""
    return None if run is None else run.recipe.to_dict()


def budget_of(run: Run, num_hold_out: int, world: World, end: float | None = None) -> Budget | None:
    """What keeps a run within its minutes; None if it has none.

    Args:
        run: its manifest has the minutes.
        num_hold_out: images that it is measured on.
        world: the processes that train.
        end: of `time.monotonic`, where the minutes began with this call; None: earlier sittings took their part.
    """
    if (kept := run.manifest.get("budget")) is None:
        return None
    if end is None:
        trained = [float(line["train_seconds"]) for line in run.metrics() if "train_seconds" in line]
        end = time.monotonic() + 60 * kept["minutes"] - (trained[-1] if trained else 0.0)
    most = None
    if kept["is_capped"]:
        most = Plan.from_recipe(run.recipe, run.manifest["split"]["num_train"]).num_steps
    return Budget(
        end=end,
        num_looks=num_looks(run.recipe, num_hold_out),
        num_looked=num_hold_out,
        evaluate_every=run.recipe.evaluate_every if num_hold_out else 0,
        batch_size=run.recipe.batch_size,
        most_steps=most,
        world=world,
    )


def choose(
    images: Images,
    num_train: int,
    seconds: float,
    runtime: Runtime,
    recipe: Recipe | None = None,
    settings: Mapping[str, object] | None = None,
    teachers: Sequence[Recipe] = (),
) -> Choice:
    """The recipe and its epochs that `seconds` of training and measuring allow.

    Args:
        images: all labelled ones.
        num_train: how many of them are trained on.
        seconds: for training and measuring.
        runtime: device and precision.
        recipe: the one that the user wants; None: the best for the time.
        settings: keys of the recipe to set anew.
        teachers: recipes of the runs that teach it: each image goes through their networks too.

    Raises:
        RecipeError: the time isn't enough for one step.
    """
    task = _Task(images, num_train, seconds, runtime)
    task = replace(task, teaching_seconds=sum(1 / task.speed(one) for one in teachers) / PAST_TRAINING)
    settings = settings or {}
    if recipe is not None:
        return task.fit(recipe)
    standard = default_recipe(num_train, min(images.size))
    choice = task.fit(standard.with_settings(settings), _MOST_SMALL if standard.name == "sprint_small" else None)
    if standard.name != "sprint" or choice.recipe.epochs < _LONG_FROM:
        return choice
    choice = task.fit(load_recipe("sprint_long").with_settings(settings), speed=choice.images_per_second)
    wide = load_recipe("sprint96").with_settings(settings)
    operations = [models.count_operations(one.model, "cifar") for one in (choice.recipe, wide)]
    likely = choice.images_per_second * operations[0] / operations[1]
    return choice if task.epochs(wide, likely) < _WIDE_FROM else task.fit(wide)


def num_looks(recipe: Recipe, num_hold_out: int) -> int:
    """Views of images that are looked at after the last step: for the curve, and with test-time augmentation."""
    return round(num_hold_out * (2 + (NUM_VIEWS[recipe.tta] - 1) * recipe.tta_fraction))


@dataclass(frozen=True)
class _Task:
    """What is to be done in which time."""

    images: Images
    num_train: int
    seconds: float
    runtime: Runtime
    teaching_seconds: float = 0.0
    """That the teachers look at an image."""

    def fit(self, recipe: Recipe, most: float | None = None, speed: float | None = None) -> Choice:
        """The recipe in as many epochs as fit; `most` of them at most; at `speed`, measured if None."""
        speed = self.speed(recipe) if speed is None else speed
        epochs = self.epochs(recipe, speed)
        is_capped = most is not None and epochs > most
        fitted = stretched(recipe, most if most is not None and is_capped else epochs)
        known = None if self.teaching_seconds else expected(fitted, self.images)  # of trainings without a teacher
        return Choice(fitted, speed, is_capped, known)

    def epochs(self, recipe: Recipe, speed: float) -> float:
        """How many fit at so many images a second, to half a percent."""
        step_seconds = min(recipe.batch_size, self.num_train) * (1 / speed + self.teaching_seconds) / _SPARE
        num_hold_out = len(self.images) - self.num_train
        left = (self.seconds - num_looks(recipe, num_hold_out) / PAST_TRAINING / speed) / step_seconds
        if left < 1:
            raise RecipeError(
                f"{max(0.0, self.seconds):.0f} seconds are left for the training, and one step of {recipe.name} takes "
                f"about {step_seconds:.1f} s here, not counting its measurement.\nGive more --minutes."
            )
        low, high = 0.0, 1.0
        while self._full_steps(recipe, high) < left and high < _MOST:
            low, high = high, 2 * high
        while high - low > 0.005 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self._full_steps(recipe, middle) < left else (low, middle)
        return float(f"{max(low, 0.01):.3g}")

    def _full_steps(self, recipe: Recipe, epochs: float) -> float:
        return Plan.from_recipe(stretched(recipe, epochs), self.num_train).full_steps

    def speed(self, recipe: Recipe) -> float:
        """Images a second that all processes train on together, at full size."""
        speeds = step_speeds(
            recipe.model,
            models.resolve_form(recipe.model, recipe.form, self.images.size),
            self.runtime,
            batch_size=min(_TRIED, recipe.batch_size, self.num_train),
            channels_last=recipe.channels_last,
            image_size=self.images.size,
            num_classes=len(self.images.classes),
        )
        return max(speeds) * self.runtime.world.size
