"""Teaching: the finished runs whose answers a new one learns, chosen, written down and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from podium.api.common import classifier_of, opened
from podium.data import Dataset
from podium.errors import RecipeError, RunError
from podium.recipe import Recipe
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Teacher
from podium.training.setup import fingerprint_of
from podium.world import World

__all__ = ["check_teachers", "described", "teacher_of", "teachers_of"]

_KEYS = ("distill_weight", "distill_temperature")


def check_teachers(
    teachers: Sequence[Run], dataset: Dataset, recipe: Recipe, settings: Mapping[str, object], world: World
) -> None:
    """Says what can't be before a run is made.

    Args:
        teachers: the runs named.
        dataset: what is to be trained on.
        recipe: as resolved.
        settings: keys that were set by hand.
        world: the processes that train.

    Raises:
        RecipeError: a setting would be ignored.
        RunError: a teacher isn't finished, knows other classes, takes another size, or was trained on images that are
            to be held out: the accuracy measured on those would flatter.
    """
    if not teachers:
        if given := [key for key in _KEYS if key in settings]:
            raise RecipeError(f"{given[0]} would be ignored: it works with a teacher (--teacher RUN).")
        return
    if not recipe.distill_weight:
        raise RecipeError("The teacher would be ignored: distill_weight is 0.")
    images = dataset.train
    for run in teachers:
        preprocessing = classifier_of(run, world).preprocessing
        if set(preprocessing.classes) != set(images.classes):
            raise RunError(f"{run.label} can't teach here: it knows other classes than {dataset.name} has.")
        if preprocessing.image_size != images.size:
            (height, width), size = preprocessing.image_size, images.size
            raise RunError(
                f"{run.label} can't teach here: it takes images of {height}×{width} pixels, and these have "
                f"{size[0]}×{size[1]}."
            )
        _check_hold_out(run, dataset, recipe)


def _check_hold_out(run: Run, dataset: Dataset, recipe: Recipe) -> None:
    """Raises RunError if the run saw images that `recipe` holds out."""
    if not recipe.hold_out or run.manifest["data"]["fingerprint"] != dataset.fingerprint:
        return
    theirs, ours = run.manifest["split"], (recipe.hold_out, recipe.hold_out_seed)
    held_out = (theirs.get("hold_out", run.recipe.hold_out), theirs.get("seed", run.recipe.hold_out_seed))
    if held_out != ours:
        raise RunError(
            f"{run.label} was trained on images that this run would hold out: the accuracy measured there would "
            f"flatter.\nHold the same ones out (--set hold_out={held_out[0]:g} --set hold_out_seed={held_out[1]}), "
            "or none (--set hold_out=0)."
            if held_out[0]
            else f"{run.label} was trained on all images, also on those that this run would hold out: the accuracy "
            "measured there would flatter.\nHold none out (--set hold_out=0), or take a teacher that held out the same."
        )


def described(teachers: Sequence[Run]) -> dict[str, Any]:
    """For the manifest: where each lies, and its weights' fingerprint, so that a resumed run finds the same."""
    return {
        "teachers": [
            {"path": run.label if run.is_builtin else str(run.path.resolve()), "sha256": fingerprint_of(run.model_path)}
            for run in teachers
        ]
    }


def teacher_of(run: Run, classes: tuple[str, ...], runtime: Runtime) -> Teacher | None:
    """The teacher that a run's manifest names; None if it names none.

    Raises:
        RunError: one isn't there any more, or isn't what it was.
    """
    if not (found := teachers_of(run, runtime.world)):
        return None
    members = [classifier_of(one, runtime.world) for one in found]
    return Teacher(members, classes, run.recipe.distill_temperature, runtime)


def teachers_of(run: Run, world: World) -> list[Run]:
    """The runs that a run's manifest names as its teachers.

    Raises:
        RunError: one isn't there any more, or isn't what it was.
    """
    found = []
    for named in run.manifest.get("teachers", []):
        known, path = opened(named["path"], world), named["path"]
        if world.first(partial(fingerprint_of, known.model_path)) != named["sha256"]:
            raise RunError(f"{path} isn't the teacher any more that the run began with. Put that back, or train anew.")
        found.append(known)
    return found
