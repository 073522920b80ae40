"""The search space: which keys of a recipe are varied, and between what. In TOML beside the recipe, or derived.

    learning_rate = { factors = [0.1, 3] }            # times the recipe's own, on a log scale
    weight_decay = { low = 1e-5, high = 1e-2, log = true }
    translate = { low = 0, high = 4, whole = true }   # only where trials are as long as the recipe
    optimizer = { choices = ["sgd", "adamw"] }

Imports nothing heavy.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from podium.errors import RecipeError, StudyError
from podium.recipe import Recipe
from podium.recipe.rules import nearest

__all__ = ["Axis", "Space", "Value", "default_space", "narrowed", "parse_space", "settings_of", "space_to_toml"]

Value = bool | int | float | str

_FIXED = {
    "name": "it only names the run",
    "epochs": "more would always win; --epochs says how long trials are",
    "hold_out": "trials would be judged on other images",
    "hold_out_seed": "trials would be judged on other images",
    "evaluate_every": "trials are looked at after every epoch",
    "tta": "trials are judged without test-time augmentation",
    "tta_fraction": "trials are judged without test-time augmentation",
    "precision": "it is the machine's",
    "channels_last": "it is the machine's",
    "compile": "it is the machine's",
}
_DIGITS = 4  # of a number that is tried


@dataclass(frozen=True)
class Axis:
    """A key of the recipe that is varied.

    Attributes:
        low, high: between which, both included; whole numbers where the key takes such. None where there are `choices`.
        log: whether small factors count the same everywhere.
        choices: among which.
        whole: whether it is varied only where trials have the recipe's own number of epochs.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if self.choices:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        return isinstance(value, int | float) and self.low <= value <= self.high


Space = dict[str, Axis]


# ---- derived


def default_space(recipe: Recipe) -> Space:
    """What is worth varying of a recipe that declares nothing.

    Learning rates from a 30th to 10 times its own, momenta, weight decay; and, in trials as long as the recipe only,
    what pays in long trainings: short ones would always choose less of it.
    """
    is_muon = recipe.optimizer == "muon"
    found: Space = {}
    for key in ("learning_rate", *(("bias_learning_rate", "head_learning_rate") if is_muon else ())):
        found[key] = _scaled(recipe, key, 1 / 30, 10)
    if recipe.optimizer in ("sgd", "muon") and recipe.momentum > 0:
        found["momentum"] = _near_one(recipe.momentum)
    if is_muon and recipe.sgd_momentum > 0:
        found["sgd_momentum"] = _near_one(recipe.sgd_momentum)
    if recipe.weight_decay > 0:
        found["weight_decay"] = _scaled(recipe, "weight_decay", 0.1, 10)
    found["label_smoothing"] = Axis(0.0, max(0.2, min(0.9, 2 * recipe.label_smoothing)), whole=True)
    for key, most in (("dropout", 0.9), ("stochastic_depth", 0.9), ("erasing", 1.0), ("mixup", 2.0), ("cutmix", 2.0)):
        if (value := getattr(recipe, key)) > 0:
            found[key] = Axis(0.0, max(value, min(most, 2 * value)), whole=True)
    for key in ("translate", "cutout"):
        if (value := getattr(recipe, key)) > 0:
            found[key] = Axis(0, 2 * value, whole=True)
    return found


def _scaled(recipe: Recipe, key: str, low: float, high: float) -> Axis:
    value = getattr(recipe, key)
    return Axis(_rounded(low * value), _rounded(high * value), log=True)


def _near_one(momentum: float) -> Axis:
    """From three times as far from 1 to a third as far."""
    return Axis(_rounded(max(0.0, 1 - 3 * (1 - momentum))), min(_rounded(1 - (1 - momentum) / 3), max(0.999, momentum)))


# ---- declared


