"""train and resume: a recipe and data become a run."""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from podium.api.again import check_resumable, differences, runtime_of
from podium.api.choice import Choice, budget_of, choose_for, recipe_of
from podium.api.common import (
    OnBatch,
    check_on_bad_image,
    open,
    open_for,
    opened,
    predict_with,
    split,
    tolerant,
)
from podium.api.jobs import begun, same_everywhere, settle, shared
from podium.data import Dataset, Images
from podium.data.encoded import EncodedPixels
from podium.errors import RunError
from podium.evaluation import evaluate_predictions
from podium.recipe import Recipe, default_recipe, load_recipe
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.training import Parts, Progress, check, fit, new_manifest, note_bad_images
from podium.world import World, join

__all__ = ["resume", "train"]


def train(
    data: Dataset | str | Path,
    recipe: Recipe | str | Path | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    init: str | Path | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    runtime: Runtime | None = None,
    command: str | None = None,
    on_choice: Callable[[Choice], None] | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
    on_bad_image: str = "stop",
    on_note: Callable[[str], None] | None = None,
) -> Run:
    """Trains a network and measures it on the hold-out.

    Started several times by a launcher such as torchrun, all processes train one network together: docs/DISTRIBUTED.md.

    Args:
        data: what `open` gives, or what it takes.
        recipe: a Recipe, a shipped one's name, or a TOML file's path; None: as `podium.recipe.default_recipe` says.
        settings: keys of the recipe to set anew, such as {"epochs": 10}.
        init: weights to begin with, in place of random ones: a .safetensors file or one that torch saved, with
            torchvision's names for its architectures, or a run's model. A head for other classes is made anew.
        minutes: that all of this call may take, its measurement and the report too. The recipe, unless one is given,
            and its epochs are chosen for that, and the training's plan is stretched or shortened as it goes.
        seed: decides initial weights, order and augmentation.
        out: the run's folder; None: runs/<time>-<recipe>. A run that torchrun's job began before it was started anew is
            gone on with.
        runtime: device and precision; None: the best there is, as the recipe's precision says.
        command: for the manifest: what was typed.
        on_choice: called with what was chosen for `minutes`.
        on_begin: called with the run before the first step.
        on_progress: called after each step.
        on_batch: called after each batch of the evaluation at the end.
        should_stop: asked after each step, of several processes about once a second; True ends this sitting with a
            checkpoint.
        checkpoint_seconds: at most so long, and a step, between two checkpoints.
        on_bad_image: of images that are streamed from their files: "stop": one that can't be decoded is an error;
            "skip": it is named and counted (the manifest's "bad_images"), and another one of its batch is shown in its
            place; held out, it counts as a grey image.
        on_note: called with what is worth a word but no error, such as a bad image; None: a warning.

    Returns:
        The run; its manifest's "hold_out" has the accuracy. It isn't finished if `should_stop` ended it.

    Raises:
        DataError, RecipeError, RunError, StorageError, WeightsError: as their names say; then there is no new run.
        WorldError: another process is missing or silent.
    """
    end = None if minutes is None else time.monotonic() + 60 * minutes
    world, folder = runtime.world if runtime is not None else join(), None if out is None else Path(out)
    if folder is not None and world.job is None:
        world.first(lambda: Run.check_new(folder))
    dataset = data if isinstance(data, Dataset) else world.in_turn(lambda: open(data))
    images = world.in_turn(lambda: dataset.train)
    is_given = recipe is not None
    with world.together():
        if not isinstance(recipe, Recipe):
            recipe = default_recipe(len(images), min(images.size)) if recipe is None else load_recipe(recipe)
        recipe = recipe.with_settings(settings or {})
        parts = split(images, recipe)
    runtime = runtime or prepare(recipe.precision)
    seed = operator.index(seed)
    chosen: dict[str, object] = {}
    if end is not None:
        earlier = world.first(lambda: recipe_of(begun(world, folder, None, seed, dataset.fingerprint)))
        if earlier is not None:
            recipe = Recipe(**earlier)
        else:
            choice = choose_for(images, parts, end, runtime, recipe if is_given else None, settings or {})
            recipe, chosen = choice.recipe, {"budget": {"minutes": minutes, **choice.to_manifest()}}
            if on_choice is not None:
                on_choice(choice)
        parts = split(images, recipe)
    with world.together():
        initial = None if init is None or not world.is_first else _weights_file(Path(init))
        check(recipe, images, parts, initial, world)
        check_on_bad_image(on_bad_image, images)
    same_everywhere(world, "data set", dataset.fingerprint)
    same_everywhere(world, "recipe or seed", hashlib.sha256(f"{seed}\n{recipe.to_toml()}".encode()).hexdigest()[:16])

    def make() -> Run:
        if (known := begun(world, folder, recipe, seed, dataset.fingerprint)) is not None:
            _note_sitting(known, runtime)
            return known
        manifest = new_manifest(dataset, recipe, parts, runtime, seed, command, initial)
        return Run.create(folder, recipe, manifest | chosen)

    run = shared(world, make)
    images = _tolerant(run, images, on_bad_image, on_note)
    return _sit(run, images, parts, runtime, on_begin, on_progress, on_batch, should_stop, checkpoint_seconds, end)


