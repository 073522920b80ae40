"""Images as small PNGs within the page, so that it needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["LARGEST_SIDE", "Fetch", "data_uri", "heat_uri"]

Bytes = npt.NDArray[np.uint8]
Fetch = Callable[[npt.NDArray[np.int64]], Bytes]
"""Rows, int64 (M,), to their images, uint8 (M, H, W, 3)."""

LARGEST_SIDE = 96
"""In pixels, of a picture on the page; larger images are shrunk. It bounds the page's size."""
_HEAT_SIDE = 96
_HEAT_COLOURS = np.array([[8, 10, 60, 175], [70, 20, 110, 150], [214, 60, 70, 95], [255, 190, 40, 60]], np.float64)
"""RGB and opacity, from the coldest to the warmest place: the dark is left where the network didn't look."""


def data_uri(pixels: Bytes) -> str:
    """uint8 (H, W, 3), or (H, W, 4) with transparency, as a PNG in a URI; at most LARGEST_SIDE a side."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def heat_uri(heat: npt.NDArray[np.float32]) -> str:
    """A heat map (h, w) of [0, 1] as a half-transparent PNG to lie over its picture."""
    side = Image.fromarray(heat.astype(np.float32)).resize((_HEAT_SIDE, _HEAT_SIDE), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(side, np.float64), 0, 1)
    places = np.linspace(0, 1, len(_HEAT_COLOURS))
    colours = np.stack([np.interp(smooth, places, channel) for channel in _HEAT_COLOURS.T], -1)
    levels = np.round(colours / 8) * 8  # few levels make a small file
    return data_uri(np.clip(levels, 0, 255).astype(np.uint8))
