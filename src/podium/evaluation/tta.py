"""Test-time augmentation: the mean of the logits over several views of an image.

Source: arXiv 2404.00498 section 3.5 for mirror_translate.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

__all__ = ["logits_with_tta"]

Net = Callable[[Tensor], Tensor]


def logits_with_tta(net: Net, pixels: Tensor, tta: str) -> Tensor:
    """Mean float32 logits (N, K) over the views of uint8 `pixels` (N, 3, H, W).

    Args:
        net: uint8 pixels to logits.
        pixels: as read.
        tta: "none"; "mirror": the mean with the mirrored image; "mirror_translate": half of that, and half of the mean
            of the same for the image shifted by one pixel up and left, and down and right, borders reflected.
    """
    if tta == "none":
        return net(pixels)
    if tta == "mirror":
        return _mirror(net, pixels)
    assert tta == "mirror_translate", tta
    height, width = pixels.shape[2:]
    padded = F.pad(pixels.float(), (1, 1, 1, 1), mode="reflect").to(pixels.dtype)  # reflect isn't there for uint8
    up_left, down_right = padded[:, :, 2:, 2:], padded[:, :, :height, :width]
    return 0.5 * _mirror(net, pixels) + 0.25 * (_mirror(net, up_left) + _mirror(net, down_right))


def _mirror(net: Net, pixels: Tensor) -> Tensor:
    return 0.5 * (net(pixels) + net(pixels.flip(3)))
