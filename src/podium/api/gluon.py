"""import_gluon and export_gluon: MXNet's weights become a run, and a run's weights MXNet's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from podium.api.common import check_writable, opened
from podium.errors import WeightsError
from podium.files import sha256_of
from podium.interop import check_named, from_gluon, read_params, to_gluon, write_params
from podium.models import Classifier, Preprocessing, create
from podium.recipe import load_recipe
from podium.run import Run
from podium.runtime import describe_versions, source_commit
from podium.world import ALONE

__all__ = ["CIFAR10_CLASSES", "export_gluon", "import_gluon"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""In the order of their labels, which is that of their names."""

_IMAGE_SIZE = (32, 32)


def import_gluon(
    path: str | Path,
    model: str,
    out: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    command: str | None = None,
) -> Run:
    """Makes a finished run of weights that MXNet's Gluon saved.

    The run has the recipe of the model's name, its mean and std, and images of 32×32 pixels. What the weights were
    trained on isn't known, and its manifest says so.

    Args:
        path: what `save_parameters` or `export` wrote.
        model: seed_resnet18 or seed_resnet164_v2.
        out: the run's folder; None: `runs/<time>-<model>`.
        classes: the K names, in the order of the logits; None: CIFAR-10's if K is 10, else "0", "1", ….
        command: for the manifest: what was typed.

    Raises:
        RunError: `out` exists.
        StorageError: the run can't be written.
        WeightsError: the file is missing, damaged or another network's, or `classes` aren't K different names.
    """
    path = Path(path)
    check_named(model)
    if out is not None:
        Run.check_new(Path(out))
    state = from_gluon(read_params(path), model, str(path))
    names = _class_names(classes, len(state["head.weight"]), path)
    recipe = load_recipe(model)
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = create(model, len(names), _IMAGE_SIZE)
    network.load_state_dict(state, assign=True)
    (r, g, b), (std_r, std_g, std_b) = recipe.mean, recipe.std
    preprocessing = Preprocessing(names, _IMAGE_SIZE, (r, g, b), (std_r, std_g, std_b))
    classifier = Classifier(model, network, preprocessing)
    return Run.create(
        None if out is None else Path(out),
        recipe,
        _manifest(path, names, command),
        fill=lambda run: classifier.save(run.model_path),
    )


def export_gluon(run: Run | str | Path, path: str | Path) -> None:
    """Writes a run's weights for Gluon's `load_parameters`, under the names that `podium.interop.gluon_names` tells.

    Args:
        run: a finished run of seed_resnet18 or seed_resnet164_v2.
        path: the file to write, whole or not at all.

    Raises:
        RunError: the run isn't finished.
        StorageError: `path` can't be written.
        WeightsError: the run's model is another.
    """
    run = opened(run, ALONE)
    classifier = Classifier.load(run.model_path)
    check_named(classifier.model_name)
    check_writable(Path(path))
    write_params(path, to_gluon(classifier.state(), classifier.model_name))


def _class_names(given: Sequence[str] | None, num_classes: int, path: Path) -> tuple[str, ...]:
    if given is None:
        return CIFAR10_CLASSES if num_classes == len(CIFAR10_CLASSES) else tuple(map(str, range(num_classes)))
    names = tuple(name.strip() for name in given)
    if len(names) != num_classes:
        raise WeightsError(f"{len(names)} classes are named; the network in {path} has {num_classes} outputs.")
    if not all(names):
        raise WeightsError("A class has no name. Name each once, in the order of the outputs.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"The class '{twice}' is named twice. Name each once, in the order of the outputs.")
    return names


def _manifest(path: Path, classes: tuple[str, ...], command: str | None) -> dict[str, Any]:
    """As of a training, with null for what only a training would know."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "created": now,
        "command": command,
        "imported": {"format": "gluon", "file": path.name, "sha256": sha256_of(path), "date": now},
        "seed": None,
        "data": {
            **dict.fromkeys(("name", "kind", "path", "resized_to", "fingerprint", "num_images")),
            "image_size": list(_IMAGE_SIZE),
            "classes": list(classes),
        },
        "split": dict.fromkeys(("hold_out", "seed", "num_train", "num_hold_out")),
        "hardware": dict.fromkeys(("device", "precision", "num_threads")),
        "versions": describe_versions(),
        "commit": source_commit(),
    }
