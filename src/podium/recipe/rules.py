"""What a recipe's values may be: its keys' types, choices and bounds, and which belong together.

Imports nothing heavy, as `recipe`.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from podium.errors import RecipeError

if TYPE_CHECKING:
    from podium.recipe.fields import Recipe

__all__ = ["check", "check_used", "nearest", "typed"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "last_batch": ("keep", "drop"),
    "form": ("auto", "cifar", "imagenet"),
    "optimizer": ("sgd", "adamw", "lion", "muon"),
    "momentum_form": ("torch", "mxnet"),
    "schedule": ("constant", "linear", "cosine", "one_cycle", "step"),
    "average": ("none", "ema", "swa"),
    "loss_reduction": ("mean", "sum", "sum_over_batch_size"),
    "flip": ("none", "random", "alternating"),
    "border": ("reflect", "mean", "black"),
    "policy": ("none", "trivialaugment", "randaugment", "autoaugment"),
    "tta": ("none", "mirror", "mirror_translate"),
    "precision": ("auto", "bf16", "fp32"),
    "compile": ("none", "default", "max"),
}
_POSITIVE = ("epochs", "batch_size", "accumulate", "learning_rate", "policy_ops", "distill_temperature")
_NOT_NEGATIVE = (
    "weight_decay",
    "bias_learning_rate",
    "head_learning_rate",
    "whiten_bias_epochs",
    "schedule_period",
    "warmup_epochs",
    "auxiliary_weight",
    "clip_norm",
    "sam_radius",
    "mixup",
    "cutmix",
    "rotate",
    "posterize",
    "policy_magnitude",
    "evaluate_every",
    "translate",
    "cutout",
    "resize",
)
_BELOW_ONE = (
    "hold_out",
    "momentum",
    "sgd_momentum",
    "label_smoothing",
    "norm_momentum",
    "skip_learned",
    "dropout",
    "stochastic_depth",
    "ema_decay",
    "swa_from",
    "schedule_peak",
)
_UP_TO_ONE = (
    "schedule_factor",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "hue",
    "grey",
    "solarize",
    "equalize",
    "autocontrast",
    "crop_area_min",
    "erasing",
    "tta_fraction",
    "distill_weight",
)
_ONLY_WITH: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("optimizer", ("sgd",), ("nesterov", "momentum_form")),
    ("optimizer", ("sgd", "muon"), ("momentum",)),
    ("optimizer", ("sgd", "adamw", "lion"), ("decay_all",)),
    ("optimizer", ("adamw", "lion"), ("betas",)),
    ("optimizer", ("muon",), ("bias_learning_rate", "head_learning_rate", "sgd_momentum", "whiten_bias_epochs")),
    ("schedule", ("step",), ("schedule_period", "schedule_milestones", "schedule_factor")),
    ("schedule", ("one_cycle",), ("schedule_peak",)),
    ("average", ("ema",), ("ema_decay",)),
    ("average", ("swa",), ("swa_from",)),
    ("policy", ("randaugment",), ("policy_ops", "policy_magnitude")),
    ("tta", ("mirror", "mirror_translate"), ("tta_fraction",)),
)
"""Keys that do nothing unless another key has one of some values."""
_NEEDS = (("border", "translate", "above 0"), ("crop_ratio", "crop_area_min", "below 1"))
"""Keys that do nothing where a number has its default."""


def check(recipe: Recipe) -> None:
    """Raises RecipeError, which names the key, unless all values can be."""
    if not re.fullmatch(r"\w[\w.-]*", recipe.name):
        raise _value_error("name", recipe.name, "letters, digits, '_', '-' and '.': it names the run's folder")
    for key, choices in _CHOICES.items():
        if getattr(recipe, key) not in choices:
            hint = nearest(getattr(recipe, key), choices)
            raise _value_error(key, getattr(recipe, key), f"one of {', '.join(choices)}{hint}")
    for key in _POSITIVE:
        if not getattr(recipe, key) > 0:
            raise _value_error(key, getattr(recipe, key), "a number above 0")
    for key in _NOT_NEGATIVE:
        if getattr(recipe, key) < 0:
            raise _value_error(key, getattr(recipe, key), "0 or more")
    for key in _BELOW_ONE:
        if not 0 <= getattr(recipe, key) < 1:
            raise _value_error(key, getattr(recipe, key), "at least 0 and below 1")
    for key in _UP_TO_ONE:
        if not 0 <= getattr(recipe, key) <= 1:
            raise _value_error(key, getattr(recipe, key), "between 0 and 1")
    if recipe.crop_area_min == 0:
        raise _value_error("crop_area_min", 0, "above 0 and at most 1")
    if bool(recipe.mean) != bool(recipe.std):
        raise RecipeError("mean and std go together: give both, or neither to have them measured.")
    for key in ("mean", "std"):
        if len(getattr(recipe, key)) not in (0, 3):
            raise _value_error(key, list(getattr(recipe, key)), "three numbers (red, green, blue)")
    if any(value <= 0 for value in recipe.std):
        raise _value_error("std", list(recipe.std), "three numbers above 0")
    if len(recipe.grow_scales) != len(recipe.grow_until):
        raise RecipeError("grow_scales and grow_until go together: as many ends as scales.")
    if not all(0 < scale < 1 for scale in recipe.grow_scales):
        raise _value_error("grow_scales", list(recipe.grow_scales), "numbers above 0 and below 1")
    if not _is_ascending(0, recipe.grow_until) or any(end >= 1 for end in recipe.grow_until):
        raise _value_error(
            "grow_until", list(recipe.grow_until), "ascending parts of the training, above 0 and below 1"
        )
    if (recipe.skip_learned > 0) != bool(recipe.skip_between):
        raise RecipeError("skip_learned and skip_between go together: how many, and between which parts.")
    if recipe.skip_between and not (
        len(recipe.skip_between) == 2 and 0 <= recipe.skip_between[0] < recipe.skip_between[1] <= 1
    ):
        raise _value_error("skip_between", list(recipe.skip_between), "two parts of the training, such as [0.5, 1.0]")
    if recipe.skip_learned > 0.5:
        raise _value_error("skip_learned", recipe.skip_learned, "at most 0.5: half of the images, drawn from all")
    if recipe.schedule == "step" and bool(recipe.schedule_period) == bool(recipe.schedule_milestones):
        raise RecipeError(
            "schedule 'step' needs schedule_period, the epochs between two steps, or else schedule_milestones."
        )
    if not _is_ascending(0, recipe.schedule_milestones):
        raise _value_error("schedule_milestones", list(recipe.schedule_milestones), "ascending epochs above 0")
    if not recipe.warmup_epochs < recipe.epochs:
        raise _value_error("warmup_epochs", recipe.warmup_epochs, f"fewer than the {recipe.epochs:g} epochs")
    if len(recipe.betas) not in (0, 2) or not all(0 <= beta < 1 for beta in recipe.betas):
        raise _value_error("betas", list(recipe.betas), "two numbers, at least 0 and below 1")
    if recipe.accumulate > 1 and recipe.accumulate > recipe.batch_size // 2:
        raise _value_error(
            "accumulate", recipe.accumulate, "at most half of batch_size: a part has two images at least"
        )
    if recipe.crop_ratio < 1:
        raise _value_error("crop_ratio", recipe.crop_ratio, "1 or more: it is the larger of both proportions")
    if not 0 <= recipe.shear < 90:
        raise _value_error("shear", recipe.shear, "degrees, at least 0 and below 90")
    if recipe.posterize > 8:
        raise _value_error("posterize", recipe.posterize, "bits, up to 8")
    if recipe.policy_magnitude > 30:
        raise _value_error("policy_magnitude", recipe.policy_magnitude, "0 to 30")
    if recipe.optimizer == "muon" and not (recipe.bias_learning_rate > 0 and recipe.head_learning_rate > 0):
        raise RecipeError("optimizer 'muon' needs bias_learning_rate and head_learning_rate above 0.")
    if recipe.nesterov and recipe.momentum == 0:
        raise RecipeError("nesterov needs a momentum above 0.")


def check_used(recipe: Recipe, settings: Mapping[str, object]) -> None:
    """Raises RecipeError for a setting that `recipe`, which has it already, would ignore."""
    for key in settings:
        for decides, choices, keys in _ONLY_WITH:
            if key in keys and getattr(recipe, decides) not in choices:
                wanted = " or ".join(f"'{choice}'" for choice in choices)
                raise RecipeError(
                    f"{key} would be ignored: it works with {decides} = {wanted}, "
                    f"and this recipe's is '{getattr(recipe, decides)}'."
                )
        for needy, needed, amount in _NEEDS:
            if key == needy and getattr(recipe, needed) == getattr(type(recipe), needed):
                raise RecipeError(f"{key} would be ignored: it works with {needed} {amount}.")


_TOO_LARGE = 1 << 53
"""From here on a float doesn't count by ones: nothing in a recipe comes near."""


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint at the word of `known` that is most like `word`; empty if none is."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)
    return f"; the nearest is '{close[0]}'" if close else ""


def _is_ascending(first: float, values: Iterable[float]) -> bool:
    both = [first, *values]
    return all(one < other for one, other in itertools.pairwise(both))


def _value_error(key: str, value: object, wanted: str) -> RecipeError:
    try:
        shown = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        shown = "a number of absurd length"
    return RecipeError(f"{key} = {shown[:500]} can't be: it takes {wanted}.")


def typed(key: str, value: object, hint: Any) -> object:
    """`value` as the type that the field declares; an int may stand for a float, a list for a tuple."""
    is_sane = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _TOO_LARGE
    if hint is float and is_sane:
        return float(value)  # type: ignore[arg-type]
    if hint is int and is_sane and isinstance(value, int):
        return value
    if hint in (str, bool) and isinstance(value, hint):
        return value
    if get_args(hint) and isinstance(value, list | tuple):
        return tuple(typed(key, item, get_args(hint)[0]) for item in value)
    wanted = {float: "a number", int: "a whole number", str: "a word", bool: "true or false"}
    raise _value_error(key, value, wanted.get(hint, "a list of numbers"))
