"""The manifest of a new run: what it takes to do the same again, and to know whether one did."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from podium.data import Dataset
from podium.errors import DataError
from podium.recipe import Recipe
from podium.runtime import Runtime, describe_hardware, describe_versions, source_commit
from podium.training.setup import Parts, fingerprint_of

__all__ = ["new_manifest"]


def new_manifest(
    dataset: Dataset,
    recipe: Recipe,
    parts: Parts,
    runtime: Runtime,
    seed: int,
    command: str | None,
    init: Path | None = None,
) -> dict[str, Any]:
    """Data, split, seed, machine, versions, commit and command, as plain JSON values.

    Args:
        dataset: what is trained on.
        recipe: as resolved.
        parts: indices of the images to train on, and of those held out.
        runtime: device and precision.
        seed: of the training.
        command: what was typed, if it was.
        init: file of weights that it begins with, if there is one.
    """
    images = dataset.train
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "init": None if init is None else {"path": str(init.resolve()), "sha256": fingerprint_of(init)},
        "data": {
            "name": dataset.name,
            "kind": dataset.kind,
            "path": dataset.reference,
            "image_size": list(images.size),
            "resized_to": dataset.resized_to,
            "labels": dataset.labels_from,
            "evaluation": _evaluation_name(dataset),
            "fingerprint": dataset.fingerprint,
            "num_images": len(images),
            "classes": list(images.classes),
        },
        "split": {
            "hold_out": recipe.hold_out,
            "seed": recipe.hold_out_seed,
            "num_train": len(parts[0]),
            "num_hold_out": len(parts[1]),
        },
        "hardware": describe_hardware(runtime),
        "versions": describe_versions(),
        "commit": source_commit(),
        **({} if (job := runtime.world.job) is None else {"job": {"id": job.id}}),
    }


def _evaluation_name(dataset: Dataset) -> str | None:
    """What the evaluation set is. A fault in images that aren't trained on keeps nobody from training."""
    try:
        return dataset.evaluation_name
    except DataError:
        return None
