"""Recipe: everything that decides a training, as one frozen dataclass; read from TOML, changed by `--set`.

Imports nothing heavy, so that the command line can check a recipe before it loads torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from podium import recipe_rules as rules
from podium.errors import RecipeError

__all__ = ["Recipe", "default_recipe", "load_recipe", "recipe_names"]


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are those of a plain SGD training; the recipes that ship override most of them."""

    name: str = "custom"
    """Names the run folder."""
    model: str = "sprint"
    """A name from `podium models`."""

    hold_out: float = 0.1
    """Fraction of the labelled images, stratified by class, that is kept from training to measure accuracy; 0: none."""
    hold_out_seed: int = 0
    """Which images are held out. Apart from the training's seed, so that several seeds share one hold-out."""
    mean: tuple[float, ...] = ()
    """Per channel, of pixels scaled to [0, 1]; subtracted. Empty: measured on the training images."""
    std: tuple[float, ...] = ()
    """Per channel, of pixels scaled to [0, 1]; divided by. Empty: measured on the training images."""

    epochs: float = 100.0
    """Passes over the training images; a fraction stops within one."""
    batch_size: int = 128
    """Images a step."""
    grow_scales: tuple[float, ...] = ()
    """Growing resolution: the parts of their own size at which the images are shown first, one after the other."""
    grow_until: tuple[float, ...] = ()
    """The part of the training, ascending and below 1, at which each of `grow_scales` ends."""
    skip_learned: float = 0.0
    """Part of the images that an epoch leaves out, drawn from the twice as many with the lowest last loss; those of
    them that are shown count double."""
    skip_between: tuple[float, ...] = ()
    """The parts of the training, two numbers, between which epochs leave learned images out; never the first one."""
    last_batch: str = "keep"
    """keep: an epoch's last batch may be short. drop: its images wait for another epoch."""

    optimizer: str = "sgd"
    """sgd, or muon: Muon for the convolutions' filters, SGD with Nesterov momentum for biases and head."""
    learning_rate: float = 0.1
    """At the schedule's multiplier 1. With muon: of the filters."""
    momentum: float = 0.9
    """With muon: of the filters."""
    momentum_form: str = "torch"
    """How a falling learning rate meets the momentum (sgd). torch: at once. mxnet: what was gathered keeps the rate
    that it was gathered at."""
    nesterov: bool = False
    """Look ahead along the momentum (sgd; muon always does)."""
    weight_decay: float = 0.0
    """sgd: added to the gradient, times the weight, for every parameter. muon: what biases and head shrink by in a
    step at full learning rate; the filters have their norm fixed instead."""
    bias_learning_rate: float = 0.0
    """Of the biases (muon)."""
    head_learning_rate: float = 0.0
    """Of the classifier head (muon)."""
    sgd_momentum: float = 0.85
    """Of biases and head (muon)."""
    whiten_bias_epochs: float = 0.0
    """The whitening layer's bias is trained this long, its learning rate falling to 0 (nets with one, muon)."""

    schedule: str = "constant"
    """constant; linear: falls to 0 at the end; step: times `schedule_factor` every `schedule_period` epochs."""
    schedule_period: float = 0.0
    """Epochs between two steps of the schedule `step`."""
    schedule_factor: float = 0.1
    """What a step of the schedule `step` multiplies by."""

    norm_momentum: float = 0.0
    """How fast BN's running statistics follow a batch's; 0: as the network has it."""
    label_smoothing: float = 0.0
    """Part of the target spread evenly over all classes."""
    loss_reduction: str = "mean"
    """Over a batch: mean, sum, or sum_over_batch_size: the sum over `batch_size`, even where the batch is short."""

    resize: int = 0
    """Side in pixels to which images are resized before all other augmentation; 0: not."""
    brightness: float = 0.0
    """Brightness times a factor uniform in [1 - brightness, 1 + brightness]."""
    hue: float = 0.0
    """Hue turned by a part of the circle uniform in [-hue, hue]; 0.5 reaches every hue."""
    crop_area_min: float = 1.0
    """Crop of area uniform in [crop_area_min, 1] of the image, resized back to the net's input; 1: no crop."""
    flip: str = "none"
    """Left-right. random: a fair coin each time. alternating: a coin in the first epoch, then turned every epoch."""
    translate: int = 0
    """Shift by up to this many pixels each way, borders reflected."""
    cutout: int = 0
    """A square of this many pixels a side is painted over with the training images' mean; 0: none."""

    tta: str = "none"
    """Test-time augmentation. mirror: with the mirrored image; mirror_translate: and both shifted by a pixel."""
    tta_fraction: float = 1.0
    """Part of the images, the least sure by their first view, that get all views of `tta`; the others keep that one."""
    evaluate_every: int = 1
    """Epochs between two looks at the hold-out, for the curve only; 0: only at the end."""
    precision: str = "auto"
    """auto: bf16 where the processor multiplies it natively, else fp32."""
    channels_last: bool = True
    """Memory format of the convolutions: NHWC."""
    compile: str = "none"
    """none; default: torch.compile makes fused kernels, which takes a minute and pays in long trainings; max: it also
    tries out many (max-autotune) and replays them as CUDA graphs, for many trainings in one process."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = rules.typed(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
        rules.check(self)

    def with_settings(self, settings: Mapping[str, object]) -> Recipe:
        """A copy with some keys set anew.

        Raises:
            RecipeError: an unknown key (the nearest right one is named), an impossible value, or one without effect.
        """
        _check_keys(settings, where="")
        changed = replace(self, **dict(settings))  # type: ignore[arg-type]  # __post_init__ checks each type
        rules.check_used(changed, settings)
        return changed

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain values in their order."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def to_toml(self) -> str:
        """As TOML that `load_recipe` reads back to an equal recipe."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in self.to_dict().items())

    @staticmethod
    def from_toml(text: str, where: str) -> Recipe:
        """Reads TOML; `where` names it in errors.

        Raises:
            RecipeError: the text is no TOML, or a key or value is wrong.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{where} is no valid TOML: {error}.") from None
        _check_keys(values, where=f"{where}: ")
        try:
            return Recipe(**values)
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None


def recipe_names() -> list[str]:
    """Names of the recipes that ship, sorted."""
    folder = resources.files("podium") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML of a recipe that ships, its header included."""
    return (resources.files("podium") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def default_recipe(num_images: int, settings: Iterable[str] = ()) -> Recipe:
    """What `train` takes when no recipe is named: `sprint`, or below 10,000 images `sprint_small`.

    Below 1,250 images the batch is made smaller too, a tenth of them. Raises RecipeError as `load_recipe`.
    """
    if num_images >= 10_000:
        return load_recipe("sprint", settings)
    recipe = load_recipe("sprint_small")
    recipe = replace(recipe, batch_size=min(recipe.batch_size, max(2, num_images // 10)))
    return recipe.with_settings(dict(_parse_setting(setting) for setting in settings))


def load_recipe(name_or_path: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """A shipped recipe by name, or a TOML file by path, with `key=value` settings applied.

    Raises:
        RecipeError: no such recipe, an unknown key, or an impossible value.
    """
    text, where = _find(str(name_or_path))
    recipe = Recipe.from_toml(text, where)
    return recipe.with_settings(dict(_parse_setting(setting) for setting in settings))


def _find(name: str) -> tuple[str, str]:
    names = recipe_names()
    if name in names:
        return recipe_text(name), f"recipe {name}"
    path = Path(name)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} can't be read as a recipe: {error}.") from None
    raise RecipeError(
        f"There is no recipe '{name}'{rules.nearest(name, names)}.\n"
        f"Recipes that ship: {', '.join(names)}; or give the path of a TOML file."
    )


def _parse_setting(setting: str) -> tuple[str, object]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: it takes key=value, such as --set epochs=10.")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:  # a bare word
        return key.strip(), value.strip()


def _check_keys(values: Mapping[str, object], where: str) -> None:
    known = [field.name for field in fields(Recipe)]
    for key in values:
        if key not in known:
            hint = rules.nearest(key, known) or f"; the keys are: {', '.join(known)}"
            raise RecipeError(f"{where}unknown key '{key}'{hint}.")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # JSON's escapes are TOML's too
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)
