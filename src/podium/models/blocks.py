"""What several architectures are made of.

Shapes: N images, C channels, side S.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["StochasticDepth", "auxiliary_prefixes", "average_pool", "depth_rates", "he_init"]


class StochasticDepth(nn.Module):
    """Drops a residual branch for some images, each with its own coin, and scales it up for the others.

    Source: arXiv 1603.09382. We toss a coin an image rather than one a batch, and scale in training rather than in
    evaluation, as most do now.

    Args:
        rate: probability that an image's branch is dropped.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        if not self.training or not self.rate:
            return x
        kept = torch.empty((len(x), 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(1 - self.rate)
        return x * (kept / (1 - self.rate))


def depth_rates(rate: float, num_blocks: int) -> Iterator[float]:
    """Each block's probability to be dropped: it rises linearly to `rate` at the last one (section 3 there)."""
    return (rate * (number + 1) / num_blocks for number in range(num_blocks))


def he_init(network: nn.Module) -> None:
    """Convolutions normal with variance 2 / fan-out, BN 1 and 0, linear layers as torch has them but with bias 0.

    Source: arXiv 1502.01852.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def auxiliary_prefixes(network: nn.Module) -> tuple[str, ...]:
    """What the names of the parameters begin with that only training has; empty if there are none such."""
    return tuple(f"{name}." for name in getattr(network, "auxiliary_names", ()))


def average_pool(x: Tensor) -> Tensor:
    """The mean of each channel over all places: (N, C, S, S) → (N, C)."""
    return x.mean((2, 3))
