"""Muon for convolution filters.

Source: Jordan et al., "Muon: an optimizer for hidden layers" (2024), in the variant of airbench94_muon: each filter
bank is a matrix of one row an output channel, its update is orthogonalised, and its norm is fixed before each step, in
place of weight decay. torch.optim.Muon takes matrices only and has no fixed norm.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalize"]

# A quintic whose iteration drives singular values in (0, 1] into about [0.7, 1.2]; steep at 0, so that few steps do.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor, num_iterations: int, dtype: torch.dtype) -> Tensor:
    """Pushes all singular values of `matrix` (R, C) towards 1, by Newton-Schulz iteration.

    The iteration X ← p(X Xᵀ) X is carried out on the Gram matrix, whose side is the shorter one of X: of two products
    with X each time, only the first and the last remain, which for a 256 × 2304 filter bank halves the operations. The
    products with X are in `dtype`, the small ones in float32; in bf16 that is closer to the exact iteration, too.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.to(dtype)
    x = x.div(x.norm() + 1e-7)  # the largest singular value must not exceed 1
    is_wide = matrix.shape[0] <= matrix.shape[1]
    wide = x if is_wide else x.T  # the shorter side first: the smaller Gram matrix
    gram = (wide @ wide.T).float()
    product: Tensor | None = None
    for iteration in range(num_iterations):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)  # p(G) = a I + b G + c G²
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if iteration + 1 < num_iterations:
            gram = factor @ gram @ factor  # of the next X; p(G) is symmetric
    if product is not None:
        wide = product.to(dtype) @ wide
    return wide if is_wide else wide.T


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised.

    Args:
        params: 4-D filters (or matrices), one row an output channel.
        lr: step length; the update's singular values are about 1.
        momentum: of the gradient's running sum.
        num_iterations: of Newton-Schulz.
        dtype: that these are computed in; bf16 is enough.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        num_iterations: int = 3,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.num_iterations = num_iterations
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every filter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                buffer = state["momentum_buffer"]
                buffer.mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad.add(buffer, alpha=group["momentum"])
                update = orthogonalize(ahead.reshape(len(ahead), -1), self.num_iterations, self.dtype)
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.sub_(update.view(weight.shape).to(weight.dtype), alpha=group["lr"])
