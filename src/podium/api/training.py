"""train and resume: a recipe and data become a run."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from podium.api.common import OnBatch, open, open_for, opened, predict_with, split
from podium.data import Dataset, Images
from podium.errors import RunError
from podium.evaluation import evaluate_predictions
from podium.recipe import Recipe, default_recipe, load_recipe
from podium.run import Run
from podium.runtime import Runtime, describe_hardware, describe_versions, prepare
from podium.training import Parts, Progress, check, fit, new_manifest

__all__ = ["check_resumable", "differences", "resume", "runtime_of", "train"]


def train(
    data: Dataset | str | Path,
    recipe: Recipe | str | Path | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    init: str | Path | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    runtime: Runtime | None = None,
    command: str | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Trains a network and measures it on the hold-out.

    Args:
        data: what `open` gives, or what it takes.
        recipe: a Recipe, a shipped one's name, or a TOML file's path; None: `sprint`, or `sprint_small` for few images.
        settings: keys of the recipe to set anew, such as {"epochs": 10}.
        init: weights to begin with, in place of random ones: a .safetensors file or one that torch saved, with
            torchvision's names for its architectures, or a run's model. A head for other classes is made anew.
        seed: decides initial weights, order and augmentation.
        out: the run's folder; None: runs/<time>-<recipe>.
        runtime: device and precision; None: the best there is, as the recipe's precision says.
        command: for the manifest: what was typed.
        on_begin: called with the run before the first step.
        on_progress: called after each step.
        on_batch: called after each batch of the evaluation at the end.
        should_stop: asked after each step; True ends this sitting with a checkpoint.
        checkpoint_seconds: at most so long, and a step, between two checkpoints.

    Returns:
        The run; its manifest's "hold_out" has the accuracy. It isn't finished if `should_stop` ended it.

    Raises:
        DataError, RecipeError, RunError, StorageError, WeightsError: as their names say; then there is no new run.
    """
    if out is not None:
        Run.check_new(Path(out))
    dataset = data if isinstance(data, Dataset) else open(data)
    images = dataset.train
    if not isinstance(recipe, Recipe):
        recipe = default_recipe(len(images)) if recipe is None else load_recipe(recipe)
    recipe = recipe.with_settings(settings or {})
    parts = split(images, recipe)
    initial = None if init is None else _weights_file(Path(init))
    check(recipe, images, parts, initial)
    runtime = runtime or prepare(recipe.precision)
    manifest = new_manifest(dataset, recipe, parts, runtime, operator.index(seed), command, initial)
    run = Run.create(None if out is None else Path(out), recipe, manifest)
    return _sit(run, images, parts, runtime, on_begin, on_progress, on_batch, should_stop, checkpoint_seconds)


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

    Raises:
        RunError: the data are not those that the run began with, the checkpoint is damaged, another process trains, or
            the run was imported.
    """
    run = opened(run)
    check_resumable(run)
    dataset = open_for(run, data)
    if dataset.fingerprint != run.manifest["data"]["fingerprint"]:
        raise RunError(
            f"{run.path} can't go on with {dataset.path}: it began with other data "
            f"(fingerprint {run.manifest['data']['fingerprint']}, not {dataset.fingerprint})."
        )
    images = dataset.train
    runtime = runtime or runtime_of(run)
    sitting = {"began": datetime.now(UTC).isoformat(timespec="seconds"), "differences": differences(run, runtime)}
    if not run.is_finished:
        run.write_manifest(resumed=[*run.manifest.get("resumed", []), sitting])
    parts = split(images, run.recipe)
    return _sit(run, images, parts, runtime, on_begin, on_progress, on_batch, should_stop, checkpoint_seconds)


def check_resumable(run: Run) -> None:
    """Raises RunError if the run was imported: there is no training to go on with."""
    if run.is_imported:
        raise RunError(
            f"{run.path} was imported from {run.manifest['imported']['file']}: its training is finished, and there is "
            "nothing to go on with."
        )


def runtime_of(run: Run, num_threads: int | None = None) -> Runtime:
    """Device and precision as `run` began with, where this machine has them; another number of threads if given."""
    hardware = run.manifest["hardware"]
    precision = {"bfloat16": "bf16", "float32": "fp32"}.get(hardware["precision"], run.recipe.precision)
    return prepare(precision, num_threads=num_threads or hardware["num_threads"])


def differences(run: Run, runtime: Runtime) -> list[str]:
    """What has changed since the run began that decides the bits of its weights, each in words; empty if nothing."""
    then = {**run.manifest["hardware"], **run.manifest.get("versions", {})}
    now = {**describe_hardware(runtime), **describe_versions()}
    keys = ("processor", "device", "gpu", "precision", "num_threads", "torch")
    return [f"{key} {then.get(key)} → {now.get(key)}" for key in keys if then.get(key) != now.get(key)]


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
) -> Run:
    """Trains to the end or to the next stop, then measures."""
    with run.locked():
        kept = images.subset(parts[1]) if len(parts[1]) else None
        if on_begin is not None:
            on_begin(run)
        if run.is_finished:
            run.checkpoint_path.unlink(missing_ok=True)  # killed between the one and the other
        finished = run.is_finished or fit(
            run,
            images.subset(parts[0]),
            kept,
            runtime,
            on_progress=on_progress,
            should_stop=should_stop,
            checkpoint_seconds=checkpoint_seconds,
        )
        if finished and kept is not None and "hold_out" not in run.manifest:
            _measure_hold_out(run, kept, runtime, on_batch)
    return run


def _measure_hold_out(run: Run, images: Images, runtime: Runtime, on_batch: OnBatch | None) -> None:
    """Keeps predictions and figures in the run's folder."""
    began = time.monotonic()
    predictions = predict_with(run, images, runtime, on_batch)
    evaluation = evaluate_predictions(predictions, f"hold-out of {run.manifest['data']['name']}", run.recipe.tta)
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
