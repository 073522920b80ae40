"""The teacher: what it says of which pixels, and what is learned of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from podium.augment import Mixer
from podium.models import Classifier, Preprocessing
from podium.recipe import Recipe, load_recipe, parse_setting
from podium.runtime import Runtime, random_stream
from podium.training import Engine, Teacher, setup
from podium.training.batches import Batches
from podium.training.feed import Resident
from podium.training.plan import Plan
from podium.training.timetable import Timetable
from podium.world import ALONE, World

CLASSES = ("a", "b", "c")
RUNTIME = Runtime(torch.device("cpu"), torch.float32, 1)


class Means(nn.Module):
    """Logits: each channel's mean, so that what was looked at can be told from the answer."""

    def forward(self, x):
        return x.mean((2, 3))


def classifier(classes=CLASSES, network=None):
    preprocessing = Preprocessing(classes, (8, 8), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Classifier("sprint", network or Means(), preprocessing)


def pixels(number=5):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (number, 3, 8, 8), np.uint8))


def test_it_says_the_mean_of_its_members_probabilities():
    some = pixels()
    logits = some.float().div(255).mean((2, 3))
    swapped = Teacher([classifier(), classifier(("c", "b", "a"))], CLASSES, 2.0, RUNTIME)(some)
    expected = ((logits / 2).softmax(1) + (logits.flip(1) / 2).softmax(1)) / 2
    torch.testing.assert_close(swapped, expected)
    assert not swapped.requires_grad


def test_many_images_are_looked_at_in_parts_to_the_same_answers(monkeypatch):
    teacher = Teacher([classifier()], CLASSES, 1.0, RUNTIME)
    whole = teacher(pixels(50))
    monkeypatch.setattr("podium.training.teacher._BATCH_PIXELS", 7 * 8 * 8)
    torch.testing.assert_close(teacher(pixels(50)), whole)


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 1.0), (0.25, 3.0)])
def test_the_loss_is_labels_and_teacher_in_the_recipes_parts(weight, temperature):
    recipe = load_recipe("sprint", [f"distill_weight={weight}", f"distill_temperature={temperature}"])
    engine = Engine(recipe, RUNTIME)
    engine.begin(classifier())
    some, targets = pixels(), torch.tensor([0, 1, 2, 0, 1])
    taught = torch.full((5, 3), 1 / 3)
    taught[0] = torch.tensor([0.0, 1.0, 0.0])  # a probability of 0 is no logarithm
    losses, hits = engine.losses(some, targets, None, None, taught)
    logits = some.float().div(255).mean((2, 3))
    own = (logits / temperature).log_softmax(1)
    distance = (torch.special.xlogy(taught, taught) - taught * own).sum(1) * temperature**2
    labels = F.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing, reduction="none")
    torch.testing.assert_close(losses, (1 - weight) * labels + weight * distance)
    assert torch.equal(hits, (logits.argmax(1) == targets).float())


def test_nothing_is_lost_where_the_network_says_what_the_teacher_says():
    engine = Engine(load_recipe("sprint", ["distill_temperature=2.0"]), RUNTIME)
    engine.begin(classifier())
    some = pixels()
    taught = Teacher([classifier()], CLASSES, 2.0, RUNTIME)(some)
    losses, _ = engine.losses(some, torch.zeros(5, dtype=torch.int64), None, None, taught)
    torch.testing.assert_close(losses, torch.zeros(5), atol=1e-6, rtol=0)


def batch_of(teacher, settings=(), world=ALONE):
    """The first batch, of all six images in order."""
    recipe = Recipe(batch_size=6, epochs=1.0).with_settings(dict(map(parse_setting, settings)))
    timetable = Timetable(Plan.from_recipe(recipe, 6))
    augment = setup.new_pipeline(recipe, 0, (8, 8), 6, (0.5, 0.5, 0.5))
    feed, labels = Resident(pixels(6).permute(0, 2, 3, 1).contiguous()), torch.tensor([0, 1, 2, 0, 1, 2])
    mixer = Mixer(recipe.mixup, recipe.cutmix)
    return Batches(feed, (8, 8), labels, augment, mixer, timetable, 1, 0, world, teacher)(torch.arange(6), None, 0, 0)


def test_without_a_teacher_nothing_is_taught():
    assert batch_of(None).teacher_probabilities is None


@pytest.mark.parametrize("mixed", ["mixup=1", "cutmix=1"])
def test_mixed_images_are_taught_in_the_parts_that_they_are_mixed_in(mixed):
    teacher = Teacher([classifier()], CLASSES, 1.0, RUNTIME)
    own, batch = batch_of(teacher).teacher_probabilities, batch_of(teacher, [mixed])
    partner = Mixer(float(mixed == "mixup=1"), float(mixed == "cutmix=1")).draw(6, (8, 8), random_stream(0, "mix", 0))
    part = batch.part[:, None]
    assert not torch.allclose(part, torch.ones(()))
    torch.testing.assert_close(batch.teacher_probabilities, part * own + (1 - part) * own[partner.partner])


def test_each_process_asks_about_its_own_images():
    teacher, settings = Teacher([classifier()], CLASSES, 1.0, RUNTIME), ["mixup=1"]
    whole = batch_of(teacher, settings).teacher_probabilities
    parts = [batch_of(teacher, settings, World(rank, 2)).teacher_probabilities for rank in range(2)]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_it_sees_images_at_full_size_while_the_network_sees_small_ones():
    sizes = []

    def watched(some):
        sizes.append(tuple(some.shape[2:]))
        return torch.ones(len(some), 3) / 3

    batch = batch_of(watched, ["grow_scales=[0.75]", "grow_until=[0.5]"])
    assert batch.pixels.shape[2:] == (6, 6)
    assert sizes == [(8, 8)]
