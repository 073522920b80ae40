"""Weights that others trained: public files put into a network, its head left new where the classes differ.

Nothing in a file is executed: safetensors hold tensors only, and torch's files are read with `weights_only=True`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from podium.errors import PodiumError, WeightsError
from podium.models.blocks import auxiliary_prefixes
from podium.models.torch_files import is_bounded

__all__ = ["dims", "fitting_weights", "head_name", "load_weights", "read_weights"]

_CONTAINERS = ("state_dict", "model", "model_state_dict")  # keys under which training scripts keep weights
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
# torchvision's DenseNet files are older than its names: denselayer1.norm.1.weight is denselayer1.norm1.weight
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_NUM_NAMED = 3


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of one that torch saved, by name, prefixes taken off.

    Raises:
        WeightsError: the file is missing, damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            loaded: object = safetensors.torch.load_file(path)
        elif not is_bounded(path):
            raise WeightsError(
                f"{path} is compressed, or asks for memory that its bytes don't fill: torch saves no weights so.\n"
                "Save the network's state_dict alone, best as safetensors."
            )
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except PodiumError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}.") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged, or holds more than tensors, which isn't loaded since it could execute anything.\n"
            "Save the network's state_dict alone, best as safetensors."
        ) from error
    except (
        Exception
    ) as error:  # on damaged files torch's reader raises nearly everything: IndexError, AssertionError, …
        raise WeightsError(f"{path} is no file of weights, or damaged. Copy or download it anew.") from error
    for key in _CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds no tensors by name. It takes a network's state_dict.")
    if odd := [name for name, value in loaded.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise WeightsError(f"{path} holds no tensors by name: {odd[0]!r} is none. It takes a network's state_dict.")
    return {_plain(name): tensor for name, tensor in loaded.items()}


def load_weights(network: nn.Module, path: Path) -> list[str]:
    """Puts the weights of a file into `network`; its head keeps its own where the number of classes differs.

    Auxiliary heads that only one of both has are left out, and so are BN's counters of batches.

    Args:
        network: of the architecture that the file was saved from.
        path: a .safetensors file, or one that torch saved.

    Returns:
        The names of the parameters that stayed as they were: those of a head for other classes.

    Raises:
        WeightsError: the file can't be read, or what it lacks, has too much or has in another shape, all in one.
    """
    taken, kept = fitting_weights(network, path)
    network.load_state_dict({**network.state_dict(), **taken})
    return kept


def fitting_weights(network: nn.Module, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """What `load_weights` would put into `network`, which may be without memory, and what it would leave.

    Raises:
        WeightsError: as `load_weights`.
    """
    found = read_weights(path)
    own = network.state_dict()
    auxiliary, head = auxiliary_prefixes(network), head_name(network)
    heads = [name for name in own if name.rpartition(".")[0] == head or name.startswith(auxiliary)]
    kept = [name for name in heads if name in found and _differs_in_classes(own[name], found[name])]
    kept += [name for name in own if name.startswith(auxiliary) and name not in found]

    missing = [name for name in own if name not in found and name not in kept and not _is_counter(name)]
    unexpected = [name for name in found if name not in own and not name.startswith(auxiliary)]
    reshaped = [
        f"{name} {dims(found[name].shape)} instead of {dims(own[name].shape)}"
        for name in own
        if name in found and name not in kept and found[name].shape != own[name].shape
    ]
    if missing or unexpected or reshaped:
        parts = [("lacks", missing), ("has besides", unexpected), ("has in another shape", reshaped)]
        said = "; ".join(f"{what} {_some(names)}" for what, names in parts if names)
        raise WeightsError(
            f"{path} isn't of this network: it {said}.\n"
            "Choose the model, or its form (--set form=imagenet or cifar), that it was trained as."
        )
    return {name: found[name] for name in own if name in found and name not in kept}, kept


def head_name(network: nn.Module) -> str:
    """Name of the last linear layer, which gives the logits."""
    auxiliary = auxiliary_prefixes(network)
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    return [name for name in names if not name.startswith(auxiliary)][-1]


def dims(shape: Sequence[int]) -> str:
    """A shape as messages say it."""
    return "×".join(map(str, shape)) or "a scalar"


def _plain(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    return _OLD_DENSENET.sub(r"\1\2", name)


def _differs_in_classes(own: Tensor, other: Tensor) -> bool:
    """Whether only the first dimension, that of the outputs, differs."""
    return own.ndim == other.ndim and own.shape[1:] == other.shape[1:] and own.shape != other.shape


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NUM_NAMED:,} more" if len(names) > _NUM_NAMED else ""
    return ", ".join(names[:_NUM_NAMED]) + more
