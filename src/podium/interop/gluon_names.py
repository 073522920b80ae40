"""Which array of a Gluon file is which parameter of podium's seed networks, and the other way.

Gluon names a parameter after the attributes that lead to it, so its name depends on how the network was written down:
one flat sequence or nested stages, `bn1` or `norm1`, under `net.` or not. `export` and MXNet's older `save_params`
count by kind instead (`hybridsequential0_residual3_conv1_weight`). What doesn't depend on that is the order of the
convolutions, of the normalisations and of the dense layers, each kind for itself, and their shapes. Reading goes by
these.

Writing takes the names that the seed's own files have: one flat sequence, 0 and 1 the first convolution and its BN,
from 3 on the blocks, with `conv1`, `bn1`, `conv2`, … in each and the shortcut as its last convolution (`conv3` in the
ResNet-18, `conv4` in the ResNet-164 v2), then the last BN where there is one, then the dense layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from podium.errors import WeightsError
from podium.models import create
from podium.models.seed import SeedResNet18, SeedResNet164V2
from podium.models.weights import dims

__all__ = ["NAMED_MODELS", "check_named", "from_gluon", "to_gluon"]

NAMED_MODELS = ("seed_resnet18", "seed_resnet164_v2")
"""The models whose Gluon names are known."""

_CONV, _NORM, _DENSE = "convolution", "normalisation", "dense layer"
_MODULES: dict[str, type[nn.Module]] = {_CONV: nn.Conv2d, _NORM: nn.BatchNorm2d, _DENSE: nn.Linear}
_NORM_NAMES = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
_PARAMETERS = ("weight", "bias", *_NORM_NAMES.values())
_NUM_SHOWN = 3  # faults of a kind in a message


def check_named(model: str) -> None:
    """Raises WeightsError unless the model's Gluon names are known."""
    if model not in NAMED_MODELS:
        raise WeightsError(
            f"Gluon's names for model '{model}' aren't known; they are for {' and '.join(NAMED_MODELS)}."
        )


def from_gluon(arrays: Mapping[str, Tensor], model: str, source: str = "the file") -> dict[str, Tensor]:
    """A Gluon file's arrays as the state of podium's network.

    Args:
        arrays: as `read_params` gives them.
        model: one of NAMED_MODELS.
        source: of the arrays, for the message.

    Returns:
        What the network's `load_state_dict` takes, float32; BN's counters of batches, which MXNet lacks, are 0. The
        number of classes is the number of rows of "head.weight".

    Raises:
        WeightsError: arrays are missing, too many, of other shapes or no floats: all of it in one message.
    """
    layers = _layers(arrays, source)
    dense = [layer for layer in layers if layer.kind == _DENSE]
    num_classes = len(dense[0].arrays["weight"]) if len(dense) == 1 else 10
    network = _without_memory(model, num_classes)
    state = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if _is_counter(name)}
    faults = _Faults()
    if num_classes < 2:
        faults.others.append("one output is no choice between classes")
    counts_fit = True
    for kind, module_type in _MODULES.items():
        ours = [(path, module) for path, module in network.named_modules() if isinstance(module, module_type)]
        theirs = [layer for layer in layers if layer.kind == kind]
        if len(ours) == len(theirs):
            for (path, module), layer in zip(ours, theirs, strict=True):
                state |= _match(path, module, layer, faults)
        else:
            counts_fit = False
            faults.others.append(f"it has {len(theirs)} {kind}s, not {len(ours)}")
    faults.unexpected += [name for layer in layers if layer.kind is None for name in layer.names()]
    if not counts_fit:  # the layers can't be told one by one; their names can, if they are the seed's
        faults.compare(set(arrays), [theirs for _, theirs in _names(network)])
    faults.raise_if_any(source, model)
    return state


def to_gluon(state: Mapping[str, Tensor], model: str) -> dict[str, Tensor]:
    """A network's state under the names of the seed's own files, in their order.

    Args:
        state: the network's `state_dict`.
        model: one of NAMED_MODELS.
    """
    network = _without_memory(model, len(state["head.weight"]))
    return {theirs: state[ours] for ours, theirs in _names(network)}


@dataclass
class _Layer:
    """One layer of a Gluon file.

    Attributes:
        name: its own, with the separator that follows it.
        arrays: by the parameter's name within the layer.
    """

    name: str
    arrays: dict[str, Tensor] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """What it must be, by what it has."""
        if self.arrays.keys() & {"gamma", "beta", "running_mean", "running_var"}:
            return _NORM
        weight = self.arrays.get("weight")
        return {2: _DENSE, 4: _CONV}.get(-1 if weight is None else weight.ndim)

    def names(self) -> list[str]:
        """The file's, whole."""
        return [self.name + parameter for parameter in self.arrays]


