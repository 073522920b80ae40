"""A sitting: a run's training goes on to its end or the next stop, and is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from podium.api.choice import budget_of
from podium.api.common import OnBatch, predict_with, tolerant
from podium.api.jobs import settle
from podium.api.teaching import teacher_of
from podium.data import Images
from podium.data.encoded import EncodedPixels
from podium.delivery.tensorboard import FOLDER, EventLog
from podium.evaluation import evaluate_predictions
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Parts, Progress, fit, note_bad_images
from podium.world import World

__all__ = ["sit", "tolerated"]


def sit(
    run: Run,
    images: Images,
    parts: Parts,
    runtime: Runtime,
    on_begin: Callable[[Run], None] | None,
    on_progress: Callable[[Progress], None] | None,
    on_batch: OnBatch | None,
    should_stop: Callable[[], bool],
    checkpoint_seconds: float,
    end: float | None = None,
    *,
    tensorboard: bool = False,
) -> Run:
    """Trains to the end or to the next stop, then measures; with `tensorboard` the run gets its event files, too."""
    world = runtime.world
    budget = budget_of(run, len(parts[1]), world, end)
    with world.watched(), _held(run, world, tensorboard):
        settle(world, run)
        kept = images.subset(parts[1]) if len(parts[1]) else None
        if on_begin is not None:
            on_begin(run)
        if run.is_finished and run.writes:
            run.checkpoint_path.unlink(missing_ok=True)  # killed between the one and the other
        finished = run.is_finished or fit(
            run,
            images.subset(parts[0]),
            kept,
            runtime,
            budget=budget,
            teacher=teacher_of(run, images.classes, runtime),
            on_progress=on_progress,
            should_stop=should_stop,
            checkpoint_seconds=checkpoint_seconds,
        )
        if finished and kept is not None and world.tell("hold_out" not in run.manifest):
            _measure_hold_out(run, kept, runtime, on_batch)
            note_bad_images(run, kept, world)
        if finished and budget is not None and "seconds_left" not in run.manifest["budget"]:
            run.write_manifest(budget={**run.manifest["budget"], "seconds_left": round(budget.seconds_left, 1)})
        return settle(world, run)


@contextmanager
def _held(run: Run, world: World, tensorboard: bool) -> Iterator[None]:
    """Holds the run, by the process that writes; that another job's does, or a package is missing, is raised in all."""
    with ExitStack() as stack:

        def hold() -> None:
            stack.enter_context(run.locked())
            if tensorboard or (run.path / FOLDER).is_dir():
                stack.enter_context(_followed(run))

        world.first(hold)
        yield


@contextmanager
def _followed(run: Run) -> Iterator[None]:
    """TensorBoard's event files follow the run's metrics."""
    run.on_metrics = log = EventLog(run)
    with closing(log):
        if run.is_finished:
            log(None)
        yield
    run.on_metrics = None


def _measure_hold_out(run: Run, images: Images, runtime: Runtime, on_batch: OnBatch | None) -> None:
    """Keeps predictions and figures in the run's folder."""
    began = time.monotonic()
    predictions = predict_with(run, images, runtime, on_batch)
    evaluation = evaluate_predictions(predictions, f"hold-out of {run.manifest['data']['name']}", run.recipe.tta)
    if run.writes:
        predictions.save(run.hold_out_path)
    figures: dict[str, Any] = {
        "num_images": evaluation.num_images,
        "accuracy": evaluation.accuracy,
        "interval": list(evaluation.interval),
        "cross_entropy": evaluation.cross_entropy,
        "tta": evaluation.tta,
        "seconds": round(time.monotonic() - began, 1),
    }
    run.write_manifest(hold_out=figures)


def tolerated(run: Run, images: Images, on_bad_image: str, on_note: Callable[[str], None] | None) -> Images:
    """The same images; with "skip", those that can't be decoded will be noted."""
    if not isinstance(images.pixels, EncodedPixels):
        return images
    run.write_manifest(on_bad_image=on_bad_image)
    return tolerant(images, on_bad_image, on_note, run.manifest.get("bad_images", {}).get("names", []))
