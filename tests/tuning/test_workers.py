"""Whether a worker is still there: by its lock on the same machine, else by its beats."""

import threading

import pytest
from filelock import FileLock

from podium.errors import StorageError
from podium.tuning import workers
from podium.tuning.workers import STALE_SECONDS, Worker


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_lock_that_is_held_means_alive_and_one_that_is_free_means_gone(tmp_path, clock):
    one, other = Worker(tmp_path, clock), Worker(tmp_path, clock)
    for _ in range(3):
        clock.now += STALE_SECONDS  # a worker that is held up isn't gone
        assert not one.is_gone(7, other.attributes)
    other._lock.release()  # as the system does when a process is killed
    assert one.is_gone(7, other.attributes)
    one.bury(other.id)
    assert [path.stem for path in (tmp_path / "workers").iterdir()] == [one.id]
    one.close()


def test_of_another_machine_the_beats_count_by_the_watchers_own_clock(tmp_path, clock):
    worker = Worker(tmp_path, clock)
    theirs = {"worker": "abc", "host": "elsewhere"}
    assert not worker.is_gone(3, theirs)
    clock.now = STALE_SECONDS
    assert not worker.is_gone(3, theirs | {"beat": 1})  # it has beaten since
    clock.now += STALE_SECONDS
    assert not worker.is_gone(3, theirs | {"beat": 1})
    clock.now += 1
    assert worker.is_gone(3, theirs | {"beat": 1})
    assert not worker.is_gone(4, theirs)  # another trial, seen for the first time
    worker.close()


def test_a_trial_that_nobody_has_marked_yet_is_given_time(tmp_path, clock):
    worker = Worker(tmp_path, clock)
    assert not worker.is_gone(3, {})
    clock.now = STALE_SECONDS + 1
    assert worker.is_gone(3, {})
    worker.close()


def test_a_name_that_is_no_workers_reaches_no_file(tmp_path, clock):
    worker = Worker(tmp_path / "study", clock)
    precious = tmp_path / "study" / "x.lock"
    precious.write_text("")
    worker.bury("../x")
    assert precious.exists()
    assert not worker.is_gone(3, {"worker": "../x", "host": worker.host})
    worker.close()


def test_it_beats_as_long_as_it_works_and_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "BEAT_SECONDS", 0.001)
    worker, seen, enough = Worker(tmp_path), [], threading.Event()

    def beat(number):
        seen.append(number)
        if number == 2:
            raise ConnectionError("now and then")
        if number == 4:
            enough.set()

    with worker.beating(beat):
        assert enough.wait(60)
    assert seen[:4] == [1, 2, 3, 4]
    assert not [thread for thread in threading.enumerate() if thread.name == "beat"]
    worker.close()


def test_its_lock_is_free_and_gone_when_it_leaves(tmp_path):
    worker = Worker(tmp_path)
    path = tmp_path / "workers" / f"{worker.id}.lock"
    assert path.exists()
    worker.close()
    assert not path.exists()
    with FileLock(path, timeout=0):
        pass


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Worker(tmp_path / "file")
