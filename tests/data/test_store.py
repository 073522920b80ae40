import errno
import hashlib
import signal
import subprocess
import sys
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import podium.data
from podium.data import cache as cache_module
from podium.data import packing
from podium.data import progress as progress_module
from podium.data.packing import natural_order
from podium.errors import ArchiveError, StorageError

OPEN = "import sys, podium.data; print(podium.data.open(sys.argv[1]).train.pixels.sum())"
OPEN_SLOWLY = """
import pathlib, sys, time, podium.data
from podium.data import packing
whole = packing.decode_all
def slow(*args):
    for count, pixels in enumerate(whole(*args), 1):
        print("decoding", count, flush=True)
        while count == 6 and not pathlib.Path(sys.argv[2]).exists():
            time.sleep(0.01)
        yield pixels
packing.decode_all = slow
progress = lambda what, done, total: print(what, flush=True)
print(podium.data.open(sys.argv[1], progress=progress).train.pixels.sum())
"""


def start(code, *args):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the members decoded so far."""
    names: list[str] = []

    def spy(files, wheres, image_size):
        wheres = list(wheres)
        names.extend(wheres)
        return whole(files, wheres, image_size)

    whole = packing.decode_all
    monkeypatch.setattr(packing, "decode_all", spy)
    return names


def test_second_opening_decodes_nothing(competition, cache, decoded):
    folder = competition()
    first = podium.data.open(folder).train
    assert len(decoded) == 12
    second = podium.data.open(folder).train
    assert len(decoded) == 12
    assert isinstance(second.pixels, np.memmap)
    assert not second.pixels.flags.writeable
    np.testing.assert_array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("kind", [".7z", ""])
def test_changed_images_are_noticed(kind, competition, png, cache, monkeypatch):
    monkeypatch.setattr("podium.data.cache.SETTLED_NS", 0)  # so that the hash is remembered
    folder = competition(kind)
    before = podium.data.open(folder)
    fingerprint, pixels = before.fingerprint, before.train.pixels.copy()
    changed = {f"train/{i}.png": png(i + (i == 7) * 50) for i in range(1, 13)}
    after = podium.data.open(competition(kind, train=changed))
    assert after.fingerprint != fingerprint
    assert np.flatnonzero((after.train.pixels != pixels).any((1, 2, 3))).tolist() == [6]


def test_changed_labels_are_noticed_and_nothing_is_decoded_again(competition, cache, decoded):
    folder = competition()
    before = podium.data.open(folder)
    fingerprint = before.fingerprint
    (folder / "trainLabels.csv").write_text("id,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(1, 13)))
    after = podium.data.open(folder)
    assert after.train.classes == ("a", "b")
    assert after.fingerprint != fingerprint
    assert len(decoded) == 12


def test_hash_is_remembered_only_once_the_file_has_settled(competition, cache, monkeypatch):
    folder = competition()
    podium.data.open(folder).train  # noqa: B018
    assert not list(cache.root.glob("hashes/*"))
    monkeypatch.setattr("podium.data.cache.SETTLED_NS", 0)
    podium.data.open(folder).train  # noqa: B018
    assert len(list(cache.root.glob("hashes/*"))) == 1
    monkeypatch.setattr(cache_module, "_sha256", None)  # would fail if it were called
    assert len(podium.data.open(folder).train) == 12


@pytest.mark.parametrize("name", ["pixels.npy", "ids.json", "pack.json"])
@pytest.mark.parametrize("damage", ["short", "missing"])
def test_damaged_pack_is_built_again(name, damage, competition, cache, decoded):
    folder = competition()
    expected = podium.data.open(folder).train.pixels.copy()
    (path,) = cache.root.glob(f"packs/*/{name}")
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        path.unlink()
    np.testing.assert_array_equal(podium.data.open(folder).train.pixels, expected)
    assert len(decoded) == 24
    assert len(cache.packs()) == 1


def test_kill_half_way_leaves_nothing_that_is_taken_for_whole(competition, cache, decoded):
    folder = competition()
    process = start(OPEN_SLOWLY, folder, "never")
    assert process.stdout is not None
    while process.stdout.readline() != "decoding 6\n":
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [name[0] for name in cache.packs()] == ["."]  # a half-built one
    assert len(podium.data.open(folder).train) == 12
    assert len(decoded) == 12
    assert len(cache.packs()) == 1
    assert not cache.packs()[0].startswith(".")


def test_second_of_two_processes_waits_and_uses_the_firsts(competition, cache, tmp_path):
    folder = competition()
    first = start(OPEN_SLOWLY, folder, tmp_path / "go")
    assert first.stdout is not None
    while first.stdout.readline() != "decoding 6\n":
        pass
    second = start(OPEN_SLOWLY, folder, tmp_path / "go")
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting for another process that is reading train.7z\n"
    (tmp_path / "go").touch()
    out_first, out_second = first.communicate()[0].split("\n"), second.communicate()[0].split("\n")
    assert len(out_second) == 2  # the sum and the end: it decoded nothing
    assert out_first[-2] == out_second[-2]
    assert first.returncode == second.returncode == 0
    assert len(cache.packs()) == 1


def test_many_processes_at_once(competition, cache):
    folder = competition()
    processes = [start(OPEN, folder) for _ in range(4)]
    assert len({process.communicate()[0] for process in processes}) == 1
    assert [process.returncode for process in processes] == [0] * 4
    assert len(cache.packs()) == 1


def test_cache_that_cannot_be_written(competition, cache):
    cache.root.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="PODIUM_CACHE"):
        podium.data.open(competition()).train  # noqa: B018


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_full_disk(competition, cache):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n{OPEN}"
    process = subprocess.run(
        [sys.executable, "-c", limited, competition()], capture_output=True, text=True, check=False
    )
    assert "podium.errors.StorageError: The cache" in process.stderr
    assert cache.packs() == []


MOMENTS = ["hashing", "listing", "decoding"]


@pytest.fixture
def meddle(monkeypatch):
    """A progress that calls `what` at the test's moment; for hashing, right after it, and for decoding, within."""

    def install(moment, what):
        def after(whole):
            def wrapper(*args):
                result = whole(*args)
                what()
                return result

            return wrapper

        if moment == "hashing":
            monkeypatch.setattr(cache_module, "_sha256", after(cache_module._sha256))
        if moment == "decoding":
            monkeypatch.setattr(packing, "decode_all", after(packing.decode_all))
        return lambda says, done, total: what() if moment == "listing" and says.startswith("listing") else None

    return install


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", [".7z", ""])
def test_archive_that_grows_while_it_is_read(kind, moment, competition, png, cache, meddle):
    if kind == "" and moment == "hashing":
        pytest.skip("a folder isn't hashed")
    folder = competition(kind)

    def grow():
        path = folder / (f"train{kind}" if kind else "train/train/7.png")
        with path.open("ab") as file:
            file.write(b"x")

    with pytest.raises(ArchiveError, match=rf"train{kind}: was changed while it was read"):
        podium.data.open(folder, progress=meddle(moment, grow)).train  # noqa: B018
    assert cache.packs() == []


