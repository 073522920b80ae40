"""Erasing against numpy, and what its boxes are like."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import generator, layouts, pictures, seeds, sides

from podium.augment import erase
from podium.augment.erase import random_patches

COLOUR = torch.tensor([1, 2, 3], dtype=torch.uint8)


@given(st.integers(1, 6), sides(12), st.floats(0, 1), seeds)
@settings(max_examples=60)
def test_erase_paints_numpys_slices(n: int, size: tuple[int, int], probability: float, seed: int) -> None:
    pixels = pictures(n, *size, seed)
    boxes = random_patches(n, probability, size, generator(seed))
    expected = pixels.numpy().copy()
    for image, (top, left, height, width) in zip(expected, boxes.tolist(), strict=True):
        assert 0 <= top <= top + height <= size[0]
        assert 0 <= left < left + width <= size[1]
        image[:, top : top + height, left : left + width] = COLOUR.numpy()[:, None, None]
    for strided in layouts(pixels):
        kept = strided.clone()
        np.testing.assert_array_equal(erase(strided, boxes, COLOUR).numpy(), expected)
        assert torch.equal(strided, kept)


def test_what_sticks_out_has_no_effect() -> None:
    pixels = pictures(1, 6, 6)
    result = erase(pixels, torch.tensor([[-2, 4, 4, 9]]), COLOUR)
    expected = pixels.clone()
    expected[..., :2, 4:] = COLOUR[:, None, None]
    assert torch.equal(result, expected)


def test_boxes_have_the_areas_proportions_and_places_that_are_said() -> None:
    size = (300, 300)
    boxes = random_patches(40_000, 0.25, size, generator())
    chosen = boxes[boxes[:, 2] > 0].double()
    assert abs(len(chosen) - 10_000) < 4 * 7500**0.5
    assert (chosen[:, :2] >= 0).all()
    assert (chosen[:, 0] + chosen[:, 2] <= 300).all()
    assert (chosen[:, 1] + chosen[:, 3] <= 300).all()
    area = chosen[:, 2] * chosen[:, 3] / 90_000
    assert 0.018 < area.min() < 0.022
    assert 0.31 < area.max() < 0.335
    assert abs(area.mean().item() - 0.175) < 0.003
    whole = chosen[(chosen[:, 2] < 300) & (chosen[:, 3] < 300)]
    ratio = (whole[:, 2] / whole[:, 3]).log()
    assert math.log(0.29) < ratio.min() < math.log(0.31)
    assert math.log(3.2) < ratio.max() < math.log(3.4)
    assert abs(ratio.mean().item()) < 0.03
    place = chosen[:, 0] / (300 - chosen[:, 2]).clamp(min=1)
    assert abs(place.mean().item() - 0.5) < 0.02
