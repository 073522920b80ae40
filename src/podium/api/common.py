"""What the public functions share: opening data and runs, splitting, predicting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from podium.api.jobs import open_run
from podium.data import Dataset, Images, ImageStream, Progress, hold_out, open
from podium.data.bad_images import BadImages
from podium.data.encoded import EncodedPixels
from podium.errors import DataError, RunError, StorageError
from podium.evaluation import Predictions, predict_images
from podium.models import Classifier
from podium.recipe import Recipe
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.training import Parts
from podium.world import World
from podium.world.launch import launch

__all__ = [
    "OnBatch",
    "check_alone",
    "check_on_bad_image",
    "check_writable",
    "classifier_of",
    "open",
    "open_for",
    "opened",
    "predict_with",
    "split",
    "tolerant",
]

OnBatch = Callable[[int, int], None]
"""Called with (images done, images in all)."""


def open_for(
    run: Run,
    data: Dataset | str | Path | None = None,
    *,
    image_size: int | None = None,
    labels: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Opens data for a trained run: what it was trained on if None, resized and with the labels as it was then.

    Raises:
        RunError: no data are given, and the run was imported, so that its own aren't known.
        DataError, StorageError: as `open`.
    """
    if isinstance(data, Dataset):
        return data
    about = run.manifest["data"]
    if data is None and about["path"] is None:
        why = "ships with podium, and its data don't" if run.is_builtin else "was imported, so its data aren't known"
        raise RunError(
            f"{run.label} {why}. Name some:\n"
            f"podium evaluate {run.label} DATA, or podium submit {run.label} --data DATA."
        )
    size = about["resized_to"] if image_size is None else image_size
    path, chosen = about["path"] if data is None else data, labels or about.get("labels")
    try:
        return open(path, image_size=size, labels=chosen, progress=progress)
    except DataError:
        if labels is not None or data is None or chosen is None:
            raise
        return open(path, image_size=size, progress=progress)  # other data than the run's may have no such choice


def opened(run: Run | str | Path, world: World) -> Run:
    """The run itself, or the one in that folder, which only rank 0 need see. Raises RunError."""
    return run if isinstance(run, Run) else open_run(world, run)


def split(images: Images, recipe: Recipe) -> Parts:
    """Which images the recipe trains on, and which it holds out."""
    assert images.labels is not None
    return hold_out(images.labels, recipe.hold_out, seed=recipe.hold_out_seed)


def predict_with(
    run: Run, images: Images | ImageStream, runtime: Runtime | None, on_batch: OnBatch | None
) -> Predictions:
    """A finished run's predictions, with its recipe's test-time augmentation. Raises RunError, and as a stream does.

    Several processes share the images, and each gets all predictions.
    """
    runtime = runtime or prepare(run.recipe.precision)
    with runtime.world.watched():
        classifier = classifier_of(run, runtime.world).to(runtime.device)
        return predict_images(
            classifier,
            images,
            runtime,
            tta=run.recipe.tta,
            tta_fraction=run.recipe.tta_fraction,
            on_progress=on_batch,
        )


def classifier_of(run: Run, world: World) -> Classifier:
    """The run's, in every process, on the processor. Raises RunError: missing or damaged."""
    with world.borrowed(run.model_path) as path, world.together():
        return Classifier.load(path or run.model_path)


def check_alone(verb: str) -> None:
    """Raises RunError if a launcher such as torchrun started several processes: `verb` works in one."""
    said = launch()
    if said is not None and said.size > 1:
        raise RunError(
            f"podium {verb} works in one process, and torchrun started {said.size}. Start it by itself: podium {verb} …"
        )


def check_on_bad_image(word: str, images: Images) -> None:
    """Raises DataError if it is no such word, or would be ignored."""
    if word not in ("stop", "skip"):
        raise DataError(f"on_bad_image = {word!r} can't be: it takes stop or skip.")
    if word == "skip" and not isinstance(images.pixels, EncodedPixels):
        raise DataError(
            "--on-bad-image skip would be ignored: it is for images that are streamed, and these fit in memory.\n"
            "`podium data` names those that can't be read; take them out or replace them."
        )


def tolerant(
    images: Images, on_bad_image: str, on_note: Callable[[str], None] | None, known: Iterable[str] = ()
) -> Images:
    """The same images; with "skip", those that can't be decoded are noted, less those that are `known`."""
    if not isinstance(images.pixels, EncodedPixels):
        return images
    bad = BadImages(on_note, known) if on_bad_image == "skip" else None
    return replace(images, pixels=EncodedPixels(images.pixels.files, images.pixels.size, bad))


def check_writable(path: Path) -> None:
    """Raises StorageError unless a file may be made at `path`."""
    folder = path.absolute().parent
    if path.is_dir():
        raise StorageError(f"{path} is a folder; name a file in it.")
    if not folder.is_dir():
        raise StorageError(f"The folder {folder} doesn't exist; make it, or write elsewhere.")
    if not os.access(folder, os.W_OK):
        raise StorageError(f"The folder {folder} may not be written to; write elsewhere.")
