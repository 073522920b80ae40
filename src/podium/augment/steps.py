"""A step of the augmentation: what it draws for each image of a batch, and what it does with that."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from podium.runtime import send

__all__ = ["Batch", "Step", "on_some", "random_coins"]


@dataclass(frozen=True)
class Batch:
    """What draws depend on.

    Attributes:
        indices: int64 (N,), places of the images in the training set.
        size: (H, W) of the images as they come.
        epoch: from 0.
        generator: on the CPU.
    """

    indices: Tensor
    size: tuple[int, int]
    epoch: int
    generator: torch.Generator


@dataclass(frozen=True)
class Step:
    """One of the pipeline's steps.

    Attributes:
        name: of the recipe key that turns it on.
        draw: makes a tensor of N rows, a fixed amount for each image; of no columns for a step without chance.
        apply: (pixels, what was drawn) → pixels, both uint8 (N, C, H, W).
        stays: whether what was drawn stays on the CPU, for `apply` to choose images by it without asking a GPU.
    """

    name: str
    draw: Callable[[Batch], Tensor]
    apply: Callable[[Tensor, Tensor], Tensor]
    stays: bool = False

    @staticmethod
    def fixed(name: str, apply: Callable[[Tensor], Tensor]) -> "Step":
        """A step without chance."""
        return Step(
            name, lambda batch: torch.empty((len(batch.indices), 0)), lambda pixels, _: apply(pixels), stays=True
        )


def random_coins(num_images: int, probability: float, generator: torch.Generator) -> Tensor:
    """True with a probability: bool (N,) on the CPU."""
    return torch.rand(num_images, generator=generator) < probability


def on_some(change: Callable[[Tensor], Tensor], pixels: Tensor, chosen: Tensor) -> Tensor:
    """Some images changed, the others as they are.

    Args:
        change: of images, keeps shape and dtype.
        pixels: (N, C, H, W).
        chosen: bool (N,) on the CPU.

    Returns:
        Of the shape and dtype of `pixels`; `pixels` itself if none is chosen.
    """
    index = chosen.nonzero().flatten()
    if not len(index):
        return pixels
    index = send(index, pixels.device)
    out = pixels.clone()
    out[index] = change(pixels[index])
    return out
