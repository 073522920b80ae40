"""Judge: probabilities that mean what they say, and what is called unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from podium.evaluation import Predictions
from podium.evaluation.judge import Judge, temperature
from podium.evaluation.unknown import FALSE_ALARMS, score, threshold

logits_of_any_kind = arrays(np.float32, (7, 4), elements=st.floats(-40, 40, width=32))


def drawn(true_temperature, num=20_000):
    """Logits whose softmax at a temperature is just the probability of their labels."""
    draw = np.random.default_rng(0)
    logits = 2 * draw.normal(size=(num, 5))
    chances = np.exp(logits / true_temperature)
    chances /= chances.sum(1, keepdims=True)
    labels = (chances.cumsum(1) < draw.random((num, 1))).sum(1)
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(true_temperature):
    logits, labels = drawn(true_temperature)
    assert temperature(logits, labels) == pytest.approx(true_temperature, rel=0.05)


def test_its_probabilities_are_as_often_right_as_they_say():
    logits, labels = drawn(0.5)
    judge = Judge.from_hold_out(Predictions(np.arange(len(labels)).astype(str), tuple("abcde"), logits, labels))
    chances = judge.probabilities(logits)
    sure = chances.max(1) > 0.9
    assert (chances.argmax(1) == labels)[sure].mean() == pytest.approx(chances.max(1)[sure].mean(), abs=0.01)


@given(logits_of_any_kind, st.floats(0.1, 10))
def test_a_temperature_keeps_the_order(logits, given_temperature):
    chances = Judge(given_temperature).probabilities(logits)
    assert chances.sum(1) == pytest.approx(np.ones(7), abs=1e-5)
    assert np.array_equal(chances.max(1), np.take_along_axis(chances, logits.argmax(1)[:, None], 1)[:, 0])
    assert Judge().known(logits) is None


@given(logits_of_any_kind, st.floats(-20, 20))
def test_a_score_depends_on_the_differences_only_and_rises_with_the_largest(logits, shift):
    assert score(logits + np.float32(shift)) == pytest.approx(score(logits), abs=1e-3)
    surer = logits.copy()
    surer[np.arange(7), logits.argmax(1)] += 5
    assert (score(surer) > score(logits)).all()
    assert (score(logits) >= np.log(4) - 1e-6).all()  # of equal logits


def test_the_threshold_calls_its_part_of_the_known_ones_unknown():
    logits, labels = drawn(1.0)
    judge = Judge.from_hold_out(Predictions(np.arange(len(labels)).astype(str), tuple("abcde"), logits, labels))
    assert judge.threshold == threshold(logits)
    assert (~judge.known(logits)).mean() == pytest.approx(FALSE_ALARMS, abs=1e-3)
    assert not judge.known(np.zeros((1, 5), np.float32))[0]
