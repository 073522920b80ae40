import json

import pytest
import safetensors.torch
import torch
from torch import nn

from podium.errors import RunError
from podium.models import Preprocessing
from podium.training import checkpoint
from podium.training.checkpoint import State

PREPROCESSING = Preprocessing(("a", "b"), (8, 8), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
STATE = State(step=7, loss_sum=1.5, num_hits=3.0, num_seen=9, train_seconds=2.5, shares=[[1.0, 2.0]])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_what_is_saved_is_put_back(network, tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint.save(path, STATE, network, PREPROCESSING, {})
    other = nn.Linear(3, 2)
    assert checkpoint.load(path, other, PREPROCESSING, {}) == STATE
    assert torch.equal(other.weight, network.weight)


@pytest.mark.parametrize(
    "state",
    [
        {"step": -1},
        {"step": "7"},
        {"step": 10**30},
        {"num_seen": 1.5},
        {"loss_sum": None},
        {"shares": [["x"]]},
        {"shares": 1},
        {"more": 1},
    ],
)
def test_a_state_that_cannot_be_is_refused(network, tmp_path, state):
    path = tmp_path / "checkpoint"
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    header = {"state": json.dumps(state), "preprocessing": PREPROCESSING.to_json()}
    path.write_bytes(safetensors.torch.save(tensors, metadata=header))
    with pytest.raises(RunError, match="can't be resumed from"):
        checkpoint.load(path, network, PREPROCESSING, {})


def test_one_cut_anywhere_is_refused(network, tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint.save(path, STATE, network, PREPROCESSING, {})
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(RunError, match="can't be resumed from"):
            checkpoint.load(path, network, PREPROCESSING, {})
