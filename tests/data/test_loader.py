"""The loader: the pixels asked for, in order, however many decode them; and nobody dies in silence."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photos import photo, write_files
from webserver import serving

from podium.data import loader as loader_module
from podium.data.encoded import decoded
from podium.data.fit import centred
from podium.data.loader import Loader
from podium.data.random_crop import RandomCrop
from podium.data.shard_cache import Origin
from podium.errors import LoaderError, StorageError

SIZE = (24, 32)
CROP = RandomCrop(0.2, 1.5, 7)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    sizes = [(60, 80), (90, 40), (33, 37), (200, 300)]
    contents = [photo(number, sizes[number % 4]) for number in range(24)]
    contents[6] = contents[6][:500]
    contents[7] = b"no image at all"
    return write_files(tmp_path_factory.mktemp("photos"), contents)


def load(files, batches, **options):
    """The pixels of each batch, and what was bad in it; batches are pairs of rows and epoch."""
    given = []
    with Loader(files, SIZE, batch_size=8, **{"crop": CROP, "num_workers": 2, **options}) as loader:
        asked = 0
        for key in range(len(batches)):
            while asked < len(batches) and loader.has_room:
                rows, epoch = batches[asked]
                loader.ask(asked, np.array(rows), epoch)
                asked += 1
            loaded = loader.take(key)
            given.append((loaded.pixels.copy(), loaded.bad))
            loader.release(key)
    return given


BATCHES = [([3, 1, 2, 0, 22, 21, 8, 3], 0), ([10, 11], 0), ([3, 3, 4, 5, 9, 12, 13, 14], 1)] + [
    ([15 + step % 8, 23], step) for step in range(8)
]


def test_batches_come_in_order_with_the_pixels_of_direct_decoding(files):
    for (rows, epoch), (pixels, bad) in zip(BATCHES, load(files, BATCHES), strict=True):
        assert not bad
        wanted = [decoded(files, row, SIZE, CROP, epoch) for row in rows]
        assert np.array_equal(pixels, wanted)
    for (rows, _), (pixels, _) in zip(BATCHES, load(files, BATCHES, crop=None, num_workers=1), strict=True):
        assert np.array_equal(pixels, [centred(files.read(row), "", SIZE) for row in rows])


def test_the_same_pixels_whatever_the_number_of_workers_and_slots_and_wherever_it_begins(files):
    one = load(files, BATCHES, num_workers=1, num_slots=1)
    two = load(files, BATCHES, num_workers=2, num_slots=5)
    later = load(files, BATCHES[2:], num_workers=1)
    for (some, _), (others, _) in zip([*one, *one[2:]], [*two, *later], strict=True):
        assert np.array_equal(some, others)
    assert np.array_equal(one[0][0][0], one[0][0][7]), "the same image in one epoch"
    assert not np.array_equal(one[0][0][0], one[2][0][0]), "and in another one"


def test_bad_images_are_named_and_the_others_are_there(files):
    ((pixels, bad),) = load(files, [([5, 6, 7, 8], 0)], num_workers=1)
    assert bad.keys() == {1, 2}
    assert "6.jpg" in bad[1]
    assert "7.jpg" in bad[2]
    assert np.array_equal(pixels[[0, 3]], [decoded(files, row, SIZE, CROP, 0) for row in (5, 8)])


def test_a_file_that_is_gone_is_named(tmp_path):
    files = write_files(tmp_path / "photos", [photo(0), photo(1), photo(2)])
    Path(files.path(2)).unlink()
    ((_, bad),) = load(files, [([0, 2], 0)], num_workers=1)
    assert "2.jpg" in bad[1]
    assert "No such file" in bad[1]


def ask_again_and_again(loader):
    for key in range(1, 1000):
        loader.ask(key, np.arange(4), 0)
        loader.take(key)
        loader.release(key)


def test_a_killed_worker_is_named_at_once(files):
    with Loader(files, SIZE, batch_size=8, num_workers=2) as loader:
        loader.ask(0, np.arange(4), 0)
        loader.take(0)
        killed = loader._workers._processes[1]
        os.kill(killed.pid, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(LoaderError, match=rf"process {killed.pid}\) was killed by SIGKILL"):
            ask_again_and_again(loader)
        assert time.monotonic() - began < 60
        others = list(loader._workers._processes)
    assert all(process.poll() is not None for process in others)


def test_workers_that_say_nothing_are_noticed(files, monkeypatch):
    monkeypatch.setattr(loader_module, "_PATIENCE_SECONDS", 0.05)
    with Loader(files, SIZE, batch_size=8, num_workers=1) as loader:
        os.kill(loader._workers._processes[0].pid, signal.SIGSTOP)
        loader.ask(0, np.arange(4), 0)
        with pytest.raises(LoaderError, match="said nothing"):
            loader.take(0)


def test_workers_that_cannot_begin_are_an_error(files, monkeypatch):
    monkeypatch.setattr(loader_module, "_PROGRAM", "import sys; sys.exit(3)")
    with Loader(files, SIZE, batch_size=8, num_workers=2) as loader, pytest.raises(LoaderError, match="status 3"):
        ask_again_and_again(loader)


PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
sys.path.insert(0, {tests!r})
import numpy as np
from pathlib import Path
from photos import photo, write_files
from podium.data.loader import Loader
files = write_files(Path({folder!r}), [photo(0), photo(1)])
loader = Loader(files, (24, 32), batch_size=2, num_workers=1)
loader.ask(0, np.arange(2), 0)
loader.take(0)
print(*[process.pid for process in loader._workers._processes], flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shows where it lies on Linux")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_a_killed_parent(tmp_path, number):
    before = set(Path("/dev/shm").iterdir())
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "photos"))
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers live on"
        time.sleep(0.02)
    while not set(Path("/dev/shm").iterdir()) <= before:  # another test's, run beside this one, go in time
        assert time.monotonic() < deadline, "shared memory is left"
        time.sleep(0.02)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_what_cant_be_fetched_is_said_as_that(files, tmp_path):
    with serving(tmp_path) as web:
        origin = Origin(f"{web.url}/shard.tar", 1000)
        count = len(files.containers)
        gone = replace(
            files,
            containers=np.array([str(origin.path("shard.tar")).encode()] * count),
            origins=np.array([origin.encoded()] * count),
        )
        with Loader(gone, SIZE, batch_size=4, num_workers=1) as loader:
            loader.ask(0, np.arange(4), 0)
            with pytest.raises(StorageError, match=r"shard\.tar"):
                loader.take(0)
