"""Gradient: from a batch to the gradients that a step takes; in parts, taken uphill or cut short if the recipe says so.

Shapes: N images a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from podium.recipe import Recipe
from podium.runtime import isolated_seed
from podium.training import setup
from podium.training.engine import Engine

__all__ = ["Batch", "Gradient"]


@dataclass(frozen=True)
class Batch:
    """What a step is computed from.

    Attributes:
        pixels: uint8 (N, 3, H, W), augmented.
        targets: int64 (N,), classes.
        weights: float32 (N,), what each loss is multiplied by; None: 1.
        partner_targets: int64 (N,), classes of the images that these are blended with; None: with none.
        part: float32 (N,), the part of `targets` in each blended image, if they are.
        indices: int64 (N,), places of the images in the training set; None: not known.
        teacher_probabilities: float32 (N, K), what a teacher says of each image; None: there is none.
        sizes: images in each part that is computed by itself; None: it is computed as one.
        num_images: of the whole step, in all processes; None: just these.
    """

    pixels: Tensor
    targets: Tensor
    weights: Tensor | None = None
    partner_targets: Tensor | None = None
    part: Tensor | None = None
    indices: Tensor | None = None
    teacher_probabilities: Tensor | None = None
    sizes: tuple[int, ...] | None = None
    num_images: int | None = None

    def split(self) -> Iterator[Batch]:
        """The parts, in order."""
        sizes = self.sizes or (len(self.targets),)
        if len(sizes) == 1:
            yield self
            return
        values = (
            self.pixels,
            self.targets,
            self.weights,
            self.partner_targets,
            self.part,
            self.teacher_probabilities,
        )
        chunks = [None if value is None else torch.split(value, list(sizes)) for value in values]
        for place in range(len(sizes)):
            pixels, targets, weights, partners, part, taught = (
                None if chunk is None else chunk[place] for chunk in chunks
            )
            assert pixels is not None
            assert targets is not None
            yield Batch(pixels, targets, weights, partners, part, teacher_probabilities=taught)


class Gradient:
    """Leaves the gradients of a batch in the network's parameters: of all processes' batches, if they share a step.

    Args:
        engine: computes the losses.
        recipe: loss_reduction, sam_radius, clip_norm.
        seed: of the training; names the draws within the network (dropout, stochastic depth).
    """

    def __init__(self, engine: Engine, recipe: Recipe, seed: int) -> None:
        self._engine = engine
        self._recipe = recipe
        self._seed = seed
        self._world = engine.runtime.world

    def __call__(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The losses of the images, float32 (N,), detached, and how far each was right, float32 (N,), in [0, 1]."""
        network = self._engine.classifier.network
        losses, hits = self._backward(batch, step)
        if self._recipe.sam_radius:
            with _climbed(network, self._recipe.sam_radius), _still_statistics(network):
                self._backward(batch, step)
        if self._recipe.clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), self._recipe.clip_norm)
        return losses, hits

    def _backward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        num_images = len(batch.targets) if batch.num_images is None else batch.num_images
        scale = setup.loss_scale(self._recipe, num_images) * self._world.size  # whose mean is taken, not the sum
        rank = [self._world.rank] if self._world.rank else []  # other images, other draws
        losses, hits, parts = [], [], list(batch.split())
        with isolated_seed(self._seed, "network", step, *rank, device=batch.pixels.device):
            for number, part in enumerate(parts, 1):
                with self._engine.apart(number < len(parts)):
                    some, right = self._engine.losses(
                        part.pixels, part.targets, part.partner_targets, part.part, part.teacher_probabilities
                    )  # (N,)
                    total = some.sum() if part.weights is None else some @ part.weights
                    torch.autograd.backward(total * scale)
                losses.append(some.detach())
                hits.append(right)
        return (losses[0], hits[0]) if len(losses) == 1 else (torch.cat(losses), torch.cat(hits))


@contextmanager
def _climbed(network: nn.Module, radius: float) -> Iterator[None]:
    """Within it the weights are `radius` further along their gradient, which is dropped (arXiv 2010.01412)."""
    weights: list[Tensor] = [parameter for parameter in network.parameters() if parameter.grad is not None]
    with torch.no_grad():
        grads = [weight.grad for weight in weights if weight.grad is not None]
        length = nn.utils.get_total_norm(grads)
        before = [weight.clone() for weight in weights]
        torch._foreach_add_(weights, list(torch._foreach_mul(grads, radius / (length + 1e-12))))
    for weight in weights:
        weight.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, before)  # exactly as they were, which a subtraction wouldn't give


@contextmanager
def _still_statistics(network: nn.Module) -> Iterator[None]:
    """Within it BN's running statistics stay: those at the climbed weights aren't the network's."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