def parse_space(text: str, where: str, recipe: Recipe) -> Space:
    """Reads what is declared for a recipe; `where` names it in errors.

    Raises:
        StudyError: the text is no TOML, a key can't be varied or would be ignored, or its bounds are impossible.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{where} is no valid TOML: {error}.") from None
    if not values:
        raise StudyError(f"{where} varies nothing. Give it a line such as: learning_rate = {{ factors = [0.1, 3] }}")
    hints = get_type_hints(Recipe)
    for key in values:
        if key not in hints:
            raise StudyError(f"{where}: a recipe has no key '{key}'{nearest(key, hints)}.")
        if key in _FIXED:
            raise StudyError(f"{where}: {key} can't be varied: {_FIXED[key]}.")
        if hints[key] not in (bool, int, float, str):
            raise StudyError(f"{where}: {key} can't be varied: it is a list.")
    try:
        space = {key: _axis(key, value, recipe, hints[key]) for key, value in values.items()}
        _check(space, recipe)
    except (RecipeError, StudyError) as error:
        raise StudyError(f"{where}: {error}") from None
    return space


def _axis(key: str, value: object, recipe: Recipe, hint: type) -> Axis:
    if not isinstance(value, dict):
        raise StudyError(f"{key} takes a table such as {{ low = 1, high = 3 }}, not {value!r}.")
    kinds = [name for name in ("factors", "choices", "low") if name in value]
    known = {"factors": ["factors", "log"], "choices": ["choices"], "low": ["low", "high", "log"]}
    if len(kinds) != 1:
        raise StudyError(f"{key} takes either low and high, or factors, or choices.")
    for name in value:
        if name not in [*known[kinds[0]], "whole"]:
            raise StudyError(f"{key} takes no '{name}' beside {kinds[0]}{nearest(name, known[kinds[0]])}.")
    flags = {name: value.get(name, False) for name in ("log", "whole")}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise StudyError(f"{key}: {name} is true or false, not {flag!r}.")
    if kinds[0] == "choices":
        return _choices(key, value["choices"], whole=flags["whole"])
    if hint not in (int, float):
        raise StudyError(f"{key} is no number: give it choices.")
    if kinds[0] == "factors":
        return _factors(key, value["factors"], recipe, hint, log=value.get("log", True), whole=flags["whole"])
    bounds: list[Any] = [value["low"], value.get("high")]
    if not all(_is_number(bound) and (hint is float or isinstance(bound, int)) for bound in bounds):
        kind = "whole numbers" if hint is int else "numbers"
        raise StudyError(f"{key}: low and high are {kind}, not {bounds[0]!r} and {bounds[1]!r}.")
    low, high = (hint(bound) for bound in bounds)
    return _bounded(key, low, high, log=flags["log"], whole=flags["whole"])


def _choices(key: str, choices: object, *, whole: bool) -> Axis:
    if not isinstance(choices, list) or len(set(map(repr, choices))) < 2 or len(choices) > 100:
        raise StudyError(f"{key}: choices is a list of two values or more, up to 100.")
    if not all(isinstance(choice, bool | str) or _is_number(choice) for choice in choices):
        raise StudyError(f"{key}: choices are words, numbers, true or false.")
    return Axis(choices=tuple(choices), whole=whole)


def _factors(key: str, factors: object, recipe: Recipe, hint: type, *, log: bool, whole: bool) -> Axis:
    if not (isinstance(factors, list) and len(factors) == 2 and all(_is_number(one) and one > 0 for one in factors)):
        raise StudyError(f"{key}: factors are two numbers above 0, such as [0.1, 10].")
    own = getattr(recipe, key)
    if own == 0:
        raise StudyError(f"{key} is 0 in the recipe, so factors of it are 0: give low and high.")
    low, high = (_rounded(own * factor) for factor in factors)
    if hint is int:
        low, high = max(1, round(low)) if log else round(low), round(high)
    return _bounded(key, low, high, log=log, whole=whole)


def _bounded(key: str, low: float, high: float, *, log: bool, whole: bool) -> Axis:
    if not low < high:
        raise StudyError(f"{key}: it can't go from {low:g} to {high:g}: the first must be the lower.")
    if log and low <= 0:
        raise StudyError(f"{key}: on a log scale low must be above 0.")
    return Axis(low, high, log=log, whole=whole)


def _check(space: Space, recipe: Recipe) -> None:
    """Raises RecipeError if an end of an axis can't be in a recipe, or would be ignored whatever else is chosen."""
    decided = [key for key, axis in space.items() if any(isinstance(choice, str) for choice in axis.choices)]
    for key, axis in space.items():
        for value in axis.choices or (axis.low, axis.high):
            try:
                recipe.with_settings({key: value})
            except RecipeError as error:
                if not decided or str(error).startswith(f"{key} = "):  # else another key's choice may make it possible
                    raise


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# ---- used


def narrowed(space: Space, *, is_whole: bool) -> Space:
    """The axes that are varied in trials of the recipe's own length, or of a shorter one."""
    return {key: axis for key, axis in space.items() if is_whole or not axis.whole}


def settings_of(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """What a recipe gets of the values that were drawn: numbers with four digits, within their bounds."""
    found = dict(values)
    for key, value in values.items():
        if isinstance(value, float) and not space[key].choices and (short := _rounded(value)) in space[key]:
            found[key] = short
    return found


def space_to_toml(space: Space) -> str:
    """As TOML that `parse_space` reads back to an equal space."""
    lines = []
    for key, axis in space.items():
        parts = [f"choices = {json.dumps(list(axis.choices), ensure_ascii=False)}"] if axis.choices else []
        parts += [] if axis.choices else [f"low = {axis.low!r}", f"high = {axis.high!r}"]
        parts += [f"{name} = true" for name in ("log", "whole") if getattr(axis, name)]
        lines.append(f"{key} = {{ {', '.join(parts)} }}\n")
    return "".join(lines)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
