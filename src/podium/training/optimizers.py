"""Optimizers: a recipe's groups of parameters, each with its optimizer, learning rate and schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from podium.errors import RecipeError
from podium.recipe import Recipe
from podium.training import schedules
from podium.training.lion import Lion
from podium.training.muon import Muon
from podium.training.schedules import Schedule
from podium.training.timetable import Timetable

__all__ = ["Optimizers"]

_KEPT = ("momentum_buffer", "exp_avg", "exp_avg_sq", "step")  # what optimizers keep of a parameter


class Optimizers:
    """Steps all trainable parameters of a network as a recipe says.

    Args:
        network: whose parameters are trained.
        recipe: names the optimizer, its rates and its schedule.
        timetable: the training's steps, for the schedules.
        compute_dtype: of Muon's matrix products.

    Raises:
        RecipeError: the recipe's optimizer doesn't fit the network.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, timetable: Timetable, compute_dtype: torch.dtype) -> None:
        self._names = {parameter: name for name, parameter in network.named_parameters()}
        self._schedules: list[tuple[dict[str, Any], float, Schedule]] = []
        self._keeps_rate = recipe.optimizer == "sgd" and recipe.momentum_form == "mxnet"
        self._frozen_from: dict[nn.Parameter, int] = {}
        schedule = schedules.from_recipe(recipe, timetable)
        self._timetable = timetable
        if recipe.optimizer == "muon":
            self._all = self._build_muon(network, recipe, schedule, timetable, compute_dtype)
        else:
            self._all = self._build_plain(network, recipe, schedule)

    def step(self, step: int) -> None:
        """Applies the gradients at step number `step`, then drops them."""
        for group, rate, schedule in self._schedules:
            group["lr"] = rate * schedule(step)
            if self._keeps_rate and step > 0 and schedule(step) != schedule(step - 1) > 0:
                self._scale_momentum(group["params"], schedule(step - 1) / schedule(step))
        for optimizer in self._all:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.freeze(step + 1)

    def freeze(self, step: int) -> None:
        """Stops computing gradients for the parameters that are no longer trained from `step` on."""
        for parameter, end in self._frozen_from.items():
            if self._timetable.position(step) >= end:
                parameter.requires_grad_(False)

    def state(self) -> dict[str, Tensor]:
        """What each parameter's optimizer keeps of it, by the parameter's name."""
        return {
            f"{name}.{key}": value
            for optimizer, name, parameter in self._parameters()
            for key, value in optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave."""
        for optimizer, name, parameter in self._parameters():
            for key in _KEPT:
                if (kept := state.get(f"{name}.{key}")) is None:
                    continue
                # empty_like keeps the memory format, on which the order of summation depends
                like = torch.empty_like(parameter if kept.ndim else kept, device=parameter.device)
                optimizer.state[parameter][key] = like.copy_(kept)

    def _scale_momentum(self, parameters: list[nn.Parameter], factor: float) -> None:
        """MXNet's velocity is in units of weights, torch's of gradients: where the rate falls, the latter must grow."""
        for optimizer in self._all:
            for parameter in parameters:
                if parameter in optimizer.state:
                    optimizer.state[parameter]["momentum_buffer"].mul_(factor)

    def _parameters(self) -> Iterator[tuple[torch.optim.Optimizer, str, nn.Parameter]]:
        for optimizer in self._all:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield optimizer, self._names[parameter], parameter

    def _schedule(self, optimizer: torch.optim.Optimizer, *each: Schedule) -> torch.optim.Optimizer:
        for group, schedule in zip(optimizer.param_groups, each, strict=True):
            self._schedules.append((group, group["lr"], schedule))
        return optimizer

    def _build_plain(self, network: nn.Module, recipe: Recipe, schedule: Schedule) -> list[torch.optim.Optimizer]:
        """One optimizer for all: groups with and without weight decay."""
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        decayed = [parameter for parameter in trained if recipe.decay_all or parameter.ndim > 1]
        others = [parameter for parameter in trained if not recipe.decay_all and parameter.ndim <= 1]
        groups = [
            {"params": some, "weight_decay": decay}
            for some, decay in ((decayed, recipe.weight_decay), (others, 0.0))
            if some
        ]
        rate, betas = recipe.learning_rate, recipe.betas
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "adamw":
            near, far = betas or (0.9, 0.999)
            optimizer = torch.optim.AdamW(groups, lr=rate, betas=(near, far), fused=True)
        elif recipe.optimizer == "lion":
            near, far = betas or (0.9, 0.99)
            optimizer = Lion(groups, lr=rate, betas=(near, far))
        else:
            optimizer = torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)
        return [self._schedule(optimizer, *[schedule] * len(groups))]

    def _build_muon(
        self,
        network: nn.Module,
        recipe: Recipe,
        schedule: Schedule,
        timetable: Timetable,
        compute_dtype: torch.dtype,
    ) -> list[torch.optim.Optimizer]:
        trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        whiten = [trained.pop(name) for name in list(trained) if name.endswith("whiten.bias")]
        filters = [parameter for parameter in trained.values() if parameter.ndim == 4]
        biases = [parameter for parameter in trained.values() if parameter.ndim == 1]
        heads = [parameter for parameter in trained.values() if parameter.ndim == 2]
        if not (filters and heads):
            raise RecipeError(
                f"Optimizer 'muon' needs convolutions and a linear head; model '{recipe.model}' lacks them."
            )
        bias_rate, head_rate, decay = recipe.bias_learning_rate, recipe.head_learning_rate, recipe.weight_decay
        groups = [
            {"params": biases, "lr": bias_rate, "weight_decay": decay / bias_rate},
            {"params": heads, "lr": head_rate, "weight_decay": decay / head_rate},
        ]
        each = [schedule, schedule]
        if whiten:
            num_whiten_steps = timetable.plan.step_of(recipe.whiten_bias_epochs)
            self._frozen_from = dict.fromkeys(whiten, num_whiten_steps)
            groups.append({"params": whiten, "lr": bias_rate, "weight_decay": decay / bias_rate})
            each.append(lambda step: schedules.linear(timetable.position(step), num_whiten_steps))
        sgd = torch.optim.SGD(
            [group for group in groups if group["params"]],
            momentum=recipe.sgd_momentum,
            nesterov=recipe.sgd_momentum > 0,
            fused=True,
        )
        each = [one for group, one in zip(groups, each, strict=True) if group["params"]]
        muon = Muon(filters, lr=recipe.learning_rate, momentum=recipe.momentum, dtype=compute_dtype)
        return [self._schedule(sgd, *each), self._schedule(muon, schedule)]
