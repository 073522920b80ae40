"""Batch normalisation that costs no pass of its own: folded into the 1×1 convolution before or behind it, in training.

A net of narrow bottlenecks is bound by memory, not by arithmetic: on a CPU, each pass of a BN over a wide tensor costs
as much as the 1×1 convolution beside it. BN is affine per channel once its statistics are known, and so is a 1×1
convolution:

- BN → 1×1 (`norm_conv`): the statistics are those of the input; the scale goes into the convolution's weights. The
  normalised tensor is never written, and the gradient reaches the input in one pass, the skip connection's included.
- 1×1 → BN → + skip (`conv_norm_add`): the statistics of W z follow from those of the narrow z: its mean is W E[z], its
  variances are diag(W Cov(z) Wᵀ). The convolution's output is written once, as the block's.
- convolution with bias → BN (`conv_norm`): the batch's mean takes the bias out again, so it is never added.

The mathematics is BN's, running statistics included; the order of rounding differs. Each function falls back to the
plain modules where that doesn't apply: evaluation, no gradients, another device than a CPU, unusual layers, statistics
that several processes share.

Shapes: N images, C channels before and K after the convolution, side S, n = N S S values a channel.
"""
# ruff: noqa: RUF002, RUF003  # formulas in Greek

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["conv_norm", "conv_norm_add", "norm_conv"]


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """`norm(conv(x))`; in training without adding the convolution's bias, whose gradient is 0.

    Args:
        x: float (N, C, S, S).
        conv: any convolution.
        norm: of its output.

    Returns:
        float (N, K, S', S'), safe to be changed in place.
    """
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    if conv.bias is None or not plain or not _learns(norm) or norm.momentum in (None, 1):
        return norm(conv(x))  # type: ignore[no-any-return]
    y = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    mean, rate = norm.running_mean, norm.momentum
    assert mean is not None
    assert rate is not None
    with torch.no_grad():
        _count(norm)
        mean.add_(conv.bias, alpha=rate / (1 - rate))  # so that (1 − rate) mean + rate (E[y] + bias) comes out
    bias = norm.bias + 0 * conv.bias  # the convolution's bias has a gradient too, as weight decay wants
    return F.batch_norm(y, mean, norm.running_var, norm.weight, bias, training=True, momentum=rate, eps=norm.eps)


def norm_conv(x: Tensor, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """`conv(norm(x))` and `x`, for a 1×1 convolution without bias or activation in between.

    Args:
        x: float (N, C, S, S).
        norm: of x.
        conv: 1×1, stride 1, no bias; anything else is computed plainly.

    Returns:
        float (N, K, S, S), and x again: use this one for the skip connection, so that both gradients meet in one pass.
        Don't change it in place.
    """
    if not _folds(x, norm, conv):
        return conv(norm(x)), x
    x = _cast(x)
    _count(norm)
    y, same = _NormConv.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, conv.weight, norm.running_mean, norm.running_var, norm.momentum, norm.eps
    )
    return y, same


def conv_norm_add(z: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, skip: Tensor) -> Tensor:
    """`norm(conv(z)) + skip`, for a 1×1 convolution without bias.

    Args:
        z: float (N, C, S, S). Pays where C is smaller than K.
        conv: 1×1, stride 1, no bias; anything else is computed plainly.
        norm: of the convolution's output.
        skip: float (N, K, S, S).

    Returns:
        float (N, K, S, S).
    """
    if not _folds(z, norm, conv):
        return norm(conv(z)) + skip  # type: ignore[no-any-return]
    z = _cast(z)
    _count(norm)
    return _ConvNormAdd.apply(  # type: ignore[no-any-return,no-untyped-call]
        z, skip.to(z.dtype), norm.weight, norm.bias, conv.weight,
        norm.running_mean, norm.running_var, norm.momentum, norm.eps,
    )  # fmt: skip


