"""Packs in the cache that aren't what was packed: never taken for whole, always made anew."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import podium.data
from podium.data import image_index, store


@pytest.fixture
def opened(competition, cache):
    """A competition that has been opened, its pack of training images, and what they are."""
    folder = competition()
    images = podium.data.open(folder).train
    place = next(path for path in cache.root.glob("packs/*") if len(json.loads((path / "ids.json").read_text())) == 12)
    return folder, place, np.array(images.pixels)


def header(text):
    """A .npy file that says so of itself."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


DAMAGE = {
    "pixels.npy": [
        header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 8, 8"),  # TokenError
        header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % 10**30),  # OverflowError
        header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (12, 1, 1, 3), }") + bytes(144),
        header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 4, 16, 3), }") + bytes(2304),
        b"PK\x05\x06" + bytes(18),  # an empty .npz
        b"",
    ],
    "ids.json": [b"[" * 100_000, b"{}", b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]", b'"abcdefghijkl"'],
    "pack.json": [b"[]", b'{"fingerprint": 1}', b'{"fingerprint": "0", "facts": 3}'],
    "hashes.npy": [b"", header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (12, 32), }") + bytes(384)],
}


@pytest.mark.parametrize(("name", "content"), [(name, one) for name, some in DAMAGE.items() for one in some])
def test_a_damaged_file_of_a_pack_is_noticed(opened, name, content):
    folder, place, pixels = opened
    (place / name).write_bytes(content)
    again = podium.data.open(folder).train
    assert np.array_equal(again.pixels, pixels)
    assert again.ids.tolist() == [str(i) for i in range(1, 13)]
    assert store._read(place) is not None


def test_ids_that_were_changed_are_noticed(opened):
    _, place, _ = opened
    text = (place / "ids.json").read_text()
    (place / "ids.json").write_text(text.replace('"12"', '"13"'))
    assert store._read(place) is None


def test_without_hashes_a_pack_serves_still(opened):
    folder, place, pixels = opened
    (place / "hashes.npy").unlink()
    assert np.array_equal(podium.data.open(folder).train.pixels, pixels)
    assert not (place / "hashes.npy").exists()  # it wasn't made anew


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(DAMAGE)), st.data())
def test_a_pack_cut_or_flipped_anywhere_is_read_as_it_was_or_not_at_all(opened, name, data):
    _, place, pixels = opened
    whole = (place / name).read_bytes()
    at = data.draw(st.integers(0, min(len(whole) - 1, 127)))  # of pixels.npy: the header
    bit = data.draw(st.integers(-1, 7))
    damaged = whole[:at] if bit < 0 else whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    (place / name).write_bytes(damaged)
    try:
        found = store._read(place)
    finally:
        (place / name).write_bytes(whole)
    if found is not None:
        assert found.pixels.shape == pixels.shape
        assert found.ids == [str(i) for i in range(1, 13)]


def test_a_damaged_index_of_images_is_none(tmp_path):
    place = tmp_path / "index"
    assert image_index._read(place) is None
    (place / "all").mkdir(parents=True)
    (place / "index.json").write_text('{"all": [[], 0]}')
    for name in (*image_index.COLUMNS, "containers"):
        (place / "all" / f"{name}.npy").write_bytes(DAMAGE["pixels.npy"][0])
    assert image_index._read(place) is None
    (place / "index.json").write_text("[" * 100_000)
    assert image_index._read(place) is None
    shutil.rmtree(place)
