"""Parcels: what is unpacked is what was packed, whatever the order."""

import numpy as np
import parcel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.split import labelled

import podium


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_differences_can_be_summed(seed, num_images, height, width):
    pixels = np.random.default_rng(seed).integers(0, 256, (num_images, height, width, 3), np.uint8)
    assert np.array_equal(parcel._summed(parcel._differences(pixels)), pixels)


def test_parts_may_come_one_by_one_and_in_any_order(tiny_competition, tmp_path, capsys):
    parcel.pack(tiny_competition, tmp_path / "parts", 3)
    files = sorted((tmp_path / "parts").iterdir())
    assert len(files) == 3
    assert not parcel.unpack([files[2]], tmp_path / "data")
    assert "without part 0, 1" in capsys.readouterr().out
    assert parcel.unpack([files[1], files[0]], tmp_path / "data")
    there, wanted = labelled(tmp_path / "data"), podium.open(tiny_competition).train
    assert np.array_equal(there.pixels, wanted.pixels)
    assert np.array_equal(there.labels, wanted.labels)
    assert there.classes == wanted.classes


def test_parts_of_two_packings_do_not_pass_for_one(tiny_competition, tmp_path):
    parcel.pack(tiny_competition, tmp_path / "one", 2)
    parcel.unpack([tmp_path / "one" / "part-0.parcel"], tmp_path / "data")
    np.load(tmp_path / "data" / "pixels.npy", mmap_mode="r+")[0, 0, 0, 0] += 1
    with pytest.raises(SystemExit, match="isn't what was packed"):
        parcel.unpack([tmp_path / "one" / "part-1.parcel"], tmp_path / "data")
