"""How fast a network trains here: uint8 pixels to updated weights, without reading or augmentation."""

from __future__ import annotations

import time

import torch

from podium import models
from podium.models import Classifier, Preprocessing
from podium.recipe import Recipe
from podium.runtime import Runtime, isolated_seed
from podium.training.engine import Engine
from podium.training.gradient import Batch, Gradient
from podium.training.optimizers import Optimizers
from podium.training.plan import Plan
from podium.training.timetable import Timetable

__all__ = ["step_speeds"]

_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
_NUM_WARM = 2  # steps in which memory is taken and kernels are made


def step_speeds(
    name: str,
    form: str,
    runtime: Runtime,
    *,
    batch_size: int = 128,
    num_steps: int = 3,
    channels_last: bool = True,
    image_size: tuple[int, int] | None = None,
    num_classes: int | None = None,
) -> list[float]:
    """Images a second of each of `num_steps` steps of plain SGD, after two that don't count; random pixels.

    Args:
        name: of the model.
        form: of it.
        runtime: device and precision.
        batch_size: images a step.
        num_steps: that are timed.
        channels_last: memory format of the convolutions.
        image_size: height and width; None: what the form is made for.
        num_classes: of the head; None: what the form is made for.
    """
    facts = models.entry(name).forms[form]
    size = image_size or (facts.image_size, facts.image_size)
    num_classes = num_classes or facts.num_classes
    recipe = Recipe(model=name, form=form, momentum=0.9, batch_size=batch_size, channels_last=channels_last)
    with isolated_seed(0, "speed"):
        network = models.create(name, num_classes, size, form=form)
        pixels = torch.randint(0, 256, (batch_size, *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        targets = torch.randint(0, num_classes, (batch_size,))
    classes = tuple(map(str, range(num_classes)))
    engine = Engine(recipe, runtime)
    classifier = engine.begin(Classifier(name, network, Preprocessing(classes, size, _MEAN, _STD), form)).train()
    optimizers = Optimizers(network, recipe, Timetable(Plan.from_recipe(recipe, batch_size)), runtime.compute_dtype)
    gradient, batch = Gradient(engine, recipe, 0), Batch(pixels.to(runtime.device), targets.to(runtime.device))
    speeds = []
    for step in range(_NUM_WARM + num_steps):
        began = time.perf_counter()
        gradient(batch, step)
        optimizers.step(0)
        next(classifier.parameters()).sum().item()  # waits for a GPU
        speeds.append(batch_size / (time.perf_counter() - began))
    return speeds[_NUM_WARM:]