def test_hash_of_a_file_that_grows_meanwhile_is_not_remembered(competition, cache, meddle, monkeypatch):
    monkeypatch.setattr(cache_module, "SETTLED_NS", -(10**18))
    path = competition() / "train.7z"

    def grow():
        with path.open("ab") as file:
            file.write(b"x")

    meddle("hashing", grow)
    cache_module.content_hash(path)
    monkeypatch.undo()
    monkeypatch.setenv("PODIUM_CACHE", str(cache.root))
    assert cache_module.content_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar", "outer.zip", ""])
def test_source_that_vanishes_is_not_the_caches_fault(kind, moment, competition, cache, tmp_path, meddle):
    if kind == "" and moment == "hashing":
        pytest.skip("a folder isn't hashed")
    folder = competition(".7z" if kind == "outer.zip" else kind)
    source = folder / f"train{kind}"
    if kind == "outer.zip":
        source = tmp_path / "outer.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        folder = source

    def remove():
        if source.exists():
            source.rename(tmp_path / "gone")

    with pytest.raises(ArchiveError, match=rf"^{source.name}.*can't be read"):
        podium.data.open(folder, progress=meddle(moment, remove)).train  # noqa: B018
    assert cache.packs() == []


def test_read_error_of_an_archives_thread_is_not_the_caches_fault(competition, cache, monkeypatch):
    def fail(self, block, sink):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("podium.data.sevenzip.SevenZipArchive._read_block", fail)
    with pytest.raises(ArchiveError, match=r"^train\.7z: can't be read \(Input/output error\)"):
        podium.data.open(competition()).train  # noqa: B018


