"""Images made from a seed: always the same ones, and of every kind."""

import numpy as np
import pytest

from podium.delivery.verify import made_images


def test_a_seed_makes_the_same_images_and_another_one_others():
    first, again, other = made_images(6, (16, 12)), made_images(9, (16, 12)), made_images(6, (16, 12), seed=1)
    assert (first.shape, first.dtype) == ((6, 16, 12, 3), np.uint8)
    assert np.array_equal(first, again[:6])
    assert all(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_they_are_dark_and_bright_plain_and_busy_and_smoother_than_white_noise():
    images = made_images(100, (32, 32)).astype(float)
    means, spreads = images.mean((1, 2, 3)), images.std((1, 2)).mean(1)
    assert means.min() < 70
    assert means.max() > 180
    assert spreads.min() < 10
    assert spreads.max() > 40
    steps = np.abs(np.diff(images, axis=2)).mean()
    assert steps < 0.5 * images.std((1, 2)).mean()  # of white noise it would be 1.13 times that


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (8, 8), (33, 64)])
def test_of_any_size(size):
    assert made_images(4, size).shape == (4, *size, 3)
