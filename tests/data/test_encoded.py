"""Pixels that look like an array, and are decoded when they are taken."""

import numpy as np
import pytest
from photos import photo, write_files

from podium.data import Images
from podium.data.bad_images import BadImages
from podium.data.encoded import EncodedPixels
from podium.data.fit import centred
from podium.data.random_crop import RandomCrop
from podium.errors import ImageError

SIZE = (16, 24)


@pytest.fixture(scope="module")
def contents():
    return [photo(number, (30 + number, 50)) for number in range(11)]


@pytest.fixture(scope="module")
def pixels(contents, tmp_path_factory):
    return EncodedPixels(write_files(tmp_path_factory.mktemp("photos"), contents), SIZE)


@pytest.fixture(scope="module")
def wanted(contents):
    return np.stack([centred(data, "", SIZE) for data in contents])


def test_it_is_indexed_like_an_array(pixels, wanted):
    assert pixels.shape == wanted.shape
    assert pixels.nbytes == wanted.nbytes
    for key in (3, slice(2, 9, 3), slice(5, 5), np.array([4, 0, 4]), [1, 2], slice(None)):
        assert np.array_equal(pixels[key], wanted[key])
    assert np.array_equal(pixels.take(np.array([7, 2]))[:], wanted[[7, 2]])


@pytest.mark.parametrize("size", [1, 3, 11, 50])
def test_batches_come_in_order(pixels, wanted, size):
    images = Images(pixels, None, np.arange(11).astype(np.str_), ("a", "b"))
    rows = np.array([9, 3, 3, 10, 0, 1, 2])
    got = list(images.batches(size, rows))
    assert [len(some) for some, _ in got] == [min(size, 7 - start) for start in range(0, 7, size)]
    assert np.array_equal(np.concatenate([some for some, _ in got]), rows)
    assert np.array_equal(np.concatenate([some for _, some in got]), wanted[rows])
    next(batches := images.batches(size))
    batches.close()  # before its end


def test_a_crop_is_drawn_for_the_row(pixels):
    crop, rows = RandomCrop(0.3, 1.2, 1), np.array([5, 6])
    ((_, first),) = pixels.batches(2, rows, crop, epoch=1)
    ((_, again),) = pixels.batches(2, rows[::-1], crop, epoch=1)
    ((_, other),) = pixels.batches(2, rows, crop, epoch=2)
    assert np.array_equal(first, again[::-1])
    assert not np.array_equal(first, other)


def test_a_bad_image_is_an_error_or_grey_and_named_once(contents, tmp_path):
    files = write_files(tmp_path, [*contents[:4], b"nothing", contents[5][:200]])
    with pytest.raises(ImageError, match=r"4\.jpg"):
        EncodedPixels(files, SIZE)[:]
    said = []
    bad = BadImages(said.append, [files.where(5)])  # named by a former sitting
    got = EncodedPixels(files, SIZE, bad).take(np.arange(6))[:]
    assert (got[4:] == 128).all()
    assert not (got[:4] == 128).all()
    assert bad.names == sorted([files.where(4), files.where(5)])
    assert len(said) == 1