def test_progress_of_hashing_and_unpacking(competition, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(progress_module, "TICK_SECONDS", 0)
    folder = competition()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        archive.writestr("other", bytes(3_500_000))
    monkeypatch.setattr("podium.data.origin.MEGABYTE", 100)  # the inner archive is small
    calls = []
    podium.data.open(tmp_path / "all.zip", progress=lambda *call: calls.append(call)).train  # noqa: B018
    hashing = [(done, total) for what, done, total in calls if what == "hashing all.zip, in MB"]
    assert hashing == [(1, 3), (2, 3), (3, 3), (3, 3)]
    size = (folder / "train.7z").stat().st_size // 100
    assert ("unpacking all.zip/train.7z, in MB", size, size) in calls
    assert [what.split()[0] for what, _, _ in calls[4:7]] == ["listing", "unpacking", "reading"]


def test_inner_archive_needs_room_first(competition, cache, tmp_path, monkeypatch):
    folder = competition()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    size = (folder / "train.7z").stat().st_size
    monkeypatch.setattr("podium.data.origin.shutil.disk_usage", lambda path: SimpleNamespace(free=size - 1))
    monkeypatch.setattr("podium.data.origin.zip_pieces", None)  # would fail if it were called
    with pytest.raises(StorageError, match=rf"^all\.zip/train\.7z .* {size:,} bytes.* {size - 1:,}\.\n.*PODIUM_CACHE"):
        podium.data.open(tmp_path / "all.zip").train  # noqa: B018


def test_a_cache_without_a_home(competition, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", "~no-such-user/cache")
    with pytest.raises(StorageError, match="Set PODIUM_CACHE"):
        podium.data.open(competition()).train  # noqa: B018


def test_interrupt_leaves_nothing(competition, cache, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, "decode_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        podium.data.open(competition()).train  # noqa: B018
    assert cache.packs() == []


def test_progress_reaches_the_total(competition, cache, monkeypatch):
    monkeypatch.setattr(progress_module, "TICK_SECONDS", 0)
    monkeypatch.setattr(packing, "BATCH_FILES", 1)
    calls = []
    podium.data.open(competition(), progress=lambda *call: calls.append(call)).train  # noqa: B018
    assert calls[0] == ("listing train.7z", 0, 0)
    assert [done for what, done, total in calls if what == "reading train.7z"] == [*range(1, 13)]
    assert {total for what, done, total in calls[1:]} == {12}


def test_natural_order():
    def ordered(names):
        return [names[i] for i in natural_order(names)]

    assert ordered(["10", "9", "1", "01"]) == ["01", "1", "9", "10"]
    assert ordered(["img10", "img9", "a", "img9b", "10", "9x"]) == ["9x", "10", "a", "img9", "img9b", "img10"]
    assert sorted(ordered(["9" * 5000, "²", "8" * 5000])) == sorted(["9" * 5000, "²", "8" * 5000])  # no number so long


def test_the_room_does_not_import_torch():
    code = "import sys, podium.data; sys.exit('torch' in sys.modules or 'py7zr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_competition(real_cifar10, cache):
    start = time.perf_counter()
    train = podium.data.open(real_cifar10).train
    first = time.perf_counter() - start
    assert train.pixels.shape == (50_000, 32, 32, 3)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert train.ids[[0, 9, 49_999]].tolist() == ["1", "10", "50000"]
    assert [train.classes[label] for label in train.labels[:3]] == ["frog", "truck", "truck"]
    mean = train.pixels.reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(mean, (0.4914, 0.4822, 0.4465), atol=1e-4)
    start = time.perf_counter()
    again = podium.data.open(real_cifar10).train
    second = time.perf_counter() - start
    assert again.ids[-1] == "50000"
    assert second < first / 3  # it doesn't read the archive anew; bench/opening.py holds the figures
