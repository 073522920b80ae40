"""CIFAR's releases: taken from whichever address has them, gone on with, and only if every byte is right."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from webserver import serving

from podium.data import http, releases
from podium.data.releases import OFFICIAL, RELEASES, Release, download_release
from podium.errors import DataError, StorageError

CONTENT = np.random.default_rng(0).bytes(40_000)
FILE = "cifar-10-python.tar.gz"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A mirror of a small release; the official address is one that nobody answers at."""
    release = Release(FILE, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(RELEASES["cifar-10"], "python", release)
    monkeypatch.setattr(releases, "OFFICIAL", "http://127.0.0.1:9/")
    monkeypatch.setattr(http, "TRIES", 2)
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.0)
    folder = tmp_path / "server"
    for name in ("good", "other", "short"):
        (folder / name).mkdir(parents=True)
    (folder / "good" / FILE).write_bytes(CONTENT)
    (folder / "other" / FILE).write_bytes(bytes(len(CONTENT)))
    (folder / "short" / FILE).write_bytes(CONTENT[:-1])
    with serving(folder) as told:
        yield told


def fetch(out, *mirrors, **options):
    return download_release("cifar-10", out, mirrors=mirrors, **options)


def test_the_table_is_of_the_official_files():
    files = {release.file: release for versions in RELEASES.values() for release in versions.values()}
    assert set(files) == {f"cifar-{count}-{kind}.tar.gz" for count in (10, 100) for kind in ("python", "binary")}
    assert len({release.sha256 for release in files.values()}) == 4
    assert all(len(bytes.fromhex(release.sha256)) == 32 for release in files.values())
    assert all(168e6 < release.num_bytes < 171e6 for release in files.values())
    assert OFFICIAL == "https://www.cs.toronto.edu/~kriz/"


def test_it_is_fetched_once(server, tmp_path):
    out = tmp_path / "data" / "new"
    told = []
    path = fetch(out, f"{server.url}/good", progress=lambda *what: told.append(what))
    assert path == out / FILE
    assert path.read_bytes() == CONTENT
    assert list(out.iterdir()) == [path]
    assert fetch(out, f"{server.url}/good") == path
    assert len(server.gets(f"good/{FILE}")) == 1


def test_a_whole_address_will_do(server, tmp_path):
    assert fetch(tmp_path / "a", f"{server.url}/good/{FILE}").read_bytes() == CONTENT


def test_what_was_cut_goes_on_where_it_ended(server, tmp_path):
    out = tmp_path / "out"
    server.faults[f"good/{FILE}"] += [15_000, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch(out, f"{server.url}/good")
    (part,) = out.iterdir()
    assert part.read_bytes() == CONTENT[:15_000]
    server.faults.clear()
    server.asked.clear()
    assert fetch(out, f"{server.url}/good").read_bytes() == CONTENT
    assert server.gets(f"good/{FILE}") == ["bytes=15000-"]
    assert list(out.iterdir()) == [out / FILE]


@pytest.mark.parametrize("bad", ["other", "short", "none"])
def test_an_address_without_the_right_file_is_passed_over(server, tmp_path, bad):
    assert fetch(tmp_path / "out", f"{server.url}/{bad}", f"{server.url}/good").read_bytes() == CONTENT
    assert server.gets(f"{bad}/{FILE}")


def test_a_beginning_of_something_else_is_thrown_away(server, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / f".{FILE}.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="has other bytes"):
        fetch(out, f"{server.url}/good")
    assert fetch(out, f"{server.url}/good").read_bytes() == CONTENT


def test_the_official_address_comes_last(server, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "OFFICIAL", f"{server.url}/good/")
    assert fetch(tmp_path / "out", f"{server.url}/none").read_bytes() == CONTENT
    assert [name for _, name, _ in server.asked] == [f"none/{FILE}", f"good/{FILE}"]


def test_where_none_has_it_each_reason_is_said(server, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(tmp_path / "out", f"{server.url}/none?key=secret", f"{server.url}/short")
    text = str(caught.value)
    assert "404" in text
    assert "should have 40,000" in text
    assert "127.0.0.1:9" in text
    assert "--mirror" in text
    assert "secret" not in text
    assert text.count("\n") == 1
    assert not (tmp_path / "out" / FILE).exists()


def test_what_can_not_be_is_said_before_anything_is_asked(server, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    good = f"{server.url}/good"
    with pytest.raises(DataError, match=r"no release 'cifar10'; the nearest is 'cifar-10'.*\n.*kaggle:COMPETITION"):
        download_release("cifar10", out)
    with pytest.raises(DataError, match="http:// and https://"):
        fetch(out, "ftp://example.org/x")
    (out / FILE).write_bytes(b"mine")
    with pytest.raises(DataError, match="isn't what is meant"):
        fetch(out, good)
    assert (out / FILE).read_bytes() == b"mine"
    (out / FILE).unlink()
    with FileLock(out / f".{FILE}.lock"), pytest.raises(StorageError, match="another process"):
        fetch(out, good)
    monkeypatch.setattr(releases.shutil, "disk_usage", lambda _: SimpleNamespace(free=39_999))
    with pytest.raises(StorageError, match="has room for 0 MB"):
        fetch(out, good)
    (out / f".{FILE}.part").write_bytes(CONTENT[:1])  # a byte less is needed
    assert fetch(out, good).read_bytes() == CONTENT
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be written"):
        fetch(tmp_path / "file" / "out", good)
