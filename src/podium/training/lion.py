"""Lion: the sign of a running mean of gradients.

Source: arXiv 2302.06675, algorithm 2. torch has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Lion"]


class Lion(torch.optim.Optimizer):
    """Each weight moves by `lr`, in the direction of the sign of its mean gradient, and shrinks by lr · weight_decay.

    Args:
        params: parameters, or groups of them.
        lr: step length; a third to a tenth of AdamW's.
        betas: how much of the running mean the step takes beside the new gradient, and how slowly the mean follows.
        weight_decay: decoupled; three to ten times AdamW's.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            near, far = group["betas"]
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["exp_avg"] = torch.zeros_like(weight)
            grads: list[Tensor] = [weight.grad for weight in weights]
            means: list[Tensor] = [self.state[weight]["exp_avg"] for weight in weights]
            updates = torch._foreach_lerp(grads, means, near)  # near · mean + (1 - near) · gradient
            torch._foreach_sign_(updates)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_sub_(weights, updates, alpha=group["lr"])
            torch._foreach_lerp_(means, grads, 1 - far)
