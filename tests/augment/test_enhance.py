"""Contrast, saturation, sharpness, brightness and grey against Pillow, to the bit."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import in_pillow, layouts, pictures, seeds, sides
from PIL import ImageEnhance, ImageOps
from torch import Tensor

from podium.augment import adjust_brightness, adjust_contrast, adjust_saturation, adjust_sharpness, grey
from podium.augment.enhance import _PER_26, _PER_26_BITS

PAIRS = [
    (adjust_brightness, ImageEnhance.Brightness),
    (adjust_contrast, ImageEnhance.Contrast),
    (adjust_saturation, ImageEnhance.Color),
    (adjust_sharpness, ImageEnhance.Sharpness),
]
Adjust = Callable[[Tensor, Tensor], Tensor]
Enhancer = Callable[..., ImageEnhance._Enhance]


@pytest.mark.parametrize(("adjust", "enhancer"), PAIRS)
@given(st.lists(st.floats(0, 3, width=32), min_size=1, max_size=7), sides(), seeds)
@settings(max_examples=60)
def test_any_factor_is_pillows(
    adjust: Adjust, enhancer: Enhancer, factors: list[float], size: tuple[int, int], seed: int
) -> None:
    pixels = pictures(len(factors), *size, seed)
    expected = in_pillow(lambda image, factor: enhancer(image).enhance(factor), pixels, factors)
    assert torch.equal(adjust(pixels, torch.tensor(factors)), expected)


@pytest.mark.parametrize(("adjust", "enhancer"), PAIRS)
def test_a_real_size_and_the_ends_of_the_range_are_pillows(adjust: Adjust, enhancer: Enhancer) -> None:
    factors = torch.cat((torch.linspace(0, 2, 91), torch.rand(109, generator=torch.Generator().manual_seed(0)) * 2))
    pixels = pictures(200, 32, 24)
    expected = in_pillow(lambda image, factor: enhancer(image).enhance(factor), pixels, factors.tolist())
    for strided in layouts(pixels):
        kept = strided.clone()
        result = adjust(strided, factors)
        assert torch.equal(result, expected)
        assert result.dtype == torch.uint8
        assert torch.equal(strided, kept)
    alone = torch.cat([adjust(pixels[i : i + 1], factors[i : i + 1]) for i in range(20)])
    assert torch.equal(alone, expected[:20])
    assert torch.equal(adjust(pixels, torch.ones(200)), pixels)
    assert adjust(pixels[:0], factors[:0]).shape == (0, 3, 32, 24)


@pytest.mark.parametrize(("adjust", "enhancer"), PAIRS[1:])
def test_factors_below_0_are_pillows_too(adjust: Adjust, enhancer: Enhancer) -> None:
    factors = torch.linspace(-1.5, 0, 25)
    pixels = pictures(25, 9, 9)
    expected = in_pillow(lambda image, factor: enhancer(image).enhance(factor), pixels, factors.tolist())
    assert torch.equal(adjust(pixels, factors), expected)


def test_grey_is_pillows_for_every_part_of_the_colour_cube() -> None:
    levels = torch.arange(0, 256, 3, dtype=torch.uint8)  # 86³ colours, both ends among them
    pixels = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 86, 86 * 86)
    for strided in layouts(pixels):
        assert torch.equal(grey(strided), in_pillow(ImageOps.grayscale, pixels))
    assert grey(pixels[:0]).shape == (0, 3, 86, 86 * 86)


def test_the_product_that_stands_for_a_division_by_26_is_one() -> None:
    sums = torch.arange(2 * 13 * 255 + 13 + 1)
    assert torch.equal(sums * _PER_26 >> _PER_26_BITS, sums // 26)
