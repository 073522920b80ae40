"""Cutout against numpy, and where its squares lie."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.augment import cutout
from podium.augment.cutout import random_corners


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.data())
@settings(max_examples=60)
def test_cutout_paints_numpys_slice(n: int, channels: int, height: int, width: int, data: st.DataObject) -> None:
    side = data.draw(st.integers(1, min(height, width)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    pixels = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)
    fill = torch.randint(0, 256, (channels,), dtype=torch.uint8, generator=generator)
    corners = random_corners(n, side, (height, width), generator)
    expected = pixels.numpy().copy()
    for image, (y, x) in zip(expected, corners.tolist(), strict=True):
        image[:, y : y + side, x : x + side] = fill.numpy()[:, None, None]
    for strided in (pixels, pixels.contiguous(memory_format=torch.channels_last)):
        kept = strided.clone()
        result = cutout(strided, corners, side, fill)
        np.testing.assert_array_equal(result.numpy(), expected)
        assert result.stride() == strided.stride()
        assert result.dtype == torch.uint8
        assert torch.equal(strided, kept)


def test_every_place_is_equally_likely_and_none_sticks_out() -> None:
    corners = random_corners(50_000, 12, (16, 14), torch.Generator().manual_seed(0))
    counts = (corners[:, 0] * 3 + corners[:, 1]).bincount(minlength=15).double()  # 5 rows, 3 columns
    assert counts.shape == (15,)
    assert ((counts - 50_000 / 15).abs() < 4 * (50_000 / 15) ** 0.5).all()
