"""The registry: a model is found by name, and says what it needs."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from podium.errors import RecipeError

__all__ = ["Entry", "create", "entries", "register"]

Builder = Callable[[int], nn.Module]
"""num_classes → a module that maps float (N, 3, H, W) to logits (N, num_classes)."""


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        name: unique.
        build: makes the module.
        num_parameters: with 10 classes, buffers not counted; a test holds it.
        min_size: the smallest side in pixels that the net can take.
        source: the paper or project it comes from.
    """

    name: str
    build: Builder
    num_parameters: int
    min_size: int
    source: str


_entries: dict[str, Entry] = {}


def register(name: str, *, num_parameters: int, min_size: int, source: str) -> Callable[[Builder], Builder]:
    """Decorates a builder (num_classes → module) so that `create(name)` finds it.

    Raises:
        ValueError: the name is taken.
    """

    def add(build: Builder) -> Builder:
        if name in _entries:
            raise ValueError(f"A model named '{name}' is registered already.")
        _entries[name] = Entry(name, build, num_parameters, min_size, source)
        return build

    return add


def entries() -> list[Entry]:
    """All registered models, by name."""
    return [_entries[name] for name in sorted(_entries)]


def create(name: str, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """Builds a model with freshly initialised weights, drawn from torch's global generator.

    Args:
        name: as registered.
        num_classes: K, at least 2.
        image_size: height and width of the images it is for, in pixels.

    Raises:
        RecipeError: an unknown name (the nearest is named), or images too small for the net.
    """
    if name not in _entries:
        close = difflib.get_close_matches(name, _entries, n=1)
        nearest = f"; the nearest is '{close[0]}'" if close else ""
        raise RecipeError(f"There is no model '{name}'{nearest}.\nModels: {', '.join(sorted(_entries))}.")
    entry = _entries[name]
    if min(image_size) < entry.min_size:
        height, width = image_size
        raise RecipeError(
            f"Model '{name}' takes images of at least {entry.min_size}×{entry.min_size} pixels; "
            f"these are {height}×{width}.\nResize them (--image-size {entry.min_size}), or choose another model."
        )
    return entry.build(num_classes)
