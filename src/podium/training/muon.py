"""Muon for convolution filters.

Source: Jordan et al., "Muon: an optimizer for hidden layers" (2024), in the variant of airbench94_muon: each filter
bank is a matrix of one row an output channel, its update is orthogonalised, and its norm is fixed before each step, in
place of weight decay. torch.optim.Muon takes matrices only and has no fixed norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalize"]

# A quintic whose iteration drives singular values in (0, 1] into about [0.7, 1.2]; steep at 0, so that few steps do.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor, num_iterations: int, dtype: torch.dtype) -> Tensor:
    """Pushes all singular values of `matrix` (R, C), or of each of (M, R, C), towards 1, by Newton-Schulz iteration.

    The iteration X ← p(X Xᵀ) X is carried out on the Gram matrix, whose side is the shorter one of X: of two products
    with X each time, only the first and the last remain, which for a 256 × 2304 filter bank halves the operations. The
    products with X are in `dtype`, the small ones in float32; in bf16 that is closer to the exact iteration, too.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.to(dtype)
    x = x.div(torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value may exceed 1
    is_wide = matrix.shape[-2] <= matrix.shape[-1]
    wide = x if is_wide else x.mT  # the shorter side first: the smaller Gram matrix
    gram = (wide @ wide.mT).float()
    add_product = torch.addmm if gram.ndim == 2 else torch.baddbmm
    product: Tensor | None = None
    for iteration in range(num_iterations):
        factor = add_product(gram, gram, gram, beta=b, alpha=c)  # p(G) = a I + b G + c G²
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if iteration + 1 < num_iterations:
            gram = factor @ gram @ factor  # of the next X; p(G) is symmetric
    if product is not None:
        wide = product.to(dtype) @ wide
    return wide if is_wide else wide.mT


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
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
            grads = [weight.grad for weight in weights]
            buffers = [self.state[weight]["momentum_buffer"] for weight in weights]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, grads)
            ahead = torch._foreach_add(grads, buffers, alpha=group["momentum"])
            norms = torch._foreach_norm(weights)
            torch._foreach_mul_(weights, [len(one) ** 0.5 / norm for one, norm in zip(weights, norms, strict=True)])
            torch._foreach_sub_(weights, self._orthogonalized(ahead), alpha=group["lr"])

    def _orthogonalized(self, filters: Sequence[Tensor]) -> list[Tensor]:
        """Each filter bank's update; on a GPU those of one shape together, since they are too small to fill it."""
        shapes: dict[object, list[int]] = {}
        for place, one in enumerate(filters):
            shapes.setdefault((one.shape, one.dtype) if one.is_cuda else place, []).append(place)
        updates = list(filters)
        for places in shapes.values():
            matrices = [filters[place].reshape(len(filters[place]), -1) for place in places]
            stack = matrices[0] if len(matrices) == 1 else torch.stack(matrices)
            some = orthogonalize(stack, self.num_iterations, self.dtype)
            for place, update in zip(places, [some] if some.ndim == 2 else some, strict=True):
                updates[place] = update.view(filters[place].shape).to(filters[place].dtype)
        return updates
