"""Test-time augmentation: the mean of the logits over several views of an image.

Source: arXiv 2404.00498 section 3.5 for mirror_translate; hiverge's cifar10-speedrun for giving all views to the least
sure images only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F

__all__ = ["NUM_VIEWS", "VIEW_WEIGHTS", "least_sure", "logits_with_tta", "views"]

Net = Callable[[Tensor], Tensor]

VIEW_WEIGHTS = {"none": (1.0,), "mirror": (0.5, 0.5), "mirror_translate": (0.25, 0.25, *4 * (0.125,))}
"""What the logits of each of an image's `views` count, by kind of test-time augmentation."""

NUM_VIEWS = {name: len(weights) for name, weights in VIEW_WEIGHTS.items()}
"""How often an image goes through the net, by kind of test-time augmentation."""


def logits_with_tta(net: Net, pixels: Tensor, tta: str, first: Tensor | None = None) -> Tensor:
    """Mean float32 logits (N, K) over the views of uint8 `pixels` (N, 3, H, W).

    Args:
        net: uint8 pixels to logits.
        pixels: as read.
        tta: "none"; "mirror": the mean with the mirrored image; "mirror_translate": half of that, and half of the mean
            of the same for the image shifted by one pixel up and left, and down and right, borders reflected.
        first: the logits of the first view, `pixels` as they are, if they are known already.
    """
    if first is None:
        first = net(pixels)
    if tta == "none":
        return first
    both = 0.5 * (first + net(pixels.flip(3)))
    if tta == "mirror":
        return both
    assert tta == "mirror_translate", tta
    up_left, down_right = _shifted(pixels)
    return 0.5 * both + 0.25 * (_mirror(net, up_left) + _mirror(net, down_right))


def views(pixels: Tensor, tta: str) -> list[Tensor]:
    """What `logits_with_tta` shows the net: as many (N, 3, H, W) as `VIEW_WEIGHTS[tta]` has weights, in their order."""
    if tta == "none":
        return [pixels]
    both = [pixels, pixels.flip(3)]
    if tta == "mirror":
        return both
    assert tta == "mirror_translate", tta
    return both + [view for one in _shifted(pixels) for view in (one, one.flip(3))]


def _shifted(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """By one pixel up and left, and down and right, borders reflected."""
    height, width = pixels.shape[2:]
    padded = F.pad(pixels.float(), (1, 1, 1, 1), mode="reflect").to(pixels.dtype)  # reflect isn't there for uint8
    return padded[:, :, 2:, 2:], padded[:, :, :height, :width]


def least_sure(logits: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """The rows, ascending, of the `count` images whose most probable class has the lowest probability.

    Of equally sure ones the first are taken: which they are depends on the logits (N, K) alone.
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    sureness = 1 / np.exp(shifted).sum(1)  # (N,), the softmax's largest
    return np.sort(np.argsort(sureness, kind="stable")[:count])


def _mirror(net: Net, pixels: Tensor) -> Tensor:
    return 0.5 * (net(pixels) + net(pixels.flip(3)))
