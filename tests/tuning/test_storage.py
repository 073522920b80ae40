"""Where trials are kept: a journal that a crash can't spoil, and URLs whose passwords stay untold."""

import subprocess
import sys

import pytest
from processes import free_port
from trials import study_of

from podium.errors import PodiumError, StudyError
from podium.recipe import Recipe
from podium.tuning import storage
from podium.tuning.storage import open_storage, shown


def test_a_line_that_a_crash_cut_short_is_taken_away(tmp_path):
    study = study_of(tmp_path, Recipe())
    study.ask(None).end("finished", 1.0, 0.5)
    study.close()
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker')
    again = study_of(tmp_path, Recipe())
    assert journal.read_bytes().startswith(whole)
    ticket = again.ask(None)
    ticket.end("finished", 1.0, 0.6)
    again.close()
    assert [row.state for row in study_of(tmp_path, Recipe()).rows()] == ["finished", "finished"]


def test_a_damaged_journal_is_said(tmp_path):
    study_of(tmp_path, Recipe()).close()
    journal = tmp_path / "journal.log"
    journal.write_bytes(b"\x00\xff\n" + journal.read_bytes())
    with pytest.raises(StudyError, match=r"journal.log can't be used"):
        study_of(tmp_path, Recipe())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("here.db", "takes a URL"),
        ("nosuch://host/x", "can't be used"),
        ("grpc://", "names no host"),
        ("grpc://host:port", "no address"),
        ("sqlite:////nowhere/at/all.db", "can't be used"),
    ],
)
def test_an_address_that_makes_no_sense(url, says, tmp_path):
    with pytest.raises(PodiumError, match=says) as caught:
        open_storage(url, tmp_path / "journal.log")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_missing_driver_is_named(tmp_path, monkeypatch):
    for name, url, package in (
        ("psycopg", "postgresql+psycopg://me:secret@localhost/x", "'psycopg[binary]'"),
        ("psycopg2", "postgresql+psycopg2://me:secret@localhost/x", "psycopg2-binary"),
        ("grpc", "grpc://localhost", "grpcio protobuf"),
    ):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(StudyError) as caught:
            study_of(tmp_path / "study", Recipe(), url=url)
        assert str(caught.value).endswith(f"{name}, which can't be imported.\nInstall it: pip install {package}")
        assert "secret" not in str(caught.value)
    assert not (tmp_path / "study").exists()


def test_passwords_stay_untold():
    assert shown("postgresql://me:se/cr@et@host/db") == "postgresql://me:***@host/db"
    assert shown("postgresql://me@host/db?password=secret&x=1") == "postgresql://me@host/db?password=***&x=1"
    assert shown("grpc://host:13000") == "grpc://host:13000"


def test_a_database_does_as_the_journal_does(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    one = study_of(tmp_path / "one" / "name", Recipe(), url=url)
    other = study_of(tmp_path / "two" / "name", Recipe(), url=url)  # another machine's folder of the same name
    one.ask(2).end("finished", 1.0, 0.5)
    other.ask(2).end("pruned", 1.0)
    assert one.ask(2) is None
    assert [row.state for row in one.rows()] == [row.state for row in other.rows()] == ["finished", "pruned"]
    assert not (tmp_path / "one" / "name" / "journal.log").exists()
    one.close()
    other.close()


_PROXY = """
import sys
from optuna.storages import JournalStorage, run_grpc_proxy_server
from optuna.storages.journal import JournalFileBackend

run_grpc_proxy_server(JournalStorage(JournalFileBackend(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]))
"""


def test_a_proxy_does_as_the_journal_does(tmp_path):
    pytest.importorskip("grpc")
    port = free_port()
    proxy = subprocess.Popen([sys.executable, "-c", _PROXY, str(tmp_path / "kept.log"), str(port)])
    try:
        one = study_of(tmp_path / "one" / "name", Recipe(), url=f"grpc://127.0.0.1:{port}")
        other = study_of(tmp_path / "two" / "name", Recipe(), url=f"grpc://127.0.0.1:{port}")
        ticket = one.ask(2)
        ticket.look(1, 0.5)
        ticket.beat(1)
        ticket.end("finished", 1.0, 0.5)
        other.ask(2).end("stopped", 1.0)
        assert [row.state for row in one.rows()] == ["finished", "stopped", "waiting"]
        assert other.rows()[0].accuracy == 0.5
        with pytest.raises(StudyError, match=r"grpc://127.0.0.1:.* holds a study of another recipe"):
            study_of(tmp_path / "three" / "name", Recipe(learning_rate=0.5), url=f"grpc://127.0.0.1:{port}")
        proxy.kill()
        proxy.wait()
        with pytest.raises(StudyError, match=r"can't be reached.*\n.*proxy running"):
            one.ask(3)
    finally:
        proxy.kill()
        proxy.wait()


def test_a_proxy_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("grpc")
    monkeypatch.setattr(storage, "_GRPC_SECONDS", 0.1)
    with pytest.raises(StudyError, match=r"can't be reached.*\nIs the proxy running"):
        open_storage(f"grpc://127.0.0.1:{free_port()}", tmp_path / "journal.log")
