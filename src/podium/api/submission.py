"""submit: runs and test images become a competition's file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from podium.api.common import (
    OnBatch,
    check_on_bad_image,
    check_writable,
    classifier_of,
    open_for,
    opened,
    predict_with,
    tolerant,
)
from podium.api.jobs import same_everywhere
from podium.api.results import check_fits, labelled_as
from podium.data import Dataset
from podium.delivery import write_submission
from podium.errors import DataError, RunError
from podium.evaluation import Blend, Predictions, blend, ensemble
from podium.run import Run
from podium.runtime import Runtime
from podium.world import World, join

__all__ = ["Weights", "submit"]

STREAM_SIZE = 500

Weights = Literal["hold-out", "equal"]
"""How much each run of an ensemble counts."""


def submit(
    runs: Run | str | Path | Sequence[Run | str | Path],
    data: Dataset | str | Path | None = None,
    path: str | Path = "submission.csv",
    *,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
    weights: Weights = "hold-out",
    on_blend: Callable[[Blend | None], None] | None = None,
    on_bad_image: str = "stop",
    on_note: Callable[[str], None] | None = None,
) -> Predictions:
    """Writes a submission for the test images; several runs' probabilities are averaged, each with its weight.

    Data without images to be predicted, such as CIFAR's releases, give the rows of their evaluation set: its labels are
    not looked at. The returned predictions have them then, and else not.

    Args:
        runs: one finished run or several.
        data: what `open` gives or takes; None: what the first run was trained on.
        path: the CSV to write, whole or not at all.
        runtime: device and precision; None: the best there is, as each run's recipe says.
        on_batch: called after each batch. On a first opening of the data the images are predicted while they are read.
        weights: of several runs. "hold-out": those with the lowest cross-entropy on the images that all runs held out;
            equal ones if there are no such. "equal": all count the same.
        on_blend: called with what was found there, before anything is predicted; None: equal weights, for lack of
            common images.
        on_bad_image: as of `evaluate`; with "skip" what is said of a grey image is written for one that can't be
            decoded.
        on_note: as of `evaluate`.

    Returns:
        The predictions that were written.

    Raises:
        DataError: there are neither test images nor an evaluation set, they can't be read, or they and the sample
            submission don't hold the same ids.
        RunError: a run isn't finished, knows other classes, takes another size, or is named twice.
        StorageError: `path` or the cache can't be written.
    """
    # what must fail fails before the test set is read and predicted
    world = runtime.world if runtime is not None else join()
    members = [opened(run, world) for run in ([runs] if isinstance(runs, Run | str | Path) else runs)]
    if not members:
        raise RunError("No run was given: name one or more.")
    places = [run.path.resolve() for run in members]
    if len(set(places)) < len(places):
        twice = next(run.path for run, place in zip(members, places, strict=True) if places.count(place) > 1)
        raise RunError(f"{twice} is named twice; each run of an ensemble counts once.")
    sizes = {classifier_of(run, world).preprocessing.image_size: run.path for run in members}
    if len(sizes) > 1:
        raise RunError(
            "The runs take images of different sizes, so they can't be one ensemble: "
            + ", ".join(f"{path} {height}×{width}" for (height, width), path in sizes.items())
            + "."
        )
    blended = _blend(members, world) if len(members) > 1 and weights == "hold-out" else None
    if on_blend is not None and len(members) > 1 and weights == "hold-out":
        on_blend(blended)
    world.first(lambda: check_writable(Path(path)))
    dataset = world.in_turn(lambda: open_for(members[0], data))
    world.in_turn(lambda: dataset.train)
    for run in members:
        check_fits(run, dataset)
    sample = world.in_turn(lambda: dataset.sample_submission)
    is_plain = world.size == 1 and on_bad_image == "stop"
    stream = dataset.stream_test(STREAM_SIZE) if is_plain else None
    if stream is None:  # several processes: one of each machine packs all, then each reads its part only
        same_everywhere(world, "data set", world.in_turn(lambda: dataset.fingerprint))
        images = world.in_turn(lambda: dataset.evaluation if dataset.test is None else dataset.test)
        if images is not None:
            check_on_bad_image(on_bad_image, images)
            stream = tolerant(images, on_bad_image, on_note).stream(STREAM_SIZE)
    if stream is None:
        raise DataError(f"{dataset.place} has no test images, so there is nothing to submit.")

    num_all = len(stream) * len(members)
    predictions = []
    for number, run in enumerate(members):
        before = number * len(stream)
        counted = None if on_batch is None else (lambda done, _, before=before: on_batch(before + done, num_all))
        is_read = number > 0 or not is_plain  # else the first takes them as they are read
        predictions.append(predict_with(run, stream.images() if is_read else stream, runtime, counted))
    together = ensemble(predictions, None if blended is None else blended.weights)
    if together.labels is not None:
        together = labelled_as(together, dataset.classes)
    world.first(lambda: write_submission(together, sample, Path(path)))
    return together


def _blend(members: Sequence[Run], world: World) -> Blend | None:
    """The members' weights, in every process; None if they have too few held-out images in common."""

    def find() -> dict[str, Any] | None:
        if not all(run.hold_out_path.is_file() for run in members):
            return None
        found = blend([Predictions.load(run.hold_out_path) for run in members])
        return None if found is None else asdict(found)

    told = world.first(find)
    return None if told is None else Blend(**{**told, "weights": tuple(told["weights"])})
