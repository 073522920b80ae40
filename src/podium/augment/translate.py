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
    num_rows, wide = num_images * height, width + 2 * pad
    rows = pixels.new_empty((num_rows + 1, wide * channels))  # the last one has the colour all along
    padded = rows[:-1].view(num_images, height, wide, channels)
    padded[:, :, pad : pad + width] = nhwc
    y = torch.arange(height, device=pixels.device) + shifts[:, :1]  # (N, H)
    start = height * torch.arange(num_images, device=pixels.device)[:, None]
    if fill is None:
        padded[:, :, :pad] = nhwc[:, :, 1 : pad + 1].flip(2)
        padded[:, :, pad + width :] = nhwc[:, :, width - pad - 1 : width - 1].flip(2)
        # rows reflect through the index and need no padding
        row = start + (height - 1) - (y.abs() - (height - 1)).abs()
    else:
        colour_row = rows[-1].view(wide, channels)
        colour_row[:] = fill
        padded[:, :, :pad] = padded[:, :, pad + width :] = colour_row[:pad]
        row = torch.where((y >= 0) & (y < height), start + y, num_rows)
    # Every start of a row of W pixels inside the padded one, as a view; one indexing then copies whole rows.
    windows = rows.unfold(1, width * channels, channels)  # (N·H + 1, 2·pad + 1, W·C)
    out = windows[row, pad + shifts[:, 1:]]  # (N, H, W·C)
    return out.view(num_images, height, width, channels).permute(0, 3, 1, 2)  # (N, C, H, W)


def random_shifts(num_images: int, pad: int, generator: torch.Generator) -> Tensor:
    """Uniform whole shifts in -pad … pad, down and right drawn apart: int64 (N, 2) on the CPU."""
    return torch.randint(-pad, pad + 1, (num_images, 2), generator=generator)  # (N, 2)
