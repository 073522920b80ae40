import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from webserver import serving

from podium.data import http, shard_cache
from podium.data.encoded import Files
from podium.data.shard_cache import Origin, ensure, is_plain_name
from podium.errors import ArchiveError, StorageError

NAMES = [f"s-{number}.tar" for number in range(4)]
SIZE = 10_000


def content(number):
    return np.random.default_rng(number).bytes(SIZE)


@pytest.fixture
def web(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(shard_cache, "_touched", {})
    monkeypatch.setattr(shard_cache, "COMING_SECONDS", 0.0)
    folder = tmp_path / "www"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(content(number))
    with serving(folder) as server:
        server.cache = cache.root / "shards"
        yield server


def origin(web, number, **changes):
    data = (web.folder / NAMES[number]).read_bytes()
    told = {"url": f"{web.url}/{NAMES[number]}", "num_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return Origin(**told | changes)


def get(web, number, **changes):
    one = origin(web, number, **changes)
    path = one.path(NAMES[number])
    ensure(str(path), one.encoded())
    return path


def kept(web):
    return sorted(path.name for path in web.cache.glob("*/*"))


def files(web, checks=None):
    """Four images, each the second half of a shard."""
    origins = [origin(web, number) for number in range(4)]
    return Files(
        np.array([os.fsencode(one.path(name)) for one, name in zip(origins, NAMES, strict=True)]),
        np.arange(4, dtype=np.int32),
        np.full(4, SIZE // 2, np.int64),
        np.full(4, SIZE // 2, np.int64),
        np.array([b"a.png", b"b.png", b"c.png", b"d.png"]),
        checks=checks,
        origins=np.array([one.encoded() for one in origins]),
    )


def test_a_shard_is_fetched_once(web):
    for _ in range(3):
        assert get(web, 0).read_bytes() == content(0)
    assert len(web.gets(NAMES[0])) == 1
    assert kept(web) == [NAMES[0]]


def test_what_was_cut_is_continued(web):
    web.faults[NAMES[0]] = [3000]
    assert get(web, 0).read_bytes() == content(0)
    assert web.gets(NAMES[0]) == [None, "bytes=3000-"]


def test_a_wrong_checksum_is_an_error_that_names_the_shard(web):
    with pytest.raises(ArchiveError, match=r"s-1\.tar: damaged, its SHA-256"):
        get(web, 1, sha256="0" * 64)
    assert kept(web) == []


def test_halves_of_two_files_are_fetched_anew(web):
    one = origin(web, 0)
    part = one.path(NAMES[0]).with_name(f"{NAMES[0]}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 4000)
    assert get(web, 0).read_bytes() == content(0)
    assert web.gets(NAMES[0]) == ["bytes=4000-", None]


def test_another_content_is_another_shard(web):
    first = get(web, 0)
    (web.folder / NAMES[0]).write_bytes(content(9))
    assert get(web, 0).read_bytes() == content(9)
    assert first.read_bytes() == content(0)


def test_the_longest_unused_make_room(web, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE_BYTES", f"{2.5 * SIZE:.0f}")
    for number, when in ((0, 100), (1, 50)):
        os.utime(get(web, number), (when, when))
    get(web, 2)
    assert kept(web) == [NAMES[0], NAMES[2]]
    shard_cache._touched.clear()
    get(web, 0)  # asked for, and so not the next to go
    os.utime(origin(web, 2).path(NAMES[2]), (60, 60))
    get(web, 3)
    assert kept(web) == [NAMES[0], NAMES[3]]


def test_a_limit_below_a_shard_is_said(web, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE_BYTES", "5K")
    with pytest.raises(StorageError, match=r"10,000 bytes, more than PODIUM_CACHE_BYTES allows \(5,000\)"):
        get(web, 0)
    monkeypatch.setenv("PODIUM_CACHE_BYTES", "much")
    with pytest.raises(StorageError, match="such as 50G"):
        get(web, 0)


def test_a_full_disk_makes_room_and_then_is_said(web, monkeypatch):
    free = [SIZE // 2]
    get(web, 0)
    monkeypatch.setattr(shard_cache.shutil, "disk_usage", lambda _: type("", (), {"free": free[0]}))
    with pytest.raises(StorageError, match=r"room for 5,000\.\nMake room"):
        get(web, 1)
    assert kept(web) == []
    free[0] = 10**12
    assert get(web, 1).exists()


def test_images_are_fetched_when_they_are_read(web):
    found = pickle.loads(pickle.dumps(files(web)))
    assert kept(web) == []
    assert found.read(2) == content(2)[SIZE // 2 :]
    assert kept(web) == [NAMES[2]]
    assert found.take(np.array([3, 1])).read(1) == content(1)[SIZE // 2 :]
    assert found.where(1) == "s-1.tar: b.png"


def test_they_are_found_whatever_is_thrown_out_meanwhile(web, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE_BYTES", f"{SIZE}")
    found = files(web)
    for row in (0, 1, 2, 3, 0, 2):
        assert found.read(row) == content(row)[SIZE // 2 :]
    assert len(kept(web)) == 1


def test_what_rots_in_the_cache_is_fetched_once_more(web):
    checks = np.array([zlib_crc32(content(number)[SIZE // 2 :]) for number in range(4)], np.uint32)
    found = files(web, checks)
    assert found.read(0) == content(0)[SIZE // 2 :]
    for damage in (b"x" * SIZE, b"short"):
        Path(found.path(0)).write_bytes(damage)
        assert found.read(0) == content(0)[SIZE // 2 :]
    assert len(web.gets(NAMES[0])) == 3


def test_wrong_checksums_of_images_are_an_error(web):
    found = files(web, np.zeros(4, np.uint32))
    with pytest.raises(ArchiveError, match=r"s-0\.tar: a\.png is damaged"):
        found.read(0)


def test_a_server_that_fails_makes_no_image_a_bad_one(web):
    found = files(web)
    (web.folder / NAMES[0]).unlink()
    with pytest.raises(StorageError, match=r"s-0\.tar: the server says 404"):
        found.read(0)


def test_some_images_of_few_shards_stand_for_all(web):
    found = files(web).take(np.repeat(np.arange(4), 25))
    assert found.spread(1000).tolist() == list(range(100))
    assert found.spread(30).max() < 50
    assert len(found.spread(30)) == 30
    assert Files(**{name: array for name, array in found.arrays().items() if name != "origins"}).spread(5).tolist() == [
        0,
        24,
        49,
        74,
        99,
    ]


def zlib_crc32(data):
    import zlib

    return zlib.crc32(data)


def test_processes_of_one_machine_fetch_it_once(web):
    code = (
        "import sys; from podium.data.shard_cache import ensure, Origin\n"
        "sys.stdin.readline(); ensure(sys.argv[1], sys.argv[2].encode())"
    )
    one = origin(web, 0)
    words = [sys.executable, "-c", code, str(one.path(NAMES[0])), one.encoded().decode()]
    web.faults[NAMES[0]] = ["slow"]
    web.released.clear()
    processes = [subprocess.Popen(words, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    from webserver import wait_for

    wait_for(lambda: web.gets(NAMES[0]))
    web.released.set()
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    for process in processes:
        process.stdin.close()
    assert len(web.gets(NAMES[0])) == 1
    assert one.path(NAMES[0]).read_bytes() == content(0)


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/x", "", ".x", "..", "x\n", "x\0", "a\\b", "x.part", "n" * 201, "C:x"]
)
def test_names_that_lead_elsewhere(name):
    assert not is_plain_name(name)
    assert is_plain_name("train-000000.tar")
