"""The registry: a model is found by name, and says what forms it has and what they need."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from podium.errors import RecipeError

__all__ = ["Builder", "Entry", "Form", "create", "entries", "entry", "register", "resolve_form"]

Builder = Callable[..., nn.Module]
"""num_classes, and flat options by keyword → a module that maps float (N, 3, H, W) to logits (N, num_classes).

The option `form` says which of the declared forms is wanted; a model with one form doesn't take it. In training a
module may give a list of logits, its own first, then those of its auxiliary heads.
"""

_IMAGENET_SIZE = 96  # the smallest side that "auto" takes for large images
_WORDS = {"dropout": "dropout", "stochastic_depth": "stochastic depth", "auxiliary_heads": "auxiliary heads"}


@dataclass(frozen=True)
class Form:
    """A model for small images ("cifar") or large ones ("imagenet").

    Attributes:
        num_parameters: with `num_classes` classes and without auxiliary heads, buffers not counted; a test holds it.
        min_size: the smallest side in pixels that the net can take.
        num_classes: that `num_parameters` is declared for: the data set's which the form is named after.
        image_size: that the form is made for, in pixels; operations are counted there.
    """

    num_parameters: int
    min_size: int
    num_classes: int
    image_size: int


def cifar(num_parameters: int, *, min_size: int = 8) -> Form:
    """For CIFAR-10: 10 classes, 32×32 pixels."""
    return Form(num_parameters, min_size, 10, 32)


def imagenet(num_parameters: int, *, min_size: int = 32) -> Form:
    """For ImageNet: 1,000 classes, 224×224 pixels."""
    return Form(num_parameters, min_size, 1000, 224)


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        name: unique.
        build: makes the module.
        forms: by name: "cifar", "imagenet" or both.
        options: the keywords that `build` takes besides `form`.
        source: the paper or project it comes from.
    """

    name: str
    build: Builder
    forms: Mapping[str, Form]
    options: frozenset[str]
    source: str


_entries: dict[str, Entry] = {}


def register(name: str, *, source: str, **forms: Form) -> Callable[[Builder], Builder]:
    """Decorates a builder so that `create(name)` finds it.

    Args:
        name: unique.
        source: the paper or project it comes from.
        forms: what it has, by name: cifar, imagenet.

    Raises:
        ValueError: the name is taken.
    """

    def add(build: Builder) -> Builder:
        if name in _entries:
            raise ValueError(f"A model named '{name}' is registered already.")
        _, *options = inspect.signature(build).parameters
        assert ("form" in options) == (len(forms) > 1), name
        _entries[name] = Entry(name, build, forms, frozenset(options) - {"form"}, source)
        return build

    return add


def entries() -> list[Entry]:
    """All registered models, by name."""
    return [_entries[name] for name in sorted(_entries)]


def entry(name: str) -> Entry:
    """The model of that name. Raises RecipeError, which names the nearest, if there is none."""
    if name not in _entries:
        close = difflib.get_close_matches(name, _entries, n=1)
        nearest = f"; the nearest is '{close[0]}'" if close else ""
        raise RecipeError(f"There is no model '{name}'{nearest}.\nModels: {', '.join(sorted(_entries))}.")
    return _entries[name]


def resolve_form(name: str, form: str, image_size: tuple[int, int]) -> str:
    """The form that `form`, which may be "auto", means for images of that height and width.

    Raises:
        RecipeError: an unknown name, a form that the model doesn't have, or images too small for it.
    """
    found = entry(name)
    if form == "auto":
        wanted = "imagenet" if min(image_size) >= _IMAGENET_SIZE else "cifar"
        form = wanted if wanted in found.forms else next(iter(found.forms))
    if form not in found.forms:
        raise RecipeError(f"Model '{name}' has no form '{form}'; it has: {', '.join(found.forms)}.")
    smallest = found.forms[form].min_size
    if min(image_size) < smallest:
        height, width = image_size
        raise RecipeError(
            f"Model '{name}', form {form}, takes images of at least {smallest}×{smallest} pixels; "
            f"these are {height}×{width}.\nResize them (--image-size {smallest}), or choose another model or form."
        )
    return form


def create(
    name: str, num_classes: int, image_size: tuple[int, int], *, form: str = "auto", **options: float | bool
) -> nn.Module:
    """Builds a model with freshly initialised weights, drawn from torch's global generator.

    Args:
        name: as registered.
        num_classes: K, at least 2.
        image_size: height and width of the images it is for, in pixels.
        form: "cifar", "imagenet", or "auto": by the images' size.
        options: what the model is built with besides: `dropout`, `stochastic_depth`, `auxiliary_heads`. One that is 0
            or False may be given to any model.

    Raises:
        RecipeError: an unknown name (the nearest is named), a form or option that the model doesn't have, or images too
            small for it.
    """
    form = resolve_form(name, form, image_size)
    found = entry(name)
    given = {option: value for option, value in options.items() if value}
    for option in given.keys() - found.options:
        able = ", ".join(one.name for one in entries() if option in one.options)
        raise RecipeError(f"Model '{name}' has no {_WORDS.get(option, option)}; these have: {able}.")
    if len(found.forms) > 1:
        return found.build(num_classes, form=form, **given)
    return found.build(num_classes, **given)
