"""Mirroring against numpy, and the alternating flip's promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.augment import flip
from podium.augment.flip import alternating_mask, random_mask


def splitmix64(state: int) -> int:
    """The finalizer, with Python's integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=30)
def test_flip_is_numpys(n: int, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)
    mask = random_mask(n, generator)
    images = pixels.permute(0, 2, 3, 1).numpy()
    expected = np.stack([np.fliplr(image) if m else image for image, m in zip(images, mask, strict=True)])
    result = flip(pixels, mask)
    np.testing.assert_array_equal(result.permute(0, 2, 3, 1).numpy(), expected)
    assert torch.equal(flip(result, mask), pixels)  # twice is not at all
    assert torch.equal(flip(pixels, torch.zeros(n, dtype=torch.bool)), pixels)


def test_flip_keeps_channels_last() -> None:
    pixels = torch.zeros(4, 8, 6, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert flip(pixels, torch.tensor([True, False, True, True])).is_contiguous(memory_format=torch.channels_last)


def test_random_mask_is_a_fair_coin_of_the_generator() -> None:
    mask = random_mask(10_000, torch.Generator().manual_seed(0))
    assert abs(mask.double().mean().item() - 0.5) < 0.02
    assert torch.equal(mask, random_mask(10_000, torch.Generator().manual_seed(0)))
    assert not torch.equal(mask, random_mask(10_000, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63, 2**64 - 1, -1])
def test_the_hash_is_splitmix64(seed: int) -> None:
    indices = torch.tensor([0, 1, 2, 49_999, 2**40, 2**62])
    key = splitmix64((seed + 0x9E3779B97F4A7C15) % 2**64)
    expected = [splitmix64((int(i) * 0x9E3779B97F4A7C15 + key) % 2**64) >> 63 == 1 for i in indices]
    assert alternating_mask(indices, 0, seed).tolist() == expected


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=30), st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_every_image_alternates_whatever_its_batch(indices: list[int], seed: int, epoch: int) -> None:
    mask = alternating_mask(torch.tensor(indices), epoch, seed)
    assert torch.equal(alternating_mask(torch.tensor(indices), epoch + 1, seed), ~mask)
    assert torch.equal(alternating_mask(torch.tensor(indices), epoch + 2, seed), mask)
    assert torch.equal(alternating_mask(torch.tensor(indices[::-1]), epoch, seed), mask.flip(0))
    assert mask[0] == alternating_mask(torch.tensor(indices[:1]), epoch, seed)[0]


@pytest.mark.parametrize("seed", range(5))
def test_both_halves_are_about_equal_and_seeds_independent(seed: int) -> None:
    first = alternating_mask(torch.arange(50_000), 0, seed).double() * 2 - 1
    four_sigma = 4 / 50_000**0.5
    assert abs(first.mean().item()) < four_sigma
    for lag in (1, 2, 3, 10, 100):
        assert abs((first[lag:] * first[:-lag]).mean().item()) < 1.1 * four_sigma
        other = alternating_mask(torch.arange(50_000), 0, seed + lag).double() * 2 - 1
        assert abs((first * other).mean().item()) < four_sigma
