"""BN over all processes' images against torch's over the whole batch."""

import pytest
import torch
from processes import answers
from torch import nn

from podium.models import sync_norms
from podium.world import ALONE

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}  # statistics are as exact as the sums they come from


@pytest.mark.parametrize(
    ("sizes", "dtype", "momentum"),
    [([3, 3], "float64", 0.1), ([5, 0, 2], "float32", 0.4), ([1, 4], "float64", None), ([0, 1], "float32", 0.1)],
)
def test_parts_are_normalised_as_the_whole(sizes, dtype, momentum):
    heard = answers(len(sizes), "norm", sizes, dtype, momentum)
    assert [answer.status for answer in heard] == [0] * len(sizes), heard
    for answer in heard:
        assert len(answer.value) == 13
        assert max(answer.value) < TOLERANCE[dtype]


def test_one_process_keeps_its_own():
    network = nn.Sequential(nn.BatchNorm2d(3))
    before = network[0]
    sync_norms(network, ALONE, torch.device("cpu"))
    assert network[0] is before
