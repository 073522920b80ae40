"""Shrinking: areas' means, proportions, layout."""

import pytest
import torch

from podium.augment import shrink


def test_half_size_keeps_the_mean():
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    smaller = shrink(pixels, 0.5)
    assert smaller.shape == (3, 3, 16, 16)
    assert smaller.dtype == torch.uint8
    assert smaller.is_contiguous(memory_format=torch.channels_last)
    assert smaller.float().mean().item() == pytest.approx(pixels.float().mean().item(), abs=1)


def test_a_plain_image_stays_plain():
    pixels = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    assert (shrink(pixels, 0.625) == 77).all()


def test_every_input_pixel_counts():
    """Without antialiasing a point of light between the samples would vanish."""
    for place in range(32):
        pixels = torch.zeros((1, 3, 32, 32), dtype=torch.uint8)
        pixels[..., place, place] = 255
        assert shrink(pixels, 0.5).sum() > 0


def test_proportions_stay_and_no_side_vanishes():
    pixels = torch.zeros((1, 3, 32, 48), dtype=torch.uint8)
    assert shrink(pixels, 0.5).shape == (1, 3, 16, 24)
    assert shrink(pixels, 1) is pixels
    assert shrink(pixels, 0.001).shape == (1, 3, 1, 1)
