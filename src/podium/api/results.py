"""evaluate and predict: a run and images become figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from podium.api.common import (
    OnBatch,
    check_on_bad_image,
    classifier_of,
    open_for,
    opened,
    predict_with,
    split,
    tolerant,
)
from podium.api.jobs import same_everywhere
from podium.data import Dataset, Images
from podium.errors import DataError, RunError
from podium.evaluation import Evaluation, Predictions, concatenated, evaluate_predictions
from podium.run import Run
from podium.runtime import Runtime
from podium.world import join

__all__ = [
    "On",
    "check_fits",
    "evaluate",
    "labelled_as",
    "predict",
    "predict_sets",
    "sets_to_measure",
]

On = Literal["evaluation", "hold-out", "all"]
"""Which images `evaluate` measures on."""


def evaluate(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    on: On | None = None,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
    on_bad_image: str = "stop",
    on_note: Callable[[str], None] | None = None,
) -> Evaluation:
    """How good a run is, on images that it wasn't trained on.

    Args:
        run: a finished run.
        data: what `open` gives or takes; None: what the run was trained on.
        on: "evaluation": the data's evaluation set. "hold-out": what the run held out of its own data. "all": all
            labelled images of other data, the evaluation set's too. None: the first of these that there is.
        runtime: device and precision; None: the best there is.
        on_batch: called after each batch.
        on_bad_image: of streamed images. "stop": one that can't be decoded is an error; "skip": it is named, and a grey
            one is judged, most likely wrongly, in its place.
        on_note: called with each such error; None: a warning.

    Raises:
        DataError: the data have no evaluation set, or can't be read.
        RunError: the run isn't finished, has no hold-out, was trained on the images asked for, or knows other classes
            than the data.
    """
    world = runtime.world if runtime is not None else join()
    run = opened(run, world)
    classifier_of(run, world)  # a missing or damaged one is said before the data are read
    dataset = world.in_turn(lambda: open_for(run, data))
    sets, what = world.in_turn(lambda: sets_to_measure(run, dataset, on))
    check_on_bad_image(on_bad_image, sets[0])
    sets = [tolerant(images, on_bad_image, on_note) for images in sets]
    same_everywhere(world, "data set", world.in_turn(lambda: dataset.fingerprint))
    return evaluate_predictions(predict_sets(run, dataset, sets, runtime, on_batch), what, run.recipe.tta)


def predict_sets(
    run: Run, dataset: Dataset, sets: list[Images], runtime: Runtime | None, on_batch: OnBatch | None
) -> Predictions:
    """What a run says of some of a data set's labelled images, with labels that count the run's classes."""
    num_all = sum(map(len, sets))
    predictions: list[Predictions] = []
    for number, images in enumerate(sets):
        before = sum(map(len, sets[:number]))
        counted = None if on_batch is None else (lambda done, _, before=before: on_batch(before + done, num_all))
        predictions.append(predict_with(run, images, runtime, counted))
    return labelled_as(concatenated(predictions), dataset.classes)


def sets_to_measure(run: Run, dataset: Dataset, on: On | None) -> tuple[list[Images], str]:
    """The images to measure a run on, and what they are in words. Raises as `evaluate`."""
    is_own = dataset.fingerprint == run.manifest["data"]["fingerprint"]
    name = dataset.evaluation_name
    on = on or ("evaluation" if name is not None else "hold-out" if is_own else "all")
    if not is_own:
        check_fits(run, dataset)
    if on == "hold-out":
        if not is_own:
            raise RunError(
                f"{dataset.name} isn't what {run.label} was trained on, so there is no hold-out in it. "
                "Leave --on out, or name no data."
            )
        if run.recipe.hold_out == 0:
            raise RunError(
                f"{run.label} was trained on every labelled image of {dataset.name}, so none is left to measure "
                "it on.\n"
                "Train with a hold-out (--set hold_out=0.1) to know the accuracy."
            )
        return [dataset.train.subset(split(dataset.train, run.recipe)[1])], f"hold-out of {dataset.name}"
    if on == "all" and is_own:
        raise RunError(
            f"{run.label} was trained on most of the labelled images of {dataset.name}, so its accuracy on all of them "
            "would say nothing.\nMeasure it on the hold-out or the evaluation set: leave --on out."
        )
    evaluation = dataset.evaluation
    if on == "evaluation" and (evaluation is None or name is None):
        raise DataError(
            f"{dataset.place} has no evaluation set (a folder val, an official test split). Leave --on out."
        )
    if on == "evaluation" and evaluation is not None:
        sets, what = [evaluation], f"{name} of {dataset.name}"
    else:
        sets = [dataset.train] if evaluation is None else [dataset.train, evaluation]
        what = f"all labelled images of {dataset.name}"
    if run.is_imported:
        what += " (whether the imported run was trained on some isn't known)"
    elif not is_own:
        what += ", other data than the run's (whether they overlap isn't known)"
    return sets, what


def predict(
    run: Run | str | Path,
    images: Images,
    *,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
) -> Predictions:
    """What a run says of some images, with its recipe's test-time augmentation.

    Raises:
        RunError: the run isn't finished, or takes images of another size.
    """
    world = runtime.world if runtime is not None else join()
    return predict_with(opened(run, world), images, runtime, on_batch)


def check_fits(run: Run, dataset: Dataset) -> None:
    """Raises RunError unless the run knows just the data's classes."""
    known = tuple(run.manifest["data"]["classes"])
    if sorted(dataset.classes) != sorted(known):
        raise RunError(f"{run.label} knows the classes {_some(known)}; {dataset.name} has {_some(dataset.classes)}.")


def labelled_as(predictions: Predictions, classes: tuple[str, ...]) -> Predictions:
    """With labels that count the run's classes. They come counting the data's, which may stand in another order."""
    assert predictions.labels is not None
    places = np.array([predictions.classes.index(name) for name in classes])
    return replace(predictions, labels=places[predictions.labels])


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
