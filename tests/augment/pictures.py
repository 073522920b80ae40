"""Pictures to try operations on, and Pillow to compare them with."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

FILL = (10, 200, 99)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise, a narrow range, few levels, a slope, and one plain colour, in turn; NHWC in memory: uint8 (N, 3, H, W)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (n, height, width, 3))
    for i in range(1, n):
        if i % 5 == 1:
            noise[i] = noise[i] // rng.integers(2, 9) + rng.integers(0, 100)
        elif i % 5 == 2:
            noise[i] = noise[i] // 100 * 100
        elif i % 5 == 3:
            slope = np.arange(height)[:, None, None] + np.arange(width)[:, None]
            noise[i] = (slope * rng.integers(1, 9, 3) + rng.integers(0, 200)) % 256
        elif i % 5 == 4:
            noise[i] = rng.integers(0, 256, 3)
    return torch.from_numpy(noise.astype(np.uint8)).permute(0, 3, 1, 2)


def layouts(pixels: Tensor) -> Iterator[Tensor]:
    """The same images with other strides."""
    yield pixels.contiguous()
    yield pixels.contiguous(memory_format=torch.channels_last)
    yield pixels.transpose(0, 1).contiguous().transpose(0, 1)
    yield torch.cat((pixels, pixels), dim=3)[..., : pixels.shape[3]]


def in_pillow(change: Callable[..., Image.Image], pixels: Tensor, *parameters: Any) -> Tensor:
    """Each image changed by Pillow, with its own one of each list of parameters: uint8 (N, 3, H, W)."""
    images = [Image.fromarray(image) for image in pixels.permute(0, 2, 3, 1).contiguous().numpy()]
    changed = [change(*both) for both in zip(images, *parameters, strict=True)]
    return torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in changed])).permute(0, 3, 1, 2)


def sides(most: int = 14) -> st.SearchStrategy[tuple[int, int]]:
    """Sizes (H, W), down to a pixel, mostly not square."""
    return st.tuples(st.integers(1, most), st.integers(1, most))


seeds = st.integers(0, 2**31)
