"""A heat map as a picture that lies over the one it is of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from podium.delivery.report.pictures import data_uri

__all__ = ["heat_png"]

_SIDE = 96  # pixels; a browser makes it as large as the picture, smoothly
_COLOURS = np.array([[16, 24, 90, 70], [120, 30, 140, 110], [236, 80, 60, 165], [255, 214, 70, 205]], np.float64)
"""RGB and opacity from the coldest to the warmest place. The report's small pictures are darkened where it is cold; a
large one is to be seen under it."""


def heat_png(heat: npt.NDArray[np.float32]) -> str:
    """A heat map (h, w) of [0, 1] as a half-transparent PNG in a data: URL."""
    side = Image.fromarray(heat.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(side, np.float64), 0, 1)
    places = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(smooth, places, channel) for channel in _COLOURS.T], -1)  # (S, S, 4)
    levels = np.round(colours / 4) * 4  # few levels make a small file
    return data_uri(np.clip(levels, 0, 255).astype(np.uint8))
