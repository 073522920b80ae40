"""The public functions: each carries one step of the way from raw files to a submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium import data as data_room
from podium.data import Dataset, Images, hold_out
from podium.data.decode import decode
from podium.delivery import write_submission
from podium.errors import DataError, RunError
from podium.evaluation import Evaluation, Predictions, ensemble, evaluate_predictions, predict_images
from podium.models import Classifier
from podium.recipe import Recipe, default_recipe_name, load_recipe
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.training import Progress, check, fit, new_manifest

__all__ = ["evaluate", "evaluate_hold_out", "open", "open_for", "predict", "predict_files", "resume", "submit", "train"]

OnBatch = Callable[[int, int], None]
"""Called with (images done, images in all)."""

Parts = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Indices to train on, and indices held out."""

open = data_room.open


def train(
    data: Dataset | str | Path,
    recipe: Recipe | str | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    runtime: Runtime | None = None,
    command: str | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Trains a network and measures it on the hold-out.

    Args:
        data: what `open` gives, or what it takes.
        recipe: a Recipe, a shipped one's name, or a TOML file's path; None: `sprint`, or `sprint_small` for few images.
        settings: keys of the recipe to set anew, such as {"epochs": 10}.
        seed: decides initial weights, order and augmentation.
        out: the run's folder; None: runs/<time>-<recipe>.
        runtime: device and precision; None: the best there is, as the recipe's precision says.
        command: for the manifest: what was typed.
        on_begin: called with the run before the first step.
        on_progress: called after each step.
        should_stop: asked after each step; True ends this sitting with a checkpoint.
        checkpoint_seconds: at most so long between two checkpoints.

    Returns:
        The run; its manifest's "hold_out" has the accuracy. It isn't finished if `should_stop` ended it.

    Raises:
        DataError, RecipeError, RunError, StorageError: as their names say.
    """
    dataset = data if isinstance(data, Dataset) else open(data)
    images = dataset.train
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe or default_recipe_name(len(images)))
    chosen = chosen.with_settings(settings or {})
    runtime = runtime or prepare(chosen.precision)
    parts = _split(images, chosen.hold_out, chosen.hold_out_seed)
    check(chosen, len(parts[0]), images.size, len(images.classes))
    manifest = new_manifest(dataset, chosen, parts, runtime, seed, command)
    run = Run.create(None if out is None else Path(out), chosen, manifest)
    return _sit(run, images, parts, runtime, on_begin, on_progress, should_stop, checkpoint_seconds)


def resume(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    runtime: Runtime | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Goes on with a training that was stopped or killed, from its last checkpoint; arguments as of `train`.

    On the same machine with the same number of threads, the weights come out as if it had never stopped, to the bit.

    Args:
        run: the unfinished run.
        data: what it was trained on; None: the path in its manifest.
        runtime: as of `train`.
        on_begin: as of `train`.
        on_progress: as of `train`.
        should_stop: as of `train`.
        checkpoint_seconds: as of `train`.

    Raises:
        RunError: the data are not those that the run began with, or the checkpoint is damaged.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset = open_for(run, data)
    if dataset.fingerprint != run.manifest["data"]["fingerprint"]:
        raise RunError(
            f"{run.path} can't go on with {dataset.path}: it began with other data "
            f"(fingerprint {run.manifest['data']['fingerprint']}, not {dataset.fingerprint})."
        )
    images = dataset.train
    runtime = runtime or prepare(run.recipe.precision)
    parts = _split(images, run.recipe.hold_out, run.recipe.hold_out_seed)
    return _sit(run, images, parts, runtime, on_begin, on_progress, should_stop, checkpoint_seconds)


def evaluate(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
) -> Evaluation:
    """How good a run is: on its own hold-out, or on all labelled images of other data with the same classes.

    Args:
        run: a finished run.
        data: what `open` gives or takes; None: what the run was trained on.
        runtime: device and precision; None: the best there is.
        on_batch: called after each batch.

    Raises:
        RunError: the run isn't finished, has no hold-out, or knows other classes than the data.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset = open_for(run, data)
    images = dataset.train
    if dataset.fingerprint == run.manifest["data"]["fingerprint"]:
        if run.recipe.hold_out == 0:
            raise RunError(
                f"{run.path} was trained on every labelled image of {dataset.name}, so none is left to measure it on.\n"
                "Train with a hold-out (--set hold_out=0.1) to know the accuracy."
            )
        images = images.subset(_split(images, run.recipe.hold_out, run.recipe.hold_out_seed)[1])
        what = f"hold-out of {dataset.name}"
    else:
        what = f"all labelled images of {dataset.name}, which the run was not trained on"
        _check_classes(run, images)
    predictions = _predict(run, images, runtime, on_batch)
    return evaluate_predictions(predictions, what, run.recipe.tta)


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
    return _predict(run if isinstance(run, Run) else Run.open(run), images, runtime, on_batch)


def predict_files(run: Run | str | Path, paths: Iterable[str | Path], *, runtime: Runtime | None = None) -> Predictions:
    """What a run says of image files of any size and format that Pillow reads; ids are the paths.

    Raises:
        DataError: a file is missing or no image; all such files are named before anything is computed.
        RunError: the run isn't finished.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    size = Classifier.load(run.model_path).preprocessing.image_size
    names, pixels = [], []
    for path in map(Path, paths):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}.") from error
        names.append(str(path))
        pixels.append(decode(content, str(path), size))
    if not names:
        raise DataError("No image file was given.")
    images = Images(np.stack(pixels), None, np.array(names), tuple(run.manifest["data"]["classes"]))
    return predict(run, images, runtime=runtime)


def submit(
    runs: Run | str | Path | Sequence[Run | str | Path],
    data: Dataset | str | Path | None = None,
    path: str | Path = "submission.csv",
    *,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
) -> Predictions:
    """Writes a submission for the test images; several runs average their probabilities.

    Args:
        runs: one finished run or several.
        data: what `open` gives or takes; None: what the first run was trained on.
        path: the CSV to write, whole or not at all.
        runtime: device and precision; None: the best there is.
        on_batch: called after each batch.

    Returns:
        The predictions that were written.

    Raises:
        DataError: there is no test set, or it and the sample submission don't hold the same ids.
        RunError: a run isn't finished or knows other classes.
        StorageError: `path` can't be written.
    """
    each = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    opened = [run if isinstance(run, Run) else Run.open(run) for run in each]
    if not opened:
        raise RunError("No run was given: name one or more.")
    for run in opened:
        Classifier.load(run.model_path)  # a missing or damaged one is said before the test set is read
    dataset = open_for(opened[0], data)
    if not Path(path).absolute().parent.is_dir():
        raise DataError(
            f"The folder {Path(path).absolute().parent} doesn't exist; make it, or write elsewhere with -o."
        )
    sample, test = dataset.sample_submission, dataset.test
    if test is None:
        raise DataError(f"{dataset.path} has no test images, so there is nothing to submit.")
    num_all = len(test) * len(opened)
    predictions = []
    for number, run in enumerate(opened):
        before = number * len(test)
        counted = None if on_batch is None else (lambda done, _, before=before: on_batch(before + done, num_all))
        predictions.append(_predict(run, test, runtime, counted))
    together = ensemble(predictions)
    write_submission(together, sample, Path(path))
    return together


def open_for(
    run: Run, data: Dataset | str | Path | None = None, *, progress: data_room.Progress | None = None
) -> Dataset:
    """Opens data for a trained run: what it was trained on if None, and resized as it was then. Raises as `open`."""
    if isinstance(data, Dataset):
        return data
    about = run.manifest["data"]
    return open(about["path"] if data is None else data, image_size=about["resized_to"], progress=progress)


def evaluate_hold_out(run: Run, images: Images, runtime: Runtime) -> Evaluation:
    """Measures a run on its hold-out `images`, keeps predictions and figures in the run's folder."""
    began = time.monotonic()
    predictions = _predict(run, images, runtime, None)
    evaluation = evaluate_predictions(predictions, f"hold-out of {run.manifest['data']['name']}", run.recipe.tta)
    predictions.save(run.hold_out_path)
    figures = {
        "num_images": evaluation.num_images,
        "accuracy": evaluation.accuracy,
        "interval": list(evaluation.interval),
        "cross_entropy": evaluation.cross_entropy,
        "tta": evaluation.tta,
        "seconds": round(time.monotonic() - began, 1),
    }
    run.write_manifest(hold_out=figures)
    return evaluation


def _sit(
    run: Run,
    images: Images,
    parts: Parts,
    runtime: Runtime,
    on_begin: Callable[[Run], None] | None,
    on_progress: Callable[[Progress], None] | None,
    should_stop: Callable[[], bool],
    checkpoint_seconds: float,
) -> Run:
    """Trains to the end or to the next stop, then measures."""
    kept = images.subset(parts[1]) if len(parts[1]) else None
    if on_begin is not None:
        on_begin(run)
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
        evaluate_hold_out(run, kept, runtime)
    return run


def _split(images: Images, fraction: float, seed: int) -> Parts:
    assert images.labels is not None
    return hold_out(images.labels, fraction, seed=seed)


def _predict(run: Run, images: Images, runtime: Runtime | None, on_batch: OnBatch | None) -> Predictions:
    runtime = runtime or prepare(run.recipe.precision)
    classifier = Classifier.load(run.model_path, runtime.device)
    return predict_images(classifier, images, runtime, tta=run.recipe.tta, on_progress=on_batch)


def _check_classes(run: Run, images: Images) -> None:
    known = tuple(run.manifest["data"]["classes"])
    if images.classes != known:
        raise RunError(f"{run.path} knows the classes {', '.join(known)}; the data have {', '.join(images.classes)}.")
