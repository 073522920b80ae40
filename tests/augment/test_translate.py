"""Translation against numpy's reflect padding."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.augment import translate
from podium.augment.translate import random_shifts


@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 12), st.integers(2, 12), st.data())
@settings(max_examples=60)
def test_translate_is_a_crop_of_numpys_reflected_image(
    n: int, channels: int, height: int, width: int, data: st.DataObject
) -> None:
    pad = data.draw(st.integers(1, min(height, width) - 1))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    pixels = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)
    shifts = random_shifts(n, pad, generator)
    padded = np.pad(pixels.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="reflect")
    expected = [
        image[:, pad + dy : pad + dy + height, pad + dx : pad + dx + width]
        for image, (dy, dx) in zip(padded, shifts.tolist(), strict=True)
    ]
    for strided in (pixels, pixels.contiguous(memory_format=torch.channels_last)):
        result = translate(strided, shifts, pad)
        np.testing.assert_array_equal(result.numpy(), np.stack(expected))
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert result.dtype == torch.uint8
    assert torch.equal(translate(pixels, torch.zeros_like(shifts), pad), pixels)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 12), st.integers(2, 12), st.data())
@settings(max_examples=60)
def test_with_a_colour_it_is_a_crop_of_numpys_padded_image(
    n: int, channels: int, height: int, width: int, data: st.DataObject
) -> None:
    pad = data.draw(st.integers(1, min(height, width) - 1))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    pixels = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)
    fill = torch.randint(0, 256, (channels,), dtype=torch.uint8, generator=generator)
    shifts = random_shifts(n, pad, generator)
    padded = fill.view(1, -1, 1, 1).expand(n, channels, height + 2 * pad, width + 2 * pad).clone()
    padded[:, :, pad : pad + height, pad : pad + width] = pixels
    expected = [
        image[:, pad + dy : pad + dy + height, pad + dx : pad + dx + width]
        for image, (dy, dx) in zip(padded, shifts.tolist(), strict=True)
    ]
    for strided in (pixels, pixels.contiguous(memory_format=torch.channels_last)):
        result = translate(strided, shifts, pad, fill)
        assert torch.equal(result, torch.stack(expected))
        assert result.is_contiguous(memory_format=torch.channels_last)


def test_every_shift_is_equally_likely_and_both_axes_are_independent() -> None:
    shifts = random_shifts(50_000, 2, torch.Generator().manual_seed(0))
    counts = ((shifts[:, 0] + 2) * 5 + shifts[:, 1] + 2).bincount(minlength=25).double()
    assert counts.shape == (25,)
    assert ((counts - 2000).abs() < 4 * 2000**0.5).all()
