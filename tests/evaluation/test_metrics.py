import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.evaluation import Predictions, evaluate_predictions, wilson_interval
from podium.evaluation.metrics import calibration_bins, calibration_error, confusion_matrix


def test_wilson_interval_is_the_books():
    # Brown, Cai, DasGupta (2001): x = 2, n = 10 gives (0.057, 0.510)
    assert wilson_interval(2, 10) == pytest.approx((0.0567, 0.5098), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    low, high = wilson_interval(4700, 5000)
    assert (high - low) / 2 == pytest.approx(0.0066, abs=1e-4)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share(pair):
    hits, total = pair
    low, high = wilson_interval(hits, total)
    assert 0 <= low <= hits / total <= high <= 1


def predictions(labels, guesses, num_classes=3):
    logits = np.full((len(labels), num_classes), -2.0, np.float32)
    logits[np.arange(len(labels)), guesses] = 2.0
    ids = np.array([str(i) for i in range(len(labels))])
    return Predictions(ids, tuple("abcdefgh"[:num_classes]), logits, np.array(labels, np.int64))


def test_confusion_rows_are_the_right_classes():
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_evaluation_counts():
    result = evaluate_predictions(predictions([0, 0, 1, 1, 1], [0, 1, 1, 1, 0]), "toy", "none")
    assert (result.num_images, result.accuracy) == (5, 0.6)
    assert [one.recall for one in result.per_class[:2]] == [0.5, pytest.approx(2 / 3)]
    assert [one.precision for one in result.per_class[:2]] == [0.5, pytest.approx(2 / 3)]
    assert result.per_class[2].recall is None  # no image of it
    assert result.per_class[2].precision is None
    chance = np.exp(2) / (np.exp(2) + 2 * np.exp(-2))
    wrong = np.exp(-2) / (np.exp(2) + 2 * np.exp(-2))
    assert result.cross_entropy == pytest.approx(-(3 * np.log(chance) + 2 * np.log(wrong)) / 5, rel=1e-5)


def test_calibration_error_of_known_cases():
    sure = np.array([[1.0, 0.0]] * 10, np.float32)
    assert calibration_error(sure, np.zeros(10, np.int64)) == pytest.approx(0)
    assert calibration_error(sure, np.array([0] * 7 + [1] * 3)) == pytest.approx(0.3)
    unsure = np.array([[0.7, 0.3]] * 10, np.float32)
    assert calibration_error(unsure, np.array([0] * 7 + [1] * 3)) == pytest.approx(0, abs=1e-6)


def test_calibration_bins_by_hand():
    probabilities = np.array([[0.55, 0.45], [0.59, 0.41], [0.05, 0.95], [1.0, 0.0]], np.float32)
    bins = calibration_bins(probabilities, np.array([0, 1, 1, 0]), num_bins=10)
    assert [(one.low, one.high, one.num_images, one.accuracy) for one in bins] == [
        (0.5, 0.6, 2, 0.5),
        (0.9, 1.0, 2, 1.0),
    ]
    assert [one.confidence for one in bins] == pytest.approx([0.57, 0.975])
    assert bins[0].interval == wilson_interval(1, 2)
    assert calibration_error(probabilities, np.array([0, 1, 1, 0]), 10) == pytest.approx(0.5 * 0.07 + 0.5 * 0.025)
