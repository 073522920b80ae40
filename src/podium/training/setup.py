"""What a training is made of before its first step: batches, augmentation, initial weights, preprocessing."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from podium import models
from podium.augment import Pipeline, scaled
from podium.data import Images
from podium.data.encoded import EncodedPixels
from podium.errors import RecipeError, RunError, WeightsError
from podium.files import sha256_of
from podium.models import Classifier, Preprocessing, fitting_weights, load_weights, sync_norms
from podium.recipe import Recipe
from podium.runtime import Runtime, isolated_seed, random_stream
from podium.training.feed import Feed
from podium.training.optimizers import Optimizers
from podium.training.plan import Plan
from podium.training.timetable import Timetable
from podium.world import ALONE, World

__all__ = [
    "Parts",
    "check",
    "fingerprint_of",
    "loss_scale",
    "mean_and_std",
    "new_classifier",
    "new_network",
    "new_pipeline",
    "prepare_network",
    "take_initial_weights",
]

_NUM_PREPARE_PIXELS = 5000 * 32 * 32  # for whitening filters: 4.8 million patches
_MOST_MEASURED = 10_000  # encoded images, for mean and standard deviation
_MEASURED_PIXELS = 1000 * 32 * 32  # at once

Parts = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Indices to train on, and indices held out."""


def check(recipe: Recipe, images: Images, parts: Parts, init: Path | None = None, world: World = ALONE) -> None:
    """Builds everything that a training needs, without memory, so that what can't be is said before a run is made.

    Args:
        recipe: as resolved.
        images: all labelled ones.
        parts: indices of those to train on, and of those held out.
        init: file of weights to begin with, if there is one.
        world: the processes that train.

    Raises:
        RecipeError: the recipe doesn't fit the data, the model or the number of processes.
        WeightsError: the file isn't of this network.
    """
    assert images.labels is not None
    if len(images.classes) < 2:
        raise RecipeError(
            f"There is one class only ('{images.classes[0]}'), so nothing to tell apart. Check the labels."
        )
    if recipe.hold_out > 0 and not len(parts[1]):
        raise RecipeError(
            f"hold_out = {recipe.hold_out:g} of {len(images):,} images is none. "
            "Raise it, or set it to 0 to measure nothing."
        )
    counts = np.bincount(images.labels[parts[0]], minlength=len(images.classes))
    if not counts.all():
        name = images.classes[int(counts.argmin())]
        raise RecipeError(
            f"hold_out = {recipe.hold_out:g} leaves no image of class '{name}' to train on. Lower it, or add images."
        )
    plan = Plan.from_recipe(recipe, len(parts[0]))
    new_pipeline(recipe, 0, images.size, None, (0.5, 0.5, 0.5))
    with torch.device("meta"):
        network = new_network(recipe, len(images.classes), images.size)
        if recipe.grow_scales:  # the network must take its smallest input too
            form = models.resolve_form(recipe.model, recipe.form, images.size)
            models.resolve_form(recipe.model, form, scaled(images.size, min(recipe.grow_scales)))
    Optimizers(network, recipe, Timetable(plan), torch.float32)
    if world.size > 1 and not recipe.sync_norm:
        _check_parts(network, recipe, plan, world)
    if init is not None:
        fitting_weights(network, init)


def _check_parts(network: nn.Module, recipe: Recipe, plan: Plan, world: World) -> None:
    """Raises RecipeError if some process's BN would have less than two images."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return
    sizes = {min(recipe.batch_size, number) for number in plan.num_images}
    if recipe.last_batch == "keep":
        sizes |= {number % recipe.batch_size for number in plan.num_images} - {0, 1}  # those are no batches
    for size in sorted(sizes):
        num_parts = max(1, min(recipe.accumulate, size // 2))
        if size // num_parts // world.size < 2:
            raise RecipeError(
                f"sync_norm = false needs two images a process in every part of a batch, and a batch of {size:,} has "
                f"less for {world.size} processes.\n"
                "Set sync_norm = true, a larger batch_size, last_batch = 'drop', or start fewer processes."
            )


def new_pipeline(
    recipe: Recipe,
    seed: int,
    image_size: tuple[int, int],
    num_images: int | None,
    mean: tuple[float, float, float],
    *,
    is_cropped: bool = False,
) -> Pipeline:
    """The recipe's augmentation; `mean` is the training images'. Raises RecipeError if they are too small for it.

    Images that were cropped at random when they were decoded (`is_cropped`) aren't again.
    """
    if is_cropped:
        recipe = replace(recipe, crop_area_min=1.0, crop_ratio=1.0)
    shared = {field.name for field in fields(Pipeline)} & {field.name for field in fields(Recipe)}
    keys: dict[str, Any] = {name: getattr(recipe, name) for name in shared}
    return Pipeline(**keys, image_size=image_size, fill=mean, num_images=num_images, seed=seed)


def new_network(recipe: Recipe, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """The recipe's model, as it is trained. Raises RecipeError if there is none such."""
    return models.create(
        recipe.model,
        num_classes,
        image_size,
        form=recipe.form,
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        auxiliary_heads=recipe.auxiliary_weight > 0,
    )


