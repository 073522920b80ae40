"""Several processes predict a part each, and every one gets all, in order."""

import hashlib

import numpy as np
from processes import answers


def test_of_300_000_images_none_is_lost_or_doubled():
    heard = answers(3, "merge", 300_000)
    assert [answer.status for answer in heard] == [0] * 3, heard
    expected = np.arange(300_000, dtype=np.float32)[:, None].repeat(3, 1)
    expected[np.random.default_rng(1).permutation(300_000)[:100_000]] += 0.5
    assert {answer.value for answer in heard} == {hashlib.sha256(expected.tobytes()).hexdigest()}


def test_other_images_in_another_process_are_an_error(tiny_run):
    heard = answers(2, "predict_others", str(tiny_run.path))
    for answer in heard:
        assert answer.value is not None, answer.err
        assert "Rank 1 on" in answer.value
        assert "other images than rank 0" in answer.value
