"""Affine maps against Pillow, to the bit: rotations, shears, shifts and any others, nearest and bilinear."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import FILL, generator, in_pillow, layouts, pictures, seeds, sides
from PIL import Image
from torch import Tensor

from podium.augment import affine, rotation
from podium.augment.affine import random_maps

COLOUR = torch.tensor(FILL, dtype=torch.uint8)
NEAREST, BILINEAR = Image.Resampling.NEAREST, Image.Resampling.BILINEAR
FILTERS = pytest.mark.parametrize("resample", [NEAREST, BILINEAR], ids=["nearest", "bilinear"])
ROUND_ANGLES = [0.0, 90.0, 180.0, 270.0, 360.0, -90.0, 30.0, 45.0, -45.0, 60.0, 120.0, 135.0, -135.0, 4.5, 1e-9, 720.5]


def transformed(pixels: Tensor, maps: Tensor, resample: Image.Resampling) -> Tensor:
    def change(image: Image.Image, data: tuple[float, ...]) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, data, resample, fillcolor=FILL)

    return in_pillow(change, pixels, [tuple(row) for row in maps.tolist()])


@FILTERS
@pytest.mark.parametrize("size", [(32, 32), (19, 32), (32, 19), (5, 5), (1, 7)])
def test_rotation_is_pillows(size: tuple[int, int], resample: Image.Resampling) -> None:
    angles = torch.cat(
        (torch.tensor(ROUND_ANGLES).double(), 720 * torch.rand(84, generator=generator()).double() - 360)
    )
    pixels = pictures(100, *size)
    expected = in_pillow(lambda image, a: image.rotate(a, resample, fillcolor=FILL), pixels, angles.tolist())
    maps = rotation(angles, size)
    for strided in layouts(pixels):
        kept = strided.clone()
        assert torch.equal(affine(strided, maps, COLOUR, bilinear=resample == BILINEAR), expected)
        assert torch.equal(strided, kept)


@FILTERS
@given(st.integers(1, 6), sides(), seeds)
@settings(max_examples=60)
def test_any_map_is_pillows(resample: Image.Resampling, n: int, size: tuple[int, int], seed: int) -> None:
    pixels = pictures(n, *size, seed)
    spread = torch.tensor([1.0, 1.0, 9.0, 1.0, 1.0, 9.0])
    maps = torch.randn((n, 6), dtype=torch.float64, generator=generator(seed)) * spread
    maps[1::3, [1, 3]] = maps[1::3, [1, 3]].sign() * 0.25  # steps of whole quarters, so that places meet pixels' edges
    maps[1::3, [0, 2, 4, 5]] = maps[1::3, [0, 2, 4, 5]].round()
    assert torch.equal(affine(pixels, maps, COLOUR, bilinear=resample == BILINEAR), transformed(pixels, maps, resample))


@FILTERS
@given(st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), min_size=1, max_size=6), seeds)
@settings(max_examples=60)
def test_shifts_by_parts_of_a_pixel_are_pillows(
    resample: Image.Resampling, shifts: list[tuple[float, float]], seed: int
) -> None:
    """Without rotation and shear Pillow has a routine of its own."""
    pixels = pictures(len(shifts), 12, 10, seed)
    maps = torch.tensor([(1.0, 0.0, dx, 0.0, 1.0, dy) for dx, dy in shifts], dtype=torch.float64)
    maps[::2, [2, 5]] = maps[::2, [2, 5]].round()
    assert torch.equal(affine(pixels, maps, COLOUR, bilinear=resample == BILINEAR), transformed(pixels, maps, resample))


@FILTERS
def test_shears_are_pillows(resample: Image.Resampling) -> None:
    shears = torch.linspace(-0.99, 0.99, 61, dtype=torch.float64)
    maps = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64).repeat(122, 1)
    maps[:61, 1], maps[61:, 3] = shears, shears
    pixels = pictures(122, 32, 24)
    assert torch.equal(affine(pixels, maps, COLOUR, bilinear=resample == BILINEAR), transformed(pixels, maps, resample))


@FILTERS
def test_nothing_moves_by_the_identity_and_an_empty_batch_stays_empty(resample: Image.Resampling) -> None:
    pixels = pictures(5, 9, 8)
    maps = rotation(torch.zeros(5), (9, 8))
    assert torch.equal(affine(pixels, maps, COLOUR, bilinear=resample == BILINEAR), pixels)
    assert affine(pixels[:0], maps[:0], COLOUR, bilinear=resample == BILINEAR).shape == (0, 3, 9, 8)


def test_a_random_map_without_shear_is_a_rotation() -> None:
    maps = random_maps(1000, 30.0, 0.0, (32, 24), generator())
    degrees = torch.atan2(-maps[:, 1], maps[:, 0]).rad2deg()
    assert degrees.abs().max() <= 30
    assert degrees.std().item() == pytest.approx(30 / 3**0.5, rel=0.05)
    torch.testing.assert_close(maps, rotation(degrees, (32, 24)), rtol=0, atol=1e-12)


def test_random_maps_keep_areas_and_the_centre() -> None:
    maps = random_maps(1000, 90.0, 20.0, (32, 24), generator())
    a, b, c, d, e, f = maps.unbind(1)
    torch.testing.assert_close(a * e - b * d, torch.ones(1000, dtype=torch.float64))
    torch.testing.assert_close(a * 12 + b * 16 + c, torch.full((1000,), 12.0, dtype=torch.float64))
    torch.testing.assert_close(d * 12 + e * 16 + f, torch.full((1000,), 16.0, dtype=torch.float64))


def test_random_shears_fill_their_range_on_both_axes() -> None:
    maps = random_maps(20_000, 0.0, 20.0, (32, 32), generator())
    down = maps[:, 3].atan().rad2deg()  # the second row is (tan, 1)
    across = maps[:, 1].atan().rad2deg()  # the first is (1 + product, tan)
    assert torch.equal(maps[:, 4], torch.ones(20_000, dtype=torch.float64))
    for angles in (down, across):
        assert 19.9 < angles.abs().max() <= 20 + 1e-9
        assert abs(angles.mean().item()) < 4 * 20 / math.sqrt(3 * 20_000)
    assert abs(torch.corrcoef(torch.stack((down, across)))[0, 1].item()) < 0.03
