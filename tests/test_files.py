import errno
import os

import pytest

from podium.errors import StorageError
from podium.files import write_atomically


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "one")
    write_atomically(path, b"two")
    assert path.read_text() == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, "good")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_atomically(path, "half")
    assert str(path) in str(caught.value)
    assert path.read_text() == "good"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(StorageError, match="another folder"):
        write_atomically(tmp_path / "no" / "a.txt", "x")


def test_what_a_killed_process_left_is_taken_away_when_it_is_old(tmp_path):
    old, new, other = (tmp_path / name for name in (".a.txt.17.part", ".a.txt.18.part", ".b.txt.17.part"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    write_atomically(tmp_path / "a.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.txt.18.part", ".b.txt.17.part", "a.txt"]
