"""What processes say to each other, and how they share rows."""

import hashlib
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import answers

from podium.world import ALONE, World

NUM = 3


@given(st.one_of(st.integers(0, 300), st.just(300_000)), st.integers(1, 64))
def test_parts_cover_all_rows_once_in_order_and_evenly(num_all, size):
    parts = [World(rank, size).part(num_all) for rank in range(size)]
    assert parts[0].start == 0
    assert parts[-1].stop == num_all
    assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == [len(part) for part in torch.empty(num_all, 0).tensor_split(size)]
    assert [World(0, size).part(num_all, rank) for rank in range(size)] == parts


def test_one_process_gets_back_what_it_gives(tmp_path):
    tensor = torch.ones(2, 3)
    assert ALONE.sum(tensor) is tensor
    assert ALONE.gather(tensor) is tensor
    assert ALONE.stack(tensor).shape == (1, 2, 3)
    assert ALONE.tell("a") == "a"
    assert ALONE.each(5) == [5]
    assert ALONE.first(lambda: 6) == ALONE.in_turn(lambda: 6) == 6
    with ALONE.borrowed(tmp_path / "none") as path:
        assert path is None
    with pytest.raises(RuntimeError, match="store"), ALONE.watched():
        raise RuntimeError("a store of ours")


def test_processes_understand_each_other():
    num_bytes = 256 * 1000
    heard = answers(NUM, "talk", num_bytes)
    assert [answer.status for answer in heard] == [0] * NUM, heard
    rows = [[10.0], [20.0], [21.0]]
    for rank, answer in enumerate(heard):
        assert answer.value == {
            "sum": [3.0, 3.0],
            "stack": [[0, 7], [1, 7], [2, 7]],
            "gather": rows,
            "spread": [[0.0, 0.0, 0.0], 0],
            "any": [True, False],
            "tell": {"from": 0, "ü": None},
            "each": [["\n", 0], ["\n", 1], ["\n", 2]],
            "bytes": [num_bytes, hashlib.sha256(bytes(range(256)) * 1000).hexdigest()],
            "empty": 0,
            "first": 100,
            "in_turn": rank,
        }


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_is_raised_in_all_with_who_has_it(rank):
    heard = answers(2, "fail", rank)
    for place, answer in enumerate(heard):
        data, run, after = answer.value
        assert data.startswith("DataError: ")
        assert run.startswith("RunError: ")
        assert after == "still there"
        assert data.endswith("It is broken.\nMend it.")
        assert ("Rank 1 on" in data) == (rank == 1 and place == 0)


def test_a_file_of_the_first_is_lent_to_all(tmp_path):
    (tmp_path / "there").write_text("hello")
    assert [answer.value for answer in answers(2, "lend", str(tmp_path))] == [["hello", None]] * 2