def new_classifier(recipe: Recipe, seed: int, images: Images, runtime: Runtime | None = None) -> Classifier:
    """Initial weights, and the preprocessing measured on the training images where the recipe doesn't state it.

    Of several processes that train together, `runtime`'s, BN takes the statistics of all, if the recipe says so.
    """
    with isolated_seed(seed, "weights"):
        network = new_network(recipe, len(images.classes), images.size)
    if recipe.norm_momentum:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = recipe.norm_momentum
    if runtime is not None and recipe.sync_norm:
        sync_norms(network, runtime.world, runtime.device)
    mean, std = (recipe.mean, recipe.std) if recipe.mean else mean_and_std(images)
    crops = isinstance(images.pixels, EncodedPixels)
    preprocessing = Preprocessing(images.classes, images.size, _three(mean), _three(std), crops)
    form = models.resolve_form(recipe.model, recipe.form, images.size)
    return Classifier(recipe.model, network, preprocessing, form)


def take_initial_weights(classifier: Classifier, init: dict[str, Any] | None) -> None:
    """Puts the weights of the file that a manifest names under "init" into the network; None: leaves it as it is.

    Raises:
        RunError: the file isn't what it was when the run began.
        WeightsError: it isn't of this network.
    """
    if init is None:
        return
    path = Path(init["path"])
    if fingerprint_of(path) != init["sha256"]:
        raise RunError(f"{path} isn't the file any more that the run began with. Put that back, or train anew.")
    load_weights(classifier.network, path)


def fingerprint_of(path: Path) -> str:
    """The SHA-256 of a file of weights. Raises WeightsError if it can't be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}.") from error


def prepare_network(classifier: Classifier, feed: Feed, num_images: int, seed: int) -> None:
    """Lets a network that wants to look at some training images before it is trained do so.

    Args:
        classifier: on its device.
        feed: gives their pixels.
        num_images: of the training set.
        seed: chooses the images.
    """
    prepare = getattr(classifier.network, "prepare", None)
    if prepare is None:
        return
    height, width = classifier.preprocessing.image_size
    num_some = max(1, _NUM_PREPARE_PIXELS // (height * width))
    some = torch.randperm(num_images, generator=random_stream(seed, "prepare"))[:num_some]
    prepare(classifier.preprocessing.normalize(feed.some(some.sort().values).permute(0, 3, 1, 2)))


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def mean_and_std(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel over all pixels, in [0, 1], by counting each of the 256 values.

    Of images that stay encoded, 10,000 are enough, spread over the set; where shards are fetched, over few of them.
    Raises DataError if one can't be decoded.
    """
    counts = np.zeros((3, 256), np.int64)
    rows = np.arange(len(images))
    if isinstance(images.pixels, EncodedPixels):
        rows = images.pixels.files.spread(_MOST_MEASURED)
    size = max(1, _MEASURED_PIXELS // (images.size[0] * images.size[1]))
    for _, some in images.batches(size, rows):  # bincount makes eight bytes of each
        counts += [np.bincount(some[..., channel].ravel(), minlength=256) for channel in range(3)]
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values**2 / counts.sum(1) - mean**2
    std = np.sqrt(np.maximum(variance, 1e-6))  # a channel that is the same everywhere must not divide by 0
    return tuple(mean.round(6).tolist()), tuple(std.round(6).tolist())


def loss_scale(recipe: Recipe, num_images: int) -> float:
    """What the summed loss of a batch of `num_images` is multiplied by before it is differentiated."""
    return {"sum": 1.0, "mean": 1 / num_images, "sum_over_batch_size": 1 / recipe.batch_size}[recipe.loss_reduction]
