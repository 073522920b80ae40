"""Brightness and hue against plain numpy and `colorsys`."""

import colorsys

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from podium.augment import adjust_brightness, turn_hue
from podium.augment.colour import random_factors, random_turns


def random_pixels(seed: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def colorsys_hue(rgb: npt.NDArray[np.uint8], turn: float) -> npt.NDArray[np.float64]:
    hue, lightness, saturation = colorsys.rgb_to_hls(*(float(value) / 255 for value in rgb))
    return 255 * np.array(colorsys.hls_to_rgb((hue + turn) % 1.0, lightness, saturation))


def test_brightness_is_numpys_to_the_bit() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(33, 1).view(33, 1, 16, 16)
    factors = torch.linspace(0, 2, 33)
    expected = np.minimum(pixels.numpy() * factors.numpy()[:, None, None, None], np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(adjust_brightness(pixels, factors).numpy(), expected)


def test_bright_pixels_saturate_and_fractions_are_dropped() -> None:
    pixels = torch.tensor([0, 1, 3, 170, 171, 255], dtype=torch.uint8).view(1, 1, 1, 6)
    assert adjust_brightness(pixels, torch.tensor([1.5])).flatten().tolist() == [0, 1, 4, 255, 255, 255]
    assert adjust_brightness(pixels, torch.tensor([0.5])).flatten().tolist() == [0, 0, 1, 85, 85, 127]


def test_hue_is_that_of_colorsys_within_one_grey_level() -> None:
    turns = torch.cat((torch.linspace(-0.5, 0.5, 13), torch.tensor([1 / 3, -0.123, 0.456, 1.7])))
    pixels = random_pixels(0, len(turns), 3, 6, 8)
    pixels[::2] = pixels[::2] // 40 * 40  # many ties between channels, and greys
    result = turn_hue(pixels, turns).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    flat = pixels.permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    exact = np.array([colorsys_hue(rgb, float(turns[i // 48])) for i, rgb in enumerate(flat)])
    # The exact value truncated, save for float32's rounding of the turn (6e-8 · 6 · 255).
    assert (result <= exact + 1e-3).all()
    assert (result > exact - 1 - 1e-3).all()
    # Where the exact value is a whole number, that rounding decides: so with these round turns and colours.
    difference = result.astype(int) - np.floor(exact + 1e-3).astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.02


def test_a_turn_drawn_at_random_gives_the_very_levels_of_colorsys() -> None:
    turns = random_turns(16, 0.5, torch.Generator().manual_seed(0))
    pixels = random_pixels(0, 16, 3, 10, 10)
    flat = pixels.permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    exact = np.array([colorsys_hue(rgb, float(turns[i // 100])) for i, rgb in enumerate(flat)])
    result = turn_hue(pixels, turns).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    np.testing.assert_array_equal(result, np.floor(exact + 1e-6).astype(np.uint8))  # 1e-6: colorsys's own rounding


@pytest.mark.parametrize("turn", [0.0, 1.0, -1.0, 2.0])
def test_whole_turns_change_nothing(turn: float) -> None:
    pixels = random_pixels(1, 5, 3, 9, 7)
    assert torch.equal(turn_hue(pixels, torch.full((5,), turn)), pixels)


def test_a_third_of_the_circle_passes_the_channels_on() -> None:
    pixels = random_pixels(2, 1, 3, 20, 20)
    assert torch.equal(turn_hue(pixels, torch.tensor([1 / 3])), pixels[:, [2, 0, 1]])
    assert torch.equal(turn_hue(pixels, torch.tensor([-1 / 3])), pixels[:, [1, 2, 0]])


def test_half_a_turn_reflects_each_channel_between_the_extremes() -> None:
    pixels = random_pixels(3, 1, 3, 20, 20).to(torch.int64)
    expected = pixels.amax(1, keepdim=True) + pixels.amin(1, keepdim=True) - pixels
    assert torch.equal(turn_hue(pixels.to(torch.uint8), torch.tensor([0.5])).to(torch.int64), expected)


@given(st.integers(0, 2**31), st.floats(-0.5, 0.5, width=32))
@settings(max_examples=30)
def test_hue_keeps_the_extremes_and_the_greys(seed: int, turn: float) -> None:
    pixels = random_pixels(seed, 1, 3, 4, 5)
    pixels[..., 0] = pixels[:, :1, :, 0]  # a grey column
    turned = turn_hue(pixels, torch.tensor([turn]))
    assert torch.equal(turned.amax(1), pixels.amax(1))
    assert torch.equal(turned.amin(1), pixels.amin(1))
    assert torch.equal(turned[..., 0], pixels[..., 0])


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=30)
def test_images_do_not_influence_each_other_nor_do_strides_matter(n: int, height: int, width: int, seed: int) -> None:
    pixels = random_pixels(seed, n, 3, height, width)
    generator = torch.Generator().manual_seed(seed)
    factors, turns = random_factors(n, 0.5, generator), random_turns(n, 0.5, generator)
    strided = pixels.contiguous(memory_format=torch.channels_last)
    for change, amounts in ((adjust_brightness, factors), (turn_hue, turns)):
        alone = torch.cat([change(pixels[i : i + 1], amounts[i : i + 1]) for i in range(n)])
        assert torch.equal(change(pixels, amounts), alone)
        assert torch.equal(change(strided, amounts), alone)
        assert alone.shape == pixels.shape
        assert alone.dtype == torch.uint8


def test_the_input_is_left_alone() -> None:
    pixels = random_pixels(4, 2, 3, 8, 8)
    kept = pixels.clone()
    adjust_brightness(pixels, torch.tensor([0.5, 1.5]))
    turn_hue(pixels, torch.tensor([0.2, 0.4]))
    assert torch.equal(pixels, kept)


def test_draws_fill_their_ranges() -> None:
    generator = torch.Generator().manual_seed(0)
    factors, turns = random_factors(20_000, 0.4, generator), random_turns(20_000, 0.5, generator)
    for draw, low, high in ((factors, 0.6, 1.4), (turns, -0.5, 0.5)):
        assert low <= draw.min() < low + 0.001
        assert high - 0.001 < draw.max() <= high
        assert abs(draw.mean().item() - (low + high) / 2) < 4 * (high - low) / (12 * 20_000) ** 0.5
