"""Images taken while they are read; and reading many without keeping their memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import podium.data
from podium.data import Images, packing
from podium.errors import ImageError


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(packing, "BATCH_FILES", 2)


@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar", ""])
def test_a_first_opening_gives_each_row_once_and_leaves_the_pack(kind, competition, cache, monkeypatch):
    dataset = podium.data.open(competition(kind))
    stream = dataset.stream_test(500)
    assert stream is not None
    assert len(stream) == 5
    assert stream.ids.tolist() == ["1", "2", "3", "4", "5"]
    assert stream.labels is None
    batches = list(stream.batches)
    assert [len(rows) for rows, _ in batches] == [2, 2, 1]
    rows, pixels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(packing, "decode_all", None)  # would fail if it were called
    test = stream.images()
    assert test is dataset.test
    np.testing.assert_array_equal(test.pixels[rows], pixels)
    again = podium.data.open(dataset.path).stream_test(3)
    assert again is not None
    assert [rows.tolist() for rows, _ in again.batches] == [[0, 1, 2], [3, 4]]


def test_nothing_is_left_of_a_stream_that_is_closed(competition, cache):
    dataset = podium.data.open(competition())
    stream = dataset.stream_test(500)
    assert stream is not None
    next(stream.batches)
    assert len(cache.packs()) == 1
    stream.batches.close()
    assert cache.packs() == []
    assert dataset.test is not None  # the lock is free
    assert len(cache.packs()) == 1


def test_a_fault_comes_when_its_batch_is_taken_and_leaves_nothing(competition, cache, write_archive, png):
    folder = competition(".zip")
    images = {f"test/{i}.png": png(i) if i != 5 else b"no image" for i in range(1, 6)}
    write_archive(folder / "test.zip", images)
    stream = podium.data.open(folder).stream_test(500)
    assert stream is not None
    next(stream.batches)
    with pytest.raises(ImageError, match=r"test\.zip: member 'test/5\.png'"):
        list(stream.batches)
    assert cache.packs() == []


@given(count=st.integers(0, 20), size=st.integers(1, 7), seed=st.integers(0, 9))
def test_batches_are_the_rows_asked_for(count, size, seed):
    rng = np.random.default_rng(seed)
    images = Images(rng.integers(0, 256, (20, 2, 2, 3), np.uint8), None, np.arange(20).astype(str), ())
    rows = rng.permutation(20)[:count]
    found = list(images.batches(size, rows))
    assert all(len(some) == size for some, _ in found[:-1])
    assert [row for some, _ in found for row in some.tolist()] == rows.tolist()
    for some, pixels in found:
        np.testing.assert_array_equal(pixels, images.pixels[some])
    assert sum(len(some) for some, _ in images.batches(size)) == 20


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096


def test_what_has_been_read_of_a_map_is_given_back(tmp_path):
    try:
        resident_bytes()
    except OSError:
        pytest.skip("tells its memory in another way")
    path = tmp_path / "pixels.npy"
    np.save(path, np.ones((100_000, 32, 32, 3), np.uint8))  # 307 MB
    images = Images(np.load(path, mmap_mode="r"), None, np.arange(100_000).astype(str), ())
    before, most, total = resident_bytes(), 0, 0
    for _, pixels in images.batches(1000):
        total += int(pixels[:, 0, 0, 0].sum())
        most = max(most, resident_bytes() - before)
    assert total == 100_000
    assert most < 100_000_000
