"""Bilinear resizing against numpy in float64, a scalar transcription of OpenCV's integers, and Pillow."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from podium.augment import resize, resized_crop
from podium.augment.crop import random_boxes

sides = st.integers(1, 24)
Box = tuple[int, int, int, int]


def random_pixels(seed: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def exact_bilinear(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """One channel, one output pixel at a time, in float64."""
    out = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = min(max((i + 0.5) * plane.shape[0] / size[0] - 0.5, 0.0), plane.shape[0] - 1.0)
            x = min(max((j + 0.5) * plane.shape[1] / size[1] - 0.5, 0.0), plane.shape[1] - 1.0)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
            above = (1 - x + left) * plane[top, left] + (x - left) * plane[top, right]
            below = (1 - x + left) * plane[bottom, left] + (x - left) * plane[bottom, right]
            out[i, j] = (1 - y + top) * above + (y - top) * below
    return out


def opencv_bilinear(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """OpenCV's 8-bit INTER_LINEAR for one channel, with Python's integers."""

    def taps(i: int, source: int, target: int) -> tuple[int, int, int]:
        position = (i + 0.5) * source / target - 0.5
        low = int(np.floor(position))
        return min(max(low, 0), source - 1), min(max(low + 1, 0), source - 1), round((position - low) * 2048)

    out = np.empty(size, np.uint8)
    for i in range(size[0]):
        top, bottom, down = taps(i, plane.shape[0], size[0])
        for j in range(size[1]):
            left, right, across = taps(j, plane.shape[1], size[1])
            above = int(plane[top, left]) * (2048 - across) + int(plane[top, right]) * across
            below = int(plane[bottom, left]) * (2048 - across) + int(plane[bottom, right]) * across
            quarters = (((above >> 4) * (2048 - down)) >> 16) + (((below >> 4) * down) >> 16)
            out[i, j] = (quarters + 2) >> 2
    return out


def crop(pixels: Tensor, box: Box) -> npt.NDArray[np.uint8]:
    """The first image's first channel inside of `box`."""
    top, left, height, width = box
    return pixels[0, 0, top : top + height, left : left + width].numpy()


@st.composite
def images_and_boxes(draw: st.DrawFn) -> tuple[Tensor, Box]:
    height, width = draw(sides), draw(sides)
    box_height, box_width = draw(st.integers(1, height)), draw(st.integers(1, width))
    box = (draw(st.integers(0, height - box_height)), draw(st.integers(0, width - box_width)), box_height, box_width)
    return random_pixels(draw(st.integers(0, 2**31)), 1, 1, height, width), box


@given(images_and_boxes(), st.tuples(sides, sides))
@settings(max_examples=40)
def test_any_crop_is_exact_within_one_grey_level(image_and_box: tuple[Tensor, Box], size: tuple[int, int]) -> None:
    pixels, box = image_and_box
    result = resized_crop(pixels, torch.tensor([box]), size)[0, 0].numpy()
    # One level away from the truncated value, and less than one from the exact one.
    exact = exact_bilinear(crop(pixels, box), size)
    assert np.abs(result - exact).max() < 1.0
    assert np.abs(result - np.floor(exact)).max() <= 1


@pytest.mark.parametrize("side", range(32, 41))
def test_the_seeds_crops_are_opencvs_to_the_bit(side: int) -> None:
    pixels = random_pixels(side, 1, 1, 40, 40)
    box = (min(1, 40 - side), 40 - side, side, side)
    result = resized_crop(pixels, torch.tensor([box]), (32, 32))[0, 0].numpy()
    np.testing.assert_array_equal(result, opencv_bilinear(crop(pixels, box), (32, 32)))


