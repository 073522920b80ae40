"""Checkpoint: everything needed to go on, as one safetensors file; nothing in it is executed when read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from podium.errors import RunError
from podium.files import write_atomically
from podium.models import Preprocessing
from podium.training.optimizers import Optimizers
from podium.training.order import Order

__all__ = ["State", "load", "save"]


@dataclass
class State:
    """Where a training stands.

    With the weights, the momentum and, where learned images are left out, their losses this is all: random draws are
    named by seed and step.

    Attributes:
        step: steps done.
        loss_sum: of this epoch so far, summed over its images.
        num_hits: of this epoch so far: images whose class was right when they were trained on.
        num_seen: of this epoch so far.
        train_seconds: spent on steps, over all sittings.
    """

    step: int = 0
    loss_sum: float = 0.0
    num_hits: int = 0
    num_seen: int = 0
    train_seconds: float = 0.0


def save(
    path: Path, state: State, network: nn.Module, optimizers: Optimizers, order: Order, preprocessing: Preprocessing
) -> None:
    """Writes the checkpoint, whole or not at all. Raises StorageError; the one before then stays."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizers.state().items()}
    tensors |= {f"order.{name}": tensor for name, tensor in order.state().items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"state": json.dumps(asdict(state)), "preprocessing": json.dumps(asdict(preprocessing))}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))


def load(path: Path, network: nn.Module, optimizers: Optimizers, order: Order, preprocessing: Preprocessing) -> State:
    """Puts weights, momentum and what is known of the images back into `network`, `optimizers` and `order`.

    Raises:
        RunError: the file is damaged, or of another network or data.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if json.loads(header["preprocessing"]) != json.loads(json.dumps(asdict(preprocessing))):
            raise ValueError("its images were preprocessed otherwise")
        network.load_state_dict(_under("network.", tensors))
        optimizers.load_state(_under("optimizer.", tensors))
        order.load_state(_under("order.", tensors))
        return State(**json.loads(header["state"]))
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} can't be resumed from: {reason}.\nTrain anew into another folder.") from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
