import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.data import folds, hold_out
from podium.errors import DataError

LABELS = st.lists(st.integers(0, 6), min_size=2, max_size=200).map(lambda values: np.array(values, np.int64))
FRACTIONS = st.fractions(0, 1, max_denominator=1000).filter(lambda value: value < 1).map(float)


@given(LABELS, FRACTIONS, st.integers(0, 2**40))
def test_hold_out_is_exact(labels, fraction, seed):
    train, held = hold_out(labels, fraction, seed)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert train.dtype == held.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()
    assert abs(len(held) - len(labels) * fraction) <= 0.5 + 1e-9
    counts = np.bincount(labels, minlength=7)
    shares = np.bincount(labels[held], minlength=7)
    assert (np.abs(shares - counts * fraction) < 1 + 1e-9).all()


@given(LABELS, st.data(), st.integers(0, 2**40))
def test_folds_are_balanced(labels, data, seed):
    k = data.draw(st.integers(2, len(labels)))
    found = folds(labels, k, seed)
    assert len(found) == k
    assert sorted(index for _, own in found for index in own) == list(range(len(labels)))
    for others, own in found:
        assert sorted([*others, *own]) == list(range(len(labels)))
        assert others.dtype == own.dtype == np.int64
    sizes = [len(own) for _, own in found]
    assert max(sizes) - min(sizes) <= 1
    for c in range(7):
        of_class = [(labels[own] == c).sum() for _, own in found]
        assert max(of_class) - min(of_class) <= 1


def test_seeds_give_other_splits_and_the_same_again():
    labels = np.repeat(np.arange(10), 100)
    held = [hold_out(labels, 0.1, seed)[1] for seed in range(20)]
    assert all((hold_out(labels, 0.1, seed)[1] == held[seed]).all() for seed in range(20))
    assert len({tuple(indices) for indices in held}) == 20
    overlap = np.mean([len(np.intersect1d(held[0], other)) for other in held[1:]])
    assert 5 < overlap < 16  # 10 of 100 by chance
    counts = np.bincount(np.concatenate([hold_out(labels, 0.1, seed)[1] for seed in range(500)]), minlength=1000)
    assert abs(counts.mean() - 50) < 1e-9
    assert 5.5 < counts.std() < 8  # binomial: 6.7


def test_split_is_pinned():
    """The split is a part of each published result: it may never change."""
    labels = np.arange(40) % 4
    assert hold_out(labels, 0.2, 0)[1].tolist() == [2, 4, 6, 27, 31, 32, 33, 37]
    assert folds(labels, 4, 7)[2][1].tolist() == [5, 6, 13, 16, 17, 19, 24, 31, 38, 39]


def test_a_tenth_is_a_tenth():
    labels = np.repeat(np.arange(10), 5000)
    train, held = hold_out(labels, 0.1)
    assert (len(train), len(held)) == (45_000, 5_000)
    assert np.bincount(labels[held]).tolist() == [500] * 10


def test_out_of_range():
    labels = np.zeros(10, np.int64)
    for fraction in (-0.1, 1, 1.5, float("nan")):
        with pytest.raises(DataError, match="part to hold out"):
            hold_out(labels, fraction)
    for k in (0, 1, 11):
        with pytest.raises(DataError, match="folds"):
            folds(labels, k)
