"""Mixup and cutmix: the pixels are what `part` says, and draws are one an image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import generator, layouts, pictures, seeds, sides

from podium.augment import Mixer
from podium.augment.mix import blend, paste
from podium.errors import RecipeError


@given(st.lists(st.integers(0, 65536), min_size=1, max_size=6), sides(), seeds)
@settings(max_examples=60)
def test_blend_is_the_rounded_mean(weights: list[int], size: tuple[int, int], seed: int) -> None:
    n = len(weights)
    pixels, others = pictures(n, *size, seed), pictures(n, *size, seed + 1)
    part = np.array(weights)[:, None, None, None] / 65536
    expected = np.floor(part * pixels.numpy() + (1 - part) * others.numpy() + 0.5)
    for strided in layouts(pixels):
        result = blend(strided, others, torch.tensor(weights, dtype=torch.int32))
        np.testing.assert_array_equal(result.numpy(), expected)
        assert result.dtype == torch.uint8


def test_blend_at_its_ends_gives_either_image() -> None:
    pixels, others = pictures(5, 9, 9), pictures(5, 9, 9, 1)
    assert torch.equal(blend(pixels, others, torch.full((5,), 65536, dtype=torch.int32)), pixels)
    assert torch.equal(blend(pixels, others, torch.zeros(5, dtype=torch.int32)), others)


def test_paste_takes_the_box_of_the_other_image() -> None:
    pixels, others = pictures(2, 8, 9), pictures(2, 8, 9, 1)
    expected = pixels.clone()
    expected[0, :, 2:5, 1:9] = others[0, :, 2:5, 1:9]
    assert torch.equal(paste(pixels, others, torch.tensor([[2, 1, 3, 8], [4, 4, 0, 0]])), expected)


@given(
    st.integers(1, 40),
    sides(20),
    st.sampled_from([(0.2, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.3), (1.0, 1.0), (1e-3, 50.0)]),
    seeds,
)
@settings(max_examples=60)
def test_part_is_that_of_the_image_itself(
    n: int, size: tuple[int, int], alphas: tuple[float, float], seed: int
) -> None:
    """Images of one level each, so that what came from where can be read off the result."""
    levels = torch.arange(n, dtype=torch.uint8) * 6
    pixels = levels[:, None, None, None].expand(n, 3, *size)
    mixed = Mixer(*alphas).mix(pixels, generator(seed))
    assert mixed.pixels.shape == pixels.shape
    assert (mixed.pixels.dtype, mixed.partner.dtype, mixed.part.dtype) == (torch.uint8, torch.int64, torch.float32)
    assert torch.equal(mixed.partner.sort().values, torch.arange(n))
    assert ((mixed.part >= 0) & (mixed.part <= 1)).all()
    own, other = levels.double(), levels[mixed.partner].double()
    expected = mixed.part * own + (1 - mixed.part) * other
    mean = mixed.pixels.double().mean((1, 2, 3))
    assert ((mean - expected).abs() <= 0.5 + 1e-3).all()  # mixup rounds each pixel
    if alphas[0] == 0:
        torch.testing.assert_close(mean, expected, rtol=0, atol=1e-3)
        two = (mixed.pixels == levels[:, None, None, None]) | (
            mixed.pixels == levels[mixed.partner][:, None, None, None]
        )
        assert two.all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixups_part_is_drawn_from_beta_for_each_image(alpha: float) -> None:
    part = Mixer(alpha, 0.0).mix(pictures(1, 2, 2).expand(20_000, 3, 2, 2), generator()).part.double()
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(part.mean().item() - 0.5) < 4 * (variance / 20_000) ** 0.5
    assert part.var().item() == pytest.approx(variance, rel=0.05)


def test_cutmixs_boxes_are_cut_off_at_the_edges_and_have_all_places() -> None:
    n = 20_000
    pixels = torch.arange(n).remainder(2).mul(255).to(torch.uint8)[:, None, None, None].expand(n, 3, 16, 12)
    mixed = Mixer(0.0, 1.0).mix(pixels, generator())
    differ = (pixels[mixed.partner] != pixels)[:, 0, 0, 0]
    pasted = (mixed.pixels != pixels)[differ, 0]  # (M, 16, 12)
    # each box is a rectangle
    rows, columns = pasted.any(2), pasted.any(1)
    assert torch.equal(pasted, rows[:, :, None] & columns[:, None, :])
    torch.testing.assert_close(1 - pasted.float().mean((1, 2)), mixed.part[differ], rtol=0, atol=1e-6)
    places = pasted.float().mean(0)
    assert places.min() > 0.1  # corners are reached
    torch.testing.assert_close(places, places.flip(0), rtol=0, atol=0.05)
    torch.testing.assert_close(places, places.flip(1), rtol=0, atol=0.05)
    # lambda uniform, centre uniform: a box that is cut off leaves more of the image than lambda
    assert 0.5 < mixed.part.mean() < 0.75


def test_with_both_a_coin_decides_for_each_image() -> None:
    n = 10_000
    pixels = torch.arange(n).remainder(2).mul(254).to(torch.uint8)[:, None, None, None].expand(n, 3, 8, 8)
    mixed = Mixer(4.0, 1.0).mix(pixels, generator())
    differ = (pixels[mixed.partner] != pixels)[:, 0, 0, 0]
    is_blend = ((mixed.pixels[differ] > 0) & (mixed.pixels[differ] < 254)).flatten(1)
    assert (is_blend.all(1) | ~is_blend.any(1)).all()
    part_of_blends = is_blend.any(1).double().mean().item()
    assert abs(part_of_blends - 0.5) < 4 * 0.5 / differ.sum().item() ** 0.5


def test_the_generator_decides_everything() -> None:
    pixels = pictures(50, 8, 8)
    mixer = Mixer(1.0, 1.0)
    first, again, other = (mixer.mix(pixels, generator(seed)) for seed in (1, 1, 2))
    for name in ("pixels", "partner", "part"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    kept = pixels.clone()
    mixer.mix(pixels, generator())
    assert torch.equal(pixels, kept)


def test_memory_order_stays_and_small_batches_do() -> None:
    pixels = pictures(6, 8, 8)
    assert Mixer(1.0, 1.0).mix(pixels, generator()).pixels.is_contiguous(memory_format=torch.channels_last)
    alone = Mixer(1.0, 0.0).mix(pixels[:1], generator())
    assert torch.equal(alone.pixels, pixels[:1])
    assert Mixer(1.0, 1.0).mix(pixels[:0], generator()).pixels.shape == (0, 3, 8, 8)


def test_off_it_says_so_and_changes_nothing() -> None:
    pixels = pictures(6, 8, 8)
    assert not Mixer(0.0, 0.0).is_on
    assert Mixer(0.1, 0.0).is_on
    assert Mixer(0.0, 0.1).is_on
    mixed = Mixer(0.0, 0.0).mix(pixels, generator())
    assert mixed.pixels is pixels
    assert (mixed.part == 1).all()


@pytest.mark.parametrize("alphas", [(-0.1, 0.0), (0.0, -1.0), (float("nan"), 0.0)])
def test_impossible_alphas_are_named(alphas: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match="mixup" if alphas[0] else "cutmix"):
        Mixer(*alphas)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("alphas", [(0.2, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_a_gpu_makes_the_same_pixels(alphas: tuple[float, float]) -> None:
    pixels = pictures(300, 32, 32)
    expected = Mixer(*alphas).mix(pixels, generator())
    result = Mixer(*alphas).mix(pixels.cuda(), generator())
    for name in ("pixels", "partner", "part"):
        assert torch.equal(getattr(result, name).cpu(), getattr(expected, name))
