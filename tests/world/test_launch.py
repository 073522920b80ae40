"""What a launcher says, and what it can't mean."""

import pytest

from podium.errors import WorldError
from podium.world.launch import DEFAULT_TIMEOUT, Job, is_first, launch, timeout_seconds

WORDS = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "there",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "night",
    "TORCHELASTIC_RESTART_COUNT": "2",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


@pytest.fixture
def said(monkeypatch):
    def say(**changes):
        for name, word in {**WORDS, **changes}.items():
            if word is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, word)

    for name in (*WORDS, "PODIUM_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return say


def test_torchruns_words_are_understood(said):
    assert launch() is None
    assert is_first()
    said()
    place = launch()
    assert (place.rank, place.size, place.local_rank, place.local_size) == (3, 4, 1, 2)
    assert (place.address, place.port, place.is_hosted) == ("there", 29500, True)
    assert place.job == Job("night", 2)
    assert not is_first()


def test_a_job_without_a_name_is_named_after_its_launcher(said):
    said(TORCHELASTIC_RUN_ID="none")
    assert launch().job.id == launch().job.id != "none"
    said(TORCHELASTIC_RUN_ID=None)
    assert launch().job is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"RANK": "4"}, "RANK = 4 of WORLD_SIZE = 4"),
        ({"RANK": "-1"}, "RANK = -1"),
        ({"RANK": "one"}, "RANK = 'one'"),
        ({"LOCAL_RANK": "2"}, "can't be"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT = 99999"),
        ({"TORCHELASTIC_RESTART_COUNT": "x"}, "TORCHELASTIC_RESTART_COUNT"),
    ],
)
def test_nonsense_is_named(said, changes, what):
    said(**changes)
    with pytest.raises(WorldError, match=what):
        launch()


def test_the_timeout(said, monkeypatch):
    assert timeout_seconds() == DEFAULT_TIMEOUT
    monkeypatch.setenv("PODIUM_TIMEOUT", "2.5")
    assert timeout_seconds() == 2.5
    for word in ("0", "-1", "soon", "inf", "nan"):
        monkeypatch.setenv("PODIUM_TIMEOUT", word)
        with pytest.raises(WorldError, match="PODIUM_TIMEOUT"):
            timeout_seconds()