@pytest.mark.parametrize(("before", "after"), [((32, 32), (40, 40)), ((28, 20), (33, 47)), ((9, 16), (9, 32))])
def test_resizing_is_opencvs_to_the_bit_and_pillows_within_one_grey_level(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    pixels = random_pixels(0, 1, 3, *before)
    result = resize(pixels, after)[0].permute(1, 2, 0).numpy()  # (H, W, 3)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], opencv_bilinear(pixels[0, channel].numpy(), after))
    # Pillow antialiases only when it shrinks, so that enlarging is the same interpolation, rounded to nearest twice.
    image = Image.fromarray(pixels[0].permute(1, 2, 0).contiguous().numpy())
    pillow = np.asarray(image.resize((after[1], after[0]), Image.Resampling.BILINEAR))
    difference = result.astype(int) - pillow
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.3  # 1/8 of a level darker on average, and two different roundings


def test_known_values() -> None:
    # What MXNet 1.9.1 itself gave: mx.image.imresize(…, interp=1).
    row = torch.tensor([0, 100, 200, 255], dtype=torch.uint8).view(1, 1, 1, 4)
    assert resize(row, (1, 6)).flatten().tolist() == [0, 50, 117, 183, 228, 255]
    assert resize(row, (1, 2)).flatten().tolist() == [50, 228]
    square = torch.tensor([[10, 20], [31, 255]], dtype=torch.uint8).view(1, 1, 2, 2)
    assert resize(square, (3, 3)).flatten().tolist() == [10, 15, 20, 21, 79, 138, 31, 143, 255]


@given(sides, sides, st.integers(0, 2**31))
@settings(max_examples=20)
def test_the_whole_image_at_its_own_size_is_the_identity(height: int, width: int, seed: int) -> None:
    pixels = random_pixels(seed, 2, 3, height, width)
    assert torch.equal(resize(pixels, (height, width)), pixels)
    assert torch.equal(resized_crop(pixels, torch.tensor([[0, 0, height, width]]), (height, width)), pixels)


def test_a_box_of_the_output_size_is_a_plain_crop() -> None:
    pixels = random_pixels(1, 2, 3, 12, 15)
    boxes = torch.tensor([[3, 4, 6, 7], [0, 8, 6, 7]])
    expected = torch.stack([pixels[0, :, 3:9, 4:11], pixels[1, :, 0:6, 8:15]])
    assert torch.equal(resized_crop(pixels, boxes, (6, 7)), expected)


def test_pixels_outside_of_the_box_have_no_influence() -> None:
    pixels = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    pixels[..., 3:6, 3:6] = 200
    assert resized_crop(pixels, torch.tensor([[3, 3, 3, 3]]), (8, 8)).unique().tolist() == [200]


@given(st.integers(1, 5), sides, sides, sides, st.integers(0, 2**31))
@settings(max_examples=20)
def test_images_do_not_influence_each_other_nor_do_strides_matter(
    n: int, height: int, width: int, side: int, seed: int
) -> None:
    pixels = random_pixels(seed, n, 3, height, width)
    boxes = random_boxes(n, (height, width), 0.3, 1.0, torch.Generator().manual_seed(seed))
    alone = torch.cat([resized_crop(pixels[i : i + 1], boxes[i : i + 1], (side, 3)) for i in range(n)])
    assert alone.shape == (n, 3, side, 3)
    assert torch.equal(resized_crop(pixels, boxes, (side, 3)), alone)
    strided = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(resized_crop(strided, boxes, (side, 3)), alone)


@given(sides, sides, st.floats(0.01, 1.0), st.floats(0.25, 4.0), st.integers(0, 2**31))
@settings(max_examples=50)
def test_boxes_lie_inside_of_the_image(height: int, width: int, area_min: float, aspect: float, seed: int) -> None:
    boxes = random_boxes(50, (height, width), area_min, aspect, torch.Generator().manual_seed(seed))
    assert boxes.shape == (50, 4)
    assert boxes.dtype == torch.int64
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()


def test_the_seeds_boxes_are_distributed_as_mxnet_draws_them() -> None:
    n = 100_000
    boxes = random_boxes(n, (40, 40), 0.64, 1.0, torch.Generator().manual_seed(0))
    top, left, height, width = boxes.unbind(1)
    assert torch.equal(height, width)
    assert (height.min().item(), height.max().item()) == (32, 40)
    # The area is uniform in 0.64 … 1 of 1,600, so a side s has the part of it between (s - 1/2)² and (s + 1/2)².
    for side in range(32, 41):
        low, high = max(side - 0.5, 32) ** 2, min(side + 0.5, 40) ** 2
        expected = (high - low) / (0.36 * 1600)
        assert abs((height == side).double().mean().item() - expected) < 4 * (expected / n) ** 0.5
        # Every place that fits is as likely as any other, and down and right are independent.
        for place in (top, left, (top + left) % (41 - side)):
            counts = place[height == side].bincount(minlength=41 - side).double()
            assert len(counts) == 41 - side
            assert ((counts - counts.mean()).abs() < 4.5 * counts.mean().sqrt()).all()


def test_boxes_have_the_proportions_asked_for_where_they_fit() -> None:
    boxes = random_boxes(1000, (60, 80), 0.3, 2.0, torch.Generator().manual_seed(0)).double()
    fits = boxes[:, 3] < 80
    assert fits.sum() > 100
    assert ((boxes[fits, 3] - 2 * boxes[fits, 2]).abs() <= 1.5).all()


def test_a_ratio_spreads_the_proportions_evenly_both_ways_and_keeps_the_areas() -> None:
    num_images, size = 40_000, (400, 600)
    generator = torch.Generator().manual_seed(0)
    boxes = random_boxes(num_images, size, 0.2, 1.5, generator, ratio=4 / 3)
    top, left, height, width = boxes.double().unbind(1)
    assert ((top >= 0) & (top + height <= 400) & (left >= 0) & (left + width <= 600)).all()
    fits = (height < 400) & (width < 600)
    assert fits.double().mean() > 0.8
    small = height * width < 0.6 * 400 * 600  # of these every box fits
    assert fits[small].all()
    turn = (width / height / 1.5).log()[small] / math.log(4 / 3)
    assert turn.abs().max() < 1.02  # sides are whole pixels
    assert abs(turn.mean().item()) < 0.02
    assert turn.std().item() == pytest.approx(1 / 3**0.5, rel=0.02)
    area = (height * width)[small] / (400 * 600)
    assert area.mean().item() == pytest.approx(0.4, rel=0.01)


def test_without_a_ratio_the_draw_is_as_it_was() -> None:
    one, other = (torch.Generator().manual_seed(0) for _ in range(2))
    assert torch.equal(random_boxes(9, (32, 32), 0.5, 1.0, one), random_boxes(9, (32, 32), 0.5, 1.0, other, ratio=1.0))
    assert torch.equal(one.get_state(), other.get_state())
