"""Two sets of answers side by side: what is counted, and what is within a tolerance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from podium.delivery.verify import TOLERANCES, Answers, Tolerance, difference

LOGITS = np.array([[4.0, 1.0, 0.0], [1.0, 1.2, 0.0], [0.0, 0.0, 3.0]], np.float32)
TIGHT = Tolerance(0.01, 0.01, 0.01, 0.0, "")


def answers(logits):
    return Answers(softmax(logits, axis=1).astype(np.float32), np.asarray(logits, np.float32))


def test_the_same_answers_are_0_apart():
    found = difference(answers(LOGITS), answers(LOGITS), replace(TIGHT, logits=0.0, probabilities=0.0, margin=0.0))
    assert (found.logits, found.probabilities, found.num_other_answers, found.holds) == (0, 0, 0, True)
    assert found.num_images == 3


def test_logits_are_measured_by_the_largest_and_probabilities_as_they_are():
    other = LOGITS.copy()
    other[2, 0] += 0.2
    found = difference(answers(LOGITS), answers(other), TIGHT)
    assert found.logits == pytest.approx(0.2 / 4)
    assert found.probabilities == pytest.approx(np.abs(softmax(LOGITS[2]) - softmax(other[2])).max())
    assert not found.holds
    assert difference(answers(LOGITS), answers(other), replace(TIGHT, logits=0.06, probabilities=0.02)).holds
    assert not difference(answers(LOGITS), answers(other), replace(TIGHT, logits=0.04, probabilities=0.02)).holds
    assert not difference(answers(LOGITS), answers(other), replace(TIGHT, logits=0.06, probabilities=0.005)).holds


def test_another_answer_holds_where_the_references_margin_is_small():
    other = LOGITS.copy()
    other[1] = 1.2, 1.0, 0.0  # the reference has them 0.2 apart: 0.05 of the largest
    wide = Tolerance(None, None, 0.051, 0.0, "")
    found = difference(answers(LOGITS), answers(other), wide)
    assert (found.num_other_answers, found.num_within_margin, found.holds) == (1, 1, True)
    assert not difference(answers(LOGITS), answers(other), replace(wide, margin=0.049)).holds
    other[0] = 0.0, 1.0, 4.0
    found = difference(answers(LOGITS), answers(other), wide)
    assert (found.num_other_answers, found.num_within_margin, found.holds) == (2, 1, False)
    assert difference(answers(LOGITS), answers(other), replace(wide, other_answers=0.34)).holds
    assert not difference(answers(LOGITS), answers(other), replace(wide, other_answers=0.33)).holds


def test_a_form_without_logits_is_judged_by_its_probabilities():
    shown = Answers(answers(LOGITS).probabilities.round(6))
    found = difference(answers(LOGITS), shown, TIGHT)
    assert (found.logits, found.holds) == (None, True)
    assert not difference(answers(LOGITS), Answers(shown.probabilities[:, ::-1]), TIGHT).holds


def test_a_copy_of_other_bits_does_not_hold_whatever_it_answers():
    found = difference(answers(LOGITS), replace(answers(LOGITS), other_tensors=("head.weight",)), TIGHT)
    assert (found.num_other_tensors, found.probabilities, found.holds) == (1, 0, False)


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.booleans())
def test_what_is_no_number_is_noticed(value, in_logits):
    good = answers(LOGITS)
    spoilt = (good.logits if in_logits else good.probabilities).copy()
    spoilt[1, 1] = value
    assert good.are_finite
    assert not (replace(good, logits=spoilt) if in_logits else replace(good, probabilities=spoilt)).are_finite
    assert Answers(good.probabilities).are_finite


def test_a_low_temperature_widens_what_probabilities_may_differ_by_and_nothing_else():
    assert TIGHT.at(0.5) == TIGHT.at(3.0) == TIGHT
    assert TIGHT.at(0.05) == replace(TIGHT, probabilities=pytest.approx(0.1))
    assert TIGHT.at(0.001).probabilities == 1
    assert TOLERANCES["int8"].at(0.1) == TOLERANCES["int8"]
    assert TOLERANCES["resumed"].at(0.1).probabilities == 0


def test_every_tolerance_says_where_it_comes_from():
    assert list(TOLERANCES) == ["eager", "reloaded", "bf16", "compiled", "onnx", "int8", "server", "resumed"]
    for one in TOLERANCES.values():
        assert len(one.source) > 40
    assert all(TOLERANCES[name].margin == TOLERANCES[name].probabilities == 0 for name in ("reloaded", "resumed"))
