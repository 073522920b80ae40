"""Blend: weights that are right where that is known, and never worse than the best alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.evaluation import Predictions, blend, ensemble
from podium.evaluation.blend import LEAST

CLASSES = ("cat", "dog", "frog")


def member(draw, labels, skill, ids=None):
    """Predictions that know the right class as well as `skill` says."""
    logits = draw.normal(size=(len(labels), 3)) + skill * np.eye(3)[labels]
    names = np.arange(len(labels)).astype(str) if ids is None else ids
    return Predictions(names, CLASSES, logits.astype(np.float32), labels)


def accuracy(predictions):
    return (predictions.guesses == predictions.labels).mean()


def test_who_knows_nothing_hardly_counts_and_who_knows_as_much_counts_as_much():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 4000)
    good, other, useless = member(draw, labels, 2.0), member(draw, labels, 2.0), member(draw, labels, 0.0)
    found = blend([good, other, useless])
    assert sum(found.weights) == pytest.approx(1, abs=1e-3)
    assert found.weights[2] < 0.05
    assert found.weights[0] == pytest.approx(found.weights[1], abs=0.1)
    assert found.num_images == 4000
    assert found.accuracy > found.accuracy_of_best + 0.03
    assert found.accuracy > found.accuracy_of_equal


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), skills=st.lists(st.floats(0, 3), min_size=2, max_size=4))
def test_on_the_common_images_it_is_never_worse_than_the_best_alone(seed, skills):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, 150)
    each = [member(draw, labels, skill) for skill in skills]
    found = blend(each)
    together = ensemble(each, found.weights)
    assert accuracy(together) >= max(map(accuracy, each)) - 2 / 150  # weights are rounded
    assert found.accuracy_of_best == max(map(accuracy, each))


def test_order_of_images_and_classes_does_not_matter():
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 3, 500)
    first, second = member(draw, labels, 1.0), member(draw, labels, 2.0)
    order, places = draw.permutation(500), np.array([2, 0, 1])
    turned = Predictions(
        second.ids[order],
        tuple(CLASSES[place] for place in places),
        second.logits[order][:, places],
        np.argsort(places)[second.labels[order]],
    )
    assert blend([first, turned]) == blend([first, second])


def test_only_images_that_all_held_out_count():
    draw = np.random.default_rng(2)
    labels = draw.integers(0, 3, 300)
    ids = np.arange(300).astype(str)
    first = member(draw, labels[:200], 1.0, ids[:200])
    second = member(draw, labels[100:], 1.0, ids[100:])
    assert blend([first, second]).num_images == LEAST
    assert blend([first, member(draw, labels[101:], 1.0, ids[101:])]) is None


def test_other_labels_or_classes_have_no_common_images():
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 3, 200)
    first = member(draw, labels, 1.0)
    assert blend([first, member(draw, (labels + 1) % 3, 1.0)]) is None
    other = Predictions(first.ids, ("a", "b", "c"), first.logits, first.labels)
    assert blend([first, other]) is None
    assert blend([first, Predictions(first.ids, CLASSES, first.logits)]) is None
