"""Checkpoint: everything needed to go on, as one safetensors file; nothing in it is executed when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
from torch import Tensor, nn

from podium.errors import RunError
from podium.files import write_atomically
from podium.models import Preprocessing
from podium.world import World

__all__ = ["Part", "State", "load", "save"]


class Part(Protocol):
    """Something whose tensors a checkpoint keeps: the optimizers, the order, the average of the weights."""

    def state(self) -> dict[str, Tensor]:
        """What it needs to go on."""

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave. Raises KeyError or RuntimeError if it is another training's."""


@dataclass
class State:
    """Where a training stands.

    With the weights and the parts' tensors this is all: random draws are named by seed and step.

    Attributes:
        step: steps done.
        loss_sum: of this epoch so far, summed over its images.
        num_hits: of this epoch so far: images whose class was right when they were trained on; a blended one may count
            in part.
        num_seen: of this epoch so far.
        train_seconds: spent on steps, over all sittings.
        shares: of several processes, the part of loss_sum and num_hits that each holds; empty for one.
    """

    step: int = 0
    loss_sum: float = 0.0
    num_hits: float = 0.0
    num_seen: int = 0
    train_seconds: float = 0.0
    shares: list[list[float]] = field(default_factory=list)

    def sums_of(self, world: World) -> list[float]:
        """What this process goes on from: its own sums; where there are more or fewer processes now, rank 0 has all."""
        if len(self.shares) == world.size:
            return self.shares[world.rank]
        return [self.loss_sum, self.num_hits] if world.is_first else [0.0, 0.0]


def save(path: Path, state: State, network: nn.Module, preprocessing: Preprocessing, parts: Mapping[str, Part]) -> None:
    """Writes the checkpoint, whole or not at all. Raises StorageError; the one before then stays."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for part, kept in parts.items():
        tensors |= {f"{part}.{name}": tensor for name, tensor in kept.state().items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"state": json.dumps(asdict(state)), "preprocessing": preprocessing.to_json()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))


def load(path: Path, network: nn.Module, preprocessing: Preprocessing, parts: Mapping[str, Part]) -> State:
    """Puts what `save` kept back into `network` and the parts.

    Raises:
        RunError: the file is damaged, or of another network or data.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if json.loads(header["preprocessing"]) != json.loads(preprocessing.to_json()):
            raise ValueError("its images were preprocessed otherwise")
        network.load_state_dict(_under("network.", tensors))
        for part, kept in parts.items():
            kept.load_state(_under(f"{part}.", tensors))
        return _state(json.loads(header["state"]))
    except Exception as error:  # a damaged file can be damaged anyhow
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise RunError(f"{path} can't be resumed from: {reason}.\nTrain anew into another folder.") from error


def _state(values: dict[str, Any]) -> State:
    """Raises ValueError or TypeError if it is no state."""
    state = State(**values)
    counts, numbers = (state.step, state.num_seen), (state.loss_sum, state.num_hits, state.train_seconds)
    if not all(type(count) is int and 0 <= count < 1 << 53 for count in counts):
        raise ValueError("its steps can't be")
    if not all(
        type(number) in (int, float) for number in [*numbers, *(one for share in state.shares for one in share)]
    ):
        raise ValueError("its sums are no numbers")
    return state


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
