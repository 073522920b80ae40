"""Translation by whole pixels: with reflect padding (arXiv 2404.00498, section 3.1), or with one colour."""

import torch
from torch import Tensor

__all__ = ["random_shifts", "translate"]


def translate(pixels: Tensor, shifts: Tensor, pad: int, fill: Tensor | None = None) -> Tensor:
    """Move each image by its own whole number of pixels; what comes in at an edge is reflected, or of one colour.

    Output pixel (y, x) is input pixel (r(y + dy), r(x + dx)), where r reflects about the outermost pixel without
    repeating it: -1 → 1, H → H - 2. That is a crop at (pad + dy, pad + dx) of the image padded by `pad`, be it so or
    with `fill`.

    Args:
        pixels: any dtype (N, C, H, W), any strides; fastest in channels_last.
        shifts: int64 (N, 2): (dy, dx) of each image, in -pad … pad.
        pad: the largest shift, below H and W.
        fill: (C,), of the dtype and device of `pixels`; None: reflected.

    Returns:
        The same shape and dtype, channels_last.
    """
    num_images, channels, height, width = pixels.shape
    nhwc = pixels.permute(0, 2, 3, 1)  # (N, H, W, C)
    if fill is None:
        left, right = nhwc[:, :, 1 : pad + 1].flip(2), nhwc[:, :, width - pad - 1 : width - 1].flip(2)
    else:
        left = right = fill.expand(num_images, height, pad, channels)
    rows = torch.cat((left, nhwc, right), dim=2).view(num_images * height, (width + 2 * pad) * channels)
    # Every start of a row of W pixels inside the padded one, as a view; one indexing then copies whole rows.
    windows = rows.unfold(1, width * channels, channels)  # (N·H, 2·pad + 1, W·C)
    y = torch.arange(height, device=pixels.device) + shifts[:, :1]  # (N, H)
    near = (height - 1) - (y.abs() - (height - 1)).abs()  # rows reflect through the index and need no padding
    row = near + height * torch.arange(num_images, device=pixels.device)[:, None]  # (N, H)
    out = windows[row, pad + shifts[:, 1:]]  # (N, H, W·C)
    out = out.view(num_images, height, width, channels)
    if fill is not None:
        out = torch.where((y == near)[:, :, None, None], out, fill)
    return out.permute(0, 3, 1, 2)  # (N, C, H, W)


def random_shifts(num_images: int, pad: int, generator: torch.Generator) -> Tensor:
    """Uniform whole shifts in -pad … pad, down and right drawn apart: int64 (N, 2) on the CPU."""
    return torch.randint(-pad, pad + 1, (num_images, 2), generator=generator)  # (N, 2)
