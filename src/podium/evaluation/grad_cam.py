"""Grad-CAM: where in an image a network found what speaks for a class.

Source: arXiv 1610.02391 section 3. The feature maps are found by watching a forward pass, so any network will do.

Shapes: N images of H×W pixels, K classes, C feature maps of h×w places.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from podium.models import Classifier

__all__ = ["grad_cam"]

Hook = Callable[[nn.Module, object, object], Tensor | None]


def grad_cam(classifier: Classifier, pixels: Tensor, classes: Tensor, min_side: int = 1) -> Tensor:
    """Heat maps: each feature map weighted by the mean gradient of the class's logit with respect to it.

    Args:
        classifier: is put into evaluation mode.
        pixels: uint8 (N, 3, H, W), on the classifier's device.
        classes: int64 (N,): whose logit, for each image.
        min_side: the maps are the network's last ones of at least so many places a side, or its largest if it has none
            such. 1 takes the last ones that have more than one place.

    Returns:
        float32 (N, h, w) from 0, where nothing speaks for the class, to 1 at each image's highest place. All 0 for an
        image in which nothing does.
    """
    classifier.eval()
    maps = _Maps(_last_maps(classifier, pixels[:1], min_side))
    with torch.enable_grad(), maps.watched(classifier):
        logits = classifier(pixels)  # (N, K)
        chosen = logits.gather(1, classes[:, None]).sum()  # images don't mix in evaluation mode
        (gradient,) = torch.autograd.grad(chosen, maps.values())  # (N, C, h, w)
    weights = gradient.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    heat = F.relu((weights * maps.values().detach()).sum(1).float())  # (N, h, w)
    highest = heat.amax((1, 2), keepdim=True)
    return torch.where(highest > 0, heat / highest.clamp_min(torch.finfo(heat.dtype).tiny), 0.0)


class _Maps:
    """Keeps the feature maps of one forward pass: the output of the n-th module that ends."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._seen = 0
        self._kept: Tensor | None = None

    def values(self) -> Tensor:
        assert self._kept is not None
        return self._kept

    def watched(self, classifier: nn.Module) -> _Hooks:
        return _Hooks(classifier, self._hook)

    def _hook(self, module: nn.Module, inputs: object, output: object) -> Tensor | None:
        self._seen += 1
        if self._seen - 1 != self._number or not isinstance(output, Tensor):
            return None
        self._kept = output if output.requires_grad else output.requires_grad_()
        return self._kept.clone()  # what works in place later on leaves the kept ones as they are


class _Hooks:
    """Within it, `hook` is called after each module of a network."""

    def __init__(self, network: nn.Module, hook: Hook) -> None:
        self._network, self._hook = network, hook

    def __enter__(self) -> None:
        self._handles = [module.register_forward_hook(self._hook) for module in self._network.modules()]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _last_maps(classifier: Classifier, pixels: Tensor, min_side: int) -> int:
    """Which module, counted as they end in a forward pass, gives the maps that `grad_cam` wants."""
    sides: list[int] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        is_map = isinstance(output, Tensor) and output.ndim == 4
        sides.append(min(output.shape[2:]) if is_map else 0)  # type: ignore[attr-defined]

    with torch.no_grad(), _Hooks(classifier, note):
        classifier(pixels)
    wanted = min(max(min_side, 2), max(sides))
    return max(number for number, side in enumerate(sides) if side >= wanted)