def _tolerant(run: Run, images: Images, on_bad_image: str, on_note: Callable[[str], None] | None) -> Images:
    """The same images; with "skip", those that can't be decoded will be noted."""
    if not isinstance(images.pixels, EncodedPixels):
        return images
    run.write_manifest(on_bad_image=on_bad_image)
    return tolerant(images, on_bad_image, on_note, run.manifest.get("bad_images", {}).get("names", []))


def _weights_file(path: Path) -> Path:
    """The file that --init names: itself, or a run's model."""
    return Run.open(path).model_path if path.is_dir() else path


def resume(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    runtime: Runtime | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
    on_bad_image: str | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Run:
    """Goes on with a training that was stopped or killed, from its last checkpoint.

    With the same processor, number of threads and version of torch, the weights come out as if it had never stopped,
    to the bit. `differences` says what isn't the same.

    Args:
        run: the unfinished run.
        data: what it was trained on; None: the path in its manifest.
        runtime: device and precision; None: as the run began with, where this machine has that.
        on_begin: as of `train`.
        on_progress: as of `train`.
        on_batch: as of `train`.
        should_stop: as of `train`.
        checkpoint_seconds: as of `train`.
        on_bad_image: as of `train`; None: as before.
        on_note: as of `train`.

    Raises:
        RunError: the data are not those that the run began with, the checkpoint is damaged, another process trains, or
            the run was imported.
        WorldError: another process is missing or silent.
    """
    world = runtime.world if runtime is not None else join()
    run = opened(run, world)
    check_resumable(run)
    dataset = world.in_turn(lambda: open_for(run, data))
    same_everywhere(world, "data set", world.in_turn(lambda: dataset.fingerprint))
    if dataset.fingerprint != run.manifest["data"]["fingerprint"]:
        raise RunError(
            f"{run.path} can't go on with {dataset.path}: it began with other data "
            f"(fingerprint {run.manifest['data']['fingerprint']}, not {dataset.fingerprint})."
        )
    images = dataset.train
    runtime = runtime or runtime_of(run)
    world.first(lambda: _note_sitting(run, runtime))
    parts = split(images, run.recipe)
    on_bad_image = on_bad_image or run.manifest.get("on_bad_image", "stop")
    with world.together():
        check_on_bad_image(on_bad_image, images)
        if world.size > 1:  # it may not have begun with so many
            check(run.recipe, images, parts, None, world)
    images = _tolerant(run, images, on_bad_image, on_note)
    return _sit(run, images, parts, runtime, on_begin, on_progress, on_batch, should_stop, checkpoint_seconds)


def _note_sitting(run: Run, runtime: Runtime) -> None:
    """Writes down that an unfinished training is gone on with, and what isn't as it was."""
    sitting = {"began": datetime.now(UTC).isoformat(timespec="seconds"), "differences": differences(run, runtime)}
    if not run.is_finished:
        run.write_manifest(resumed=[*run.manifest.get("resumed", []), sitting])


def _sit(
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
) -> Run:
    """Trains to the end or to the next stop, then measures."""
    world = runtime.world
    budget = budget_of(run, len(parts[1]), world, end)
    with world.watched(), _locked(run, world):
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
def _locked(run: Run, world: World) -> Iterator[None]:
    """Holds the run, by the process that writes; that another job's does is raised in all."""
    with ExitStack() as stack:
        world.first(lambda: stack.enter_context(run.locked()))
        yield


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
