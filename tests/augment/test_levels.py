"""Posterize, solarize, invert, autocontrast and equalize against Pillow, to the bit."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import generator, in_pillow, layouts, pictures, seeds, sides
from PIL import ImageOps

from podium.augment import autocontrast, equalize, invert, posterize, solarize
from podium.augment.levels import random_bits, random_thresholds


def test_posterize_is_pillows_for_all_bits() -> None:
    pixels, bits = pictures(8, 32, 24), torch.arange(1, 9)
    for strided in layouts(pixels):
        assert torch.equal(posterize(strided, bits), in_pillow(ImageOps.posterize, pixels, bits.tolist()))
    assert (posterize(pixels, torch.zeros(8, dtype=torch.int64)) == 0).all()


@given(st.lists(st.one_of(st.integers(0, 256), st.floats(0, 256)), min_size=1, max_size=6), sides(), seeds)
@settings(max_examples=60)
def test_solarize_is_pillows_for_whole_and_broken_thresholds(
    thresholds: list[float], size: tuple[int, int], seed: int
) -> None:
    pixels = pictures(len(thresholds), *size, seed)
    expected = in_pillow(ImageOps.solarize, pixels, thresholds)
    for strided in layouts(pixels):
        assert torch.equal(solarize(strided, torch.tensor(thresholds, dtype=torch.float64)), expected)


def test_solarize_of_every_level_at_every_threshold() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).expand(257, 3, 1, 256)
    thresholds = torch.arange(257)
    assert torch.equal(solarize(pixels, thresholds), in_pillow(ImageOps.solarize, pixels, thresholds.tolist()))


def test_invert_is_pillows() -> None:
    pixels = pictures(10, 7, 9)
    for strided in layouts(pixels):
        assert torch.equal(invert(strided), in_pillow(ImageOps.invert, pixels))


@pytest.mark.parametrize(
    ("change", "pillows"),
    [(autocontrast, ImageOps.autocontrast), (equalize, ImageOps.equalize)],
    ids=["autocontrast", "equalize"],
)
@given(st.integers(1, 6), sides(40), seeds)
@settings(max_examples=100)
def test_histograms_are_pillows(change, pillows, n: int, size: tuple[int, int], seed: int) -> None:
    pixels = pictures(n, *size, seed)
    expected = in_pillow(pillows, pixels)
    for strided in layouts(pixels):
        kept = strided.clone()
        assert torch.equal(change(strided), expected)
        assert torch.equal(strided, kept)
    assert torch.equal(torch.cat([change(pixels[i : i + 1]) for i in range(n)]), expected)


def test_autocontrast_of_every_range() -> None:
    """The formula in Python's floats, as ImageOps has it; 255 · (v - low) / (high - low) is often a whole number."""
    low, high = torch.tensor(list(itertools.combinations(range(256), 2))).T
    level = torch.arange(256).clamp(low[:, None], high[:, None])  # (32640, 256)
    scale = 255.0 / (high - low).numpy()[:, None]
    expected = np.clip(level.numpy() * scale + -low.numpy()[:, None] * scale, 0, 255).astype(np.uint8)
    result = autocontrast(level.to(torch.uint8)[:, None, None])
    np.testing.assert_array_equal(result[:, 0, 0].numpy(), expected)


@pytest.mark.parametrize("change", [autocontrast, equalize, invert])
def test_plain_images_and_empty_batches(change) -> None:
    plain = torch.tensor([0, 77, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 20, 20)
    assert torch.equal(change(plain), invert(plain) if change is invert else plain)
    assert change(plain[:0]).shape == (0, 3, 20, 20)


def test_equalize_cuts_off_at_255() -> None:
    """Half a step and the levels below may come to 256 steps, which Pillow's table clips."""
    pixels = torch.zeros((1, 3, 16, 48), dtype=torch.uint8)
    pixels[..., 0, 0] = 1
    assert 767 // 255 == 3
    assert (3 // 2 + 767) // 3 == 256
    assert torch.equal(equalize(pixels), in_pillow(ImageOps.equalize, pixels))
    assert equalize(pixels).max() == 255


def test_draws_fill_their_ranges() -> None:
    bits = random_bits(10_000, 3, generator()).bincount(minlength=9)
    assert bits[:3].sum() == 0
    assert ((bits[3:] - 10_000 / 6).abs() < 4 * (10_000 / 6) ** 0.5).all()
    thresholds = random_thresholds(100_000, 0.3, generator()).bincount(minlength=257)
    assert abs(thresholds[256].item() - 70_000) < 4 * 21_000**0.5
    assert ((thresholds[:256] - 30_000 / 256).abs() < 5 * (30_000 / 256) ** 0.5).all()