def _layers(arrays: Mapping[str, Tensor], source: str) -> list[_Layer]:
    """The layers in the order of the network.

    Names with dots have it in their numbers. Names without are written in the order in which the layers were made; a
    file sorted otherwise is refused, for its layers could change places without a shape to show it.
    """
    separator = "." if any("." in name for name in arrays) else "_"
    layers: dict[str, _Layer] = {}
    for name, array in arrays.items():
        parameter = next((one for one in _PARAMETERS if name.endswith(separator + one)), "")
        owner = name.removesuffix(parameter)
        layers.setdefault(owner, _Layer(owner)).arrays[parameter] = array
    if separator == ".":
        return sorted(layers.values(), key=lambda layer: _natural(layer.name))
    latest: dict[str, str] = {}
    for owner in layers:
        pattern = re.sub("[0-9]+", "#", owner)
        if _natural(owner) < _natural(latest.get(pattern, "")):
            raise WeightsError(
                f"{source} isn't in the order of a network: {_shown(latest[pattern])} stands before {_shown(owner)}.\n"
                "Save it again with Gluon's save_parameters."
            )
        latest[pattern] = owner
    return list(layers.values())


def _natural(name: str) -> list[list[tuple[int, str]]]:
    """A key that sorts "3.bn10" after "3.bn2", and numbers before words."""

    def key(part: str) -> tuple[int, str]:
        if not part.isascii() or not part.isdigit():
            return 10**9, part
        digits = part.lstrip("0")
        return len(digits), digits  # as numbers compare, of any length

    return [[key(part) for part in re.findall("[0-9]+|[^0-9]+", step)] for step in name.split(".")]


def _match(path: str, module: nn.Module, layer: _Layer, faults: _Faults) -> dict[str, Tensor]:
    """The module's part of the state from the layer that must be it."""
    state = {}
    left = dict(layer.arrays)
    for name, value in module.state_dict().items():
        if _is_counter(name):
            continue
        parameter = _NORM_NAMES[name] if layer.kind == _NORM else name
        array = left.pop(parameter, None)
        if array is None:
            faults.missing.append(layer.name + parameter)
        elif array.shape != value.shape:
            faults.others.append(f"{layer.name}{parameter} is {dims(array.shape)}, not {dims(value.shape)}")
        elif not array.is_floating_point():
            faults.others.append(f"{layer.name}{parameter} is {str(array.dtype).removeprefix('torch.')}, not float")
        else:
            state[f"{path}.{name}"] = array.float()
    faults.unexpected += [layer.name + parameter for parameter in left]
    return state


@dataclass
class _Faults:
    """What keeps a file from being the network's, in words."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def compare(self, names: set[str], wanted: list[str]) -> None:
        """Takes the seed's names for what must be there, if the file has most of them."""
        missing = [name for name in wanted if name not in names]
        if 2 * len(missing) < len(wanted):
            self.missing = missing
            self.unexpected = sorted(names.difference(wanted), key=_natural)

    def raise_if_any(self, source: str, model: str) -> None:
        """Raises WeightsError."""
        parts = [
            heading + ", ".join(map(_shown, some[:_NUM_SHOWN])) + (f" and {more} more" if more > 0 else "")
            for heading, some in (("missing ", self.missing), ("unexpected ", self.unexpected), ("", self.others))
            if some
            for more in [len(some) - _NUM_SHOWN]
        ]
        if parts:
            raise WeightsError(
                f"{source} doesn't hold a {model}: {'; '.join(parts)}.\n"
                f"If it is another network's: podium reads those of {' and '.join(NAMED_MODELS)}."
            )


def _names(network: SeedResNet18 | SeedResNet164V2) -> Iterator[tuple[str, str]]:
    """Podium's and Gluon's name of each array, in the order of the seed's files."""
    stages = [cast(nn.Sequential, stage) for stage in network.stages]
    starts = [3 + sum(map(len, stages[:number])) for number in range(len(stages) + 1)]
    has_norm = isinstance(network, SeedResNet164V2)  # then BN, ReLU, average, dense; else average, dense
    places = {
        "stem.0": "0",
        "stem.1": "1",
        "norm": str(starts[-1]),
        "head": str(starts[-1] + (3 if has_norm else 1)),
    }
    for path, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            continue
        place = places.get(path)
        if place is None:
            _, stage, block, attribute = path.split(".")
            attribute = attribute.replace("norm", "bn").replace("shortcut", "conv4" if has_norm else "conv3")
            place = f"{starts[int(stage)] + int(block)}.{attribute}"
        for name in module.state_dict():
            if not _is_counter(name):
                theirs = _NORM_NAMES[name] if isinstance(module, nn.BatchNorm2d) else name
                yield f"{path}.{name}", f"{place}.{theirs}"


def _without_memory(model: str, num_classes: int) -> SeedResNet18 | SeedResNet164V2:
    """The network with shapes and names alone."""
    assert model in NAMED_MODELS
    with torch.device("meta"):
        return cast(SeedResNet18 | SeedResNet164V2, create(model, num_classes, (32, 32)))


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _shown(text: str) -> str:
    """As a message may show it: on one line, and not at any length."""
    text = text if len(text) <= 80 else f"{text[:79]}…"
    return text if text.isprintable() else ascii(text)
