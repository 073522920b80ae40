import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import errors
from podium.errors import ArchiveError, PodiumError


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_a_podium_error_that_another_process_gets_whole(name):
    error = getattr(errors, name)("data.zip: damaged.\nDownload it again: ×, …, ü.")
    assert isinstance(error, PodiumError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "data.zip: damaged.\nDownload it again: ×, …, ü."


def test_what_would_steer_a_terminal_is_written_as_an_escape():
    said = str(ArchiveError("member '\x1b[2J\r\x9b\u202egnp.exe\ud800' of it"))
    assert said == r"member '\x1b[2J\r\x9b\u202egnp.exe\ud800' of it"


@given(st.text(), st.integers(0, 10_000))
def test_a_message_keeps_its_beginning_and_its_end_at_any_length(name, times):
    said = str(ArchiveError(f"data.zip: member {name * times} is damaged.\nDownload it again."))
    assert len(said) <= 20_000
    assert said.startswith("data.zip: member ")
    assert said.endswith("Download it again.")


def test_an_absurdly_long_one_is_cut():
    assert len(str(ArchiveError("x" * 10**6))) < 2000
