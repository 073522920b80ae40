"""A stand-in for the two things that the scripts take from torchvision, for machines without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

import torch
from torch import Tensor

__all__ = ["install_if_missing"]


class Normalize:
    """(images - mean) / std, in the images' own dtype, as torchvision does it.

    Args:
        mean: per channel.
        std: per channel.
    """

    def __init__(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        self.mean, self.std = mean, std

    def __call__(self, images: Tensor) -> Tensor:
        """Normalises float images (…, C, H, W)."""
        mean = torch.as_tensor(self.mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=images.dtype, device=images.device).view(-1, 1, 1)
        return images.clone().sub_(mean).div_(std)


def _no_download(*_args: Any, **_options: Any) -> NoReturn:
    raise FileNotFoundError("cifar10/train.pt and cifar10/test.pt aren't in the working folder")


def install_if_missing() -> bool:
    """Puts the stand-in in torchvision's place if torchvision can't be imported; says whether it did."""
    try:
        import torchvision
        import torchvision.transforms  # noqa: F401
    except Exception:  # beside another torch than its own it raises what it likes
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    else:
        return False
    package, transforms, datasets = (
        ModuleType(name) for name in ("torchvision", "torchvision.transforms", "torchvision.datasets")
    )
    transforms.Normalize = Normalize  # type: ignore[attr-defined]
    datasets.CIFAR10 = _no_download  # type: ignore[attr-defined]
    package.transforms, package.datasets = transforms, datasets  # type: ignore[attr-defined]
    for module in (package, transforms, datasets):
        sys.modules[module.__name__] = module
    return True