class _NormConv(torch.autograd.Function):
    """y = W s (x − μ) + W β with s = γ / σ: a convolution with the weights W s and the bias W β − W s μ."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        weight: Tensor,  # (K, C, 1, 1)
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", enabled=False):
            mean, var = torch.batch_norm_update_stats(x, running_mean, running_var, momentum)
            sigma = (var + eps).sqrt()  # (C,)
            matrix = weight.flatten(1)  # (K, C)
            folded = (matrix * (gamma / sigma)).to(x.dtype)
            y = F.conv2d(x, _filters(folded), (matrix @ beta - folded.to(mean.dtype) @ mean).to(x.dtype))
        ctx.save_for_backward(x, gamma, beta, weight, mean, sigma)
        ctx.set_materialize_grads(False)
        return y, x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gamma, beta, weight, mean, sigma = ctx.saved_tensors
        dy, dskip = grads  # (N, K, S, S), (N, C, S, S)
        if dy is None:
            return dskip, *[None] * 7
        with torch.autocast("cpu", enabled=False):
            matrix, scale, count = weight.flatten(1), gamma / sigma, x.numel() // x.shape[1]
            folded = (matrix * scale).to(x.dtype)  # (K, C)
            dfolded, dbias = _weight_gradients(dy, x, folded, mean.dtype)  # (K, C), (K,)
            dbeta = matrix.T @ dbias  # (C,)
            dscale = (dfolded * matrix).sum(0) - mean * dbeta
            dweight = dfolded * scale + torch.outer(dbias, beta - scale * mean)
            slope = -dscale * gamma / (sigma**3 * count)  # of dx over x, through the variance
            offset = -scale * dbeta / count - slope * mean
            slope = slope.to(x.dtype).view(1, -1, 1, 1)
            dx = x * slope if dskip is None else torch.addcmul(dskip, x, slope)
            dx = _add_conv(dx, dy, folded.T, offset)
        return dx, dscale / sigma, dbeta, dweight.view_as(weight), None, None, None, None


class _ConvNormAdd(torch.autograd.Function):
    """y = skip + s (W z − W m) + β with s = γ / σ, σ² = diag(W Cov(z) Wᵀ): one convolution that adds to `skip`."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        skip: Tensor,
        gamma: Tensor,
        beta: Tensor,
        weight: Tensor,  # (K, C, 1, 1)
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            matrix = weight.flatten(1)  # (K, C)
            rows = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).to(matrix.dtype)  # (n, C), a view if channels_last
            mean = rows.mean(0)  # (C,)
            rows = rows - mean
            covariance = rows.T @ rows / len(rows)  # (C, C)
            mixed = matrix @ covariance  # (K, C)
            var = (mixed * matrix).sum(1)  # (K,)
            running_mean.lerp_(matrix @ mean, momentum)
            running_var.lerp_(var * (len(rows) / (len(rows) - 1)), momentum)
            sigma = (var + eps).sqrt()
            folded = (matrix * (gamma / sigma)[:, None]).to(z.dtype)
            y = _conv_plus(z, folded, beta - folded.to(mean.dtype) @ mean, skip)
        ctx.save_for_backward(z, gamma, weight, mean, mixed, sigma)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, gamma, weight, mean, mixed, sigma = ctx.saved_tensors
        (dy,) = grads  # (N, K, S, S)
        with torch.autocast("cpu", enabled=False):
            matrix, scale, count = weight.flatten(1), gamma / sigma, z.numel() // z.shape[1]
            folded = (matrix * scale[:, None]).to(z.dtype)  # (K, C)
            dfolded, dbeta = _weight_gradients(dy, z, folded, mean.dtype)  # (K, C), (K,)
            dscale = (dfolded * matrix).sum(1) - matrix @ mean * dbeta  # (K,)
            dvar = -dscale * gamma / (2 * sigma**3)
            dweight = dfolded * scale[:, None] + 2 * dvar[:, None] * mixed - torch.outer(scale * dbeta, mean)
            slopes = matrix.T @ (matrix * dvar[:, None]) * (2 / count)  # (C, C), of dz over z, through the covariance
            offset = -(scale * dbeta) @ matrix / count - slopes @ mean  # (C,)
            dz = F.conv2d(dy, _filters(folded.T), offset.to(z.dtype))
            dz = _add_conv(dz, z, slopes, None)
        return dz, dy, dscale / sigma, dbeta, dweight.view_as(weight), None, None, None, None


def _learns(norm: nn.BatchNorm2d) -> bool:
    """Whether gradients go through the batch's statistics, and running ones are kept as an exponential average."""
    usual = norm.affine and norm.track_running_stats and norm.momentum is not None
    return type(norm) is nn.BatchNorm2d and norm.training and usual and torch.is_grad_enabled()


def _folds(x: Tensor, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> bool:
    plain = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and conv.groups == 1
    several = x.numel() > x.shape[1]  # of a single value there is no variance: torch's BN says so
    return _learns(norm) and x.device.type == "cpu" and plain and several and conv.bias is None


def _count(norm: nn.BatchNorm2d) -> None:
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)


def _cast(x: Tensor) -> Tensor:
    """What autocast does to a convolution's input."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x


def _filters(matrix: Tensor) -> Tensor:
    return matrix.contiguous()[:, :, None, None]


def _weight_gradients(dy: Tensor, x: Tensor, matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Gradients (K, C) and (K,) of a 1×1 convolution's weights and bias."""
    _, dweight, _ = torch.ops.aten.convolution_backward(
        dy, x, _filters(matrix), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
    )
    # convolution_backward would give the bias' too, in twice the time that the sum takes
    return dweight.flatten(1).to(dtype), dy.sum((0, 2, 3)).to(dtype)


def _conv_plus(x: Tensor, matrix: Tensor, bias: Tensor, other: Tensor) -> Tensor:
    """Returns other + matrix x + bias, in one pass where oneDNN can."""
    weight, bias = _filters(matrix), bias.to(x.dtype)
    if _one_pass(x, other):
        # x, other, weight, bias, padding, stride, dilation, groups, operation, its factor, activation and its arguments
        return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
            x, other, weight, bias, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, None, [], None
        )
    return F.conv2d(x, weight, bias).add_(other)


def _add_conv(total: Tensor, x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """Returns total + matrix x + bias, computed in place."""
    weight, bias = _filters(matrix.to(x.dtype)), None if bias is None else bias.to(x.dtype)
    if _one_pass(x, total):
        return torch.ops.mkldnn._convolution_pointwise_.binary(  # type: ignore[no-any-return]
            total, x, weight, bias, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, None, [], None
        )
    return total.add_(F.conv2d(x, weight, bias))


def _one_pass(x: Tensor, other: Tensor) -> bool:
    """Whether oneDNN's fused sum takes these: float32, or bf16 where the processor has it; channels_last."""
    if x.dtype != other.dtype or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    fits = x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return fits and all(one.is_contiguous(memory_format=torch.channels_last) for one in (x, other))
