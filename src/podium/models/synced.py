"""Batch normalisation over all processes' images, so that many small parts are normalised as the one batch they make.

torch has this for GPUs only (`nn.SyncBatchNorm`); here is the processor's.

Each process measures its own mean and variance. They are put together by Chan, Golub and LeVeque's formula (1979), in
float64, which is as exact as two passes over all images and takes one exchange; going back takes another.

Shapes: N images, C channels, side S; n = N S S values a channel of a process, m of all.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from podium.world import World

__all__ = ["SyncedNorm", "sync_norms"]


class SyncedNorm(nn.BatchNorm2d):
    """BN whose statistics are all processes'. Takes over the tensors of `norm`; a process may have no image at all.

    Args:
        norm: what it stands for, with a running mean and variance.
        world: the processes; each calls `forward` as often as the others, and goes back as often.
    """

    def __init__(self, norm: nn.BatchNorm2d, world: World) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta")
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(norm, name))
        self.train(norm.training)
        self.world = world

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        if not self.training:
            return super().forward(x)
        y, mean, var, count = _SyncedNorm.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.world, self.eps
        )
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(var * (count / (count - 1)), rate)
        return y  # type: ignore[no-any-return]


class _SyncedNorm(torch.autograd.Function):
    """y = γ (x − μ) / σ + β, μ and σ of all processes' x."""  # noqa: RUF002

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, world: World, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        with torch.autocast("cpu", enabled=False):
            channels = x.shape[1]
            mine = torch.zeros(2 * channels + 1, dtype=torch.float64)  # n, means, variances
            if x.numel():
                mine = torch.cat([mine.new_tensor([x.numel() // channels]), *_mean_and_variance(x, gamma)])
            counts, means, variances = torch.split(world.stack(mine), [1, channels, channels], dim=1)
            count = float(counts.sum())  # m
            if count <= 1:
                raise ValueError("BN needs more than one value a channel in training.")
            mean = (counts * means).sum(0) / count
            var = (counts * (variances + (means - mean) ** 2)).sum(0) / count
            mean, var = mean.to(gamma.dtype), var.to(gamma.dtype)
            y = F.batch_norm(x, mean, var, gamma, beta, training=False, eps=eps) if x.numel() else x.clone()
        ctx.save_for_backward(x, gamma, mean, var)
        ctx.world, ctx.eps, ctx.count = world, eps, count
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, mean, var = ctx.saved_tensors
        dy = grads[0]  # (N, C, S, S)
        with torch.autocast("cpu", enabled=False):
            dgamma, dbeta = torch.zeros_like(gamma), torch.zeros_like(gamma)
            if x.numel():
                _, dgamma, dbeta = torch.ops.aten.native_batch_norm_backward(
                    dy, x, gamma, mean, var, None, None, False, ctx.eps, [False, True, True]
                )
            # Σ dy (x − μ) / σ and Σ dy, over all processes' values  # noqa: RUF003
            along, level = ctx.world.sum(torch.stack([dgamma, dbeta])) / ctx.count
            inverse = (var + ctx.eps).rsqrt()
            scale = gamma * inverse
            slope = -scale * along * inverse  # of dx over x
            offset = -scale * level - slope * mean
            dx = x * _wide(slope, x) + _wide(offset, x)
            dx = dx.addcmul_(dy, _wide(scale, x))
        return dx, dgamma, dbeta, None, None


def _mean_and_variance(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """float64 (C,) each of x (N, C, S, S).

    BN's own kernel adds up in float32, one value after the other: in a channel that is nearly constant the error of its
    mean is most of its variance, and differs from process to process. The sum is exact enough, and takes it out again.
    """
    mean = x.sum((0, 2, 3), dtype=like.dtype).double() / (x.numel() // x.shape[1])
    still = torch.zeros_like(like), torch.ones_like(like)
    rough, var = torch.batch_norm_update_stats(x, *still, 0.0)
    return mean, (var.double() - (rough.double() - mean) ** 2).clamp_(min=0)


def sync_norms(network: nn.Module, world: World, device: torch.device) -> None:
    """Has every BN of a network take all processes' statistics; nothing changes where there is one process.

    Args:
        network: with BN for images; its parameters and their names stay.
        world: the processes.
        device: that the network will be on.
    """
    if world.size == 1:
        return
    _keep_out_of_graphs()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                synced = (
                    SyncedNorm(child, world) if device.type == "cpu" else nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
                )
                setattr(module, name, synced)


@cache
def _keep_out_of_graphs() -> None:
    """Has torch.compile leave these layers alone. Not when imported: that would load the compiler, for seconds."""
    SyncedNorm.forward = torch.compiler.disable(SyncedNorm.forward)  # type: ignore[method-assign, no-untyped-call]


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)
