import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from podium.evaluation import Predictions
from podium.evaluation.comparison import (
    common_hits,
    holm,
    images_interval,
    mcnemar,
    seed_test,
    seeds_needed,
    spread,
)


def hits(text):
    return np.array([letter == "x" for letter in text])


def test_mcnemar_by_hand():
    # alone right: 1 and 5 of 6. Chance gives 0 or 1 of 6 heads in 7 of 64 cases, and as many tails
    test = mcnemar(hits("x.....xxx..."), hits(".xxxxxxxx..."))
    assert (test.num_images, test.only_first, test.only_second) == (12, 1, 5)
    assert test.p_value == pytest.approx(14 / 64)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50))
def test_mcnemar_is_the_binomial_test(only_first, only_second, both):
    first = np.array([True] * only_first + [False] * only_second + [True] * both, bool)
    second = np.array([False] * only_first + [True] * only_second + [True] * both, bool)
    p_value = mcnemar(first, second).p_value
    if only_first + only_second:
        assert p_value == pytest.approx(stats.binomtest(only_first, only_first + only_second).pvalue, abs=1e-12)
    else:
        assert p_value == 1.0


@given(st.lists(st.floats(0.5, 1), min_size=2, max_size=6), st.lists(st.floats(0.5, 1), min_size=2, max_size=6))
def test_two_groups_of_seeds_are_tested_as_welch_does(first, second):
    test = seed_test(first, second)
    assert test.difference == pytest.approx(np.mean(first) - np.mean(second))
    if min(np.std(first), np.std(second)) > 1e-6:
        expected = stats.ttest_ind(first, second, equal_var=False)
        assert test.method == "welch"
        assert test.p_value == pytest.approx(expected.pvalue, abs=1e-9)
        assert test.interval == pytest.approx(tuple(expected.confidence_interval()), abs=1e-9)


def test_a_single_run_borrows_the_others_spread():
    test = seed_test([0.96], [0.94, 0.941, 0.939])
    expected = stats.ttest_ind([0.96], [0.94, 0.941, 0.939], equal_var=True)
    assert test.method == "pooled"
    assert test.p_value == pytest.approx(expected.pvalue)


def test_without_any_spread_there_is_no_test():
    for first, second in [([0.9], [0.8]), ([0.9, 0.9], [0.8, 0.8])]:
        test = seed_test(first, second)
        assert (test.method, test.p_value, test.interval, test.num_needed) == ("none", None, None, None)
        assert test.difference == pytest.approx(0.1)


def test_seeds_needed_are_the_textbooks():
    # Cohen (1988), two-sided 5 %, power 80 %: 17, 26, 64 and 394 a group for d = 1, 0.8, 0.5 and 0.2
    assert [seeds_needed(d, 1.0) for d in (1.0, 0.8, 0.5, 0.2)] == [17, 26, 64, 394]
    assert seeds_needed(-0.005, 0.01) == 64
    assert seeds_needed(0.01, 1.0) is None
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(100.0, 1.0) == 2


def test_the_promised_power_is_kept():
    rng = np.random.default_rng(0)
    num_seeds = seeds_needed(0.6, 0.3)
    tries = 2000
    first, second = rng.normal(0.6, 0.3, (tries, num_seeds)), rng.normal(0, 0.3, (tries, num_seeds))
    found = (stats.ttest_ind(first, second, axis=1).pvalue < 0.05).mean()
    assert 0.77 < found < 0.92  # whole seeds only, so it may be more than 0.8


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(high >= low for low, high in zip(p_values, adjusted, strict=True))
    for i, j in itertools.combinations(range(len(p_values)), 2):
        if p_values[i] < p_values[j]:
            assert adjusted[i] <= adjusted[j]


def test_spread():
    found = spread([0.9, 0.94, 0.92])
    assert (found.num_runs, found.lowest, found.highest) == (3, 0.9, 0.94)
    assert found.mean == pytest.approx(0.92)
    assert found.deviation == pytest.approx(0.02)
    assert spread([0.9]).deviation is None


def predictions(ids, labels, guesses, classes=("a", "b", "c")):
    logits = np.eye(len(classes), dtype=np.float32)[[classes.index(guess) for guess in guesses]]
    return Predictions(np.array(ids), classes, logits, np.array([classes.index(label) for label in labels]))


def test_common_hits_are_matched_by_id_and_class_name():
    first = predictions(["1", "2", "3"], "abc", "abb")
    second = predictions(["4", "3", "2"], "acb", "aca", classes=("c", "b", "a"))
    assert [one.tolist() for one in common_hits([first, second])] == [[True, False], [False, True]]


def test_nothing_in_common_and_other_labels_are_no_pair():
    first = predictions(["1", "2"], "ab", "ab")
    assert common_hits([first, predictions(["3"], "a", "a")]) is None
    assert common_hits([first, predictions(["1", "2"], "aa", "ab")]) is None
    assert common_hits([first, predictions(["1", "1"], "aa", "aa")]) is None


def test_images_interval_of_two_networks_is_the_paired_one():
    first, second = hits("xxxxxx...."), hits("xx........")
    low, high = images_interval([first], [second])
    error = math.sqrt((0.4 - 0.4**2) / 10)
    assert (low, high) == pytest.approx((0.4 - 1.96 * error, 0.4 + 1.96 * error), abs=1e-4)
    assert images_interval([first, second], [second, first]) == (0.0, 0.0)
