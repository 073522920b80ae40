"""A process that is gone, or hangs, is noticed in the stated time, and named."""

import signal

import pytest
from processes import answers


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_who_is_silent_is_named_by_all_others(number):
    heard = answers(3, "fall_silent", 1, int(number), env={"PODIUM_TIMEOUT": "2"}, lost=(1,))
    for rank in (0, 2):
        assert heard[rank].status == 0, heard[rank].err
        assert heard[rank].value.startswith(f"WorldError: Rank {rank} on ")
        assert "waited up to 2 s for rank 1 on " in heard[rank].value
        assert "--max-restarts" in heard[rank].value
    assert heard[1].value is None
