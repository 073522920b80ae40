"""Where recipes come from: those that ship, TOML files, and `key=value` settings on top."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path

from podium.errors import RecipeError
from podium.recipe import rules
from podium.recipe.fields import Recipe

__all__ = ["default_recipe", "load_recipe", "parse_setting", "recipe_names", "recipe_text", "search_text"]

_LARGE = 96  # pixels a side, from which on networks have their ImageNet form


def recipe_names() -> list[str]:
    """Names of the recipes that ship, sorted."""
    folder = resources.files("podium") / "recipes"
    names = [entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return sorted(name for name in names if not name.endswith(".search"))


def search_text(name_or_path: str | Path) -> tuple[str, str] | None:
    """The search space declared beside a recipe, R.search.toml beside R.toml, and where that is; None: there is none.

    Raises RecipeError if it can't be read.
    """
    name = str(name_or_path)
    if name in recipe_names():
        beside = resources.files("podium") / "recipes" / f"{name}.search.toml"
        return (beside.read_text(encoding="utf-8"), f"{name}.search.toml") if beside.is_file() else None
    path = Path(name).with_suffix(".search.toml")
    return (_read(path), str(path)) if path.is_file() else None


def recipe_text(name: str) -> str:
    """The TOML of a recipe that ships, its header included."""
    return (resources.files("podium") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def default_recipe(num_images: int, image_side: int, settings: Iterable[str] = ()) -> Recipe:
    """What `train` takes when no recipe is named: `sprint`, or below 10,000 images `sprint_small`.

    Below 1,250 images the batch is made smaller too, a tenth of them. From 10,000 images of 96 pixels a side on, their
    shorter, it is `imagenet_resnet18`. Raises RecipeError as `load_recipe`.
    """
    if num_images >= 10_000:
        return load_recipe("sprint" if image_side < _LARGE else "imagenet_resnet18", settings)
    recipe = load_recipe("sprint_small")
    recipe = replace(recipe, batch_size=min(recipe.batch_size, max(2, num_images // 10)))
    return recipe.with_settings(dict(parse_setting(setting) for setting in settings))


def load_recipe(name_or_path: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """A shipped recipe by name, or a TOML file by path, with `key=value` settings applied.

    Raises:
        RecipeError: no such recipe, an unknown key, or an impossible value.
    """
    text, where = _find(str(name_or_path))
    recipe = Recipe.from_toml(text, where)
    return recipe.with_settings(dict(parse_setting(setting) for setting in settings))


def _find(name: str) -> tuple[str, str]:
    names = recipe_names()
    if name in names:
        return recipe_text(name), f"recipe {name}"
    path = Path(name)
    if path.is_file():
        return _read(path), str(path)
    raise RecipeError(
        f"There is no recipe '{name}'{rules.nearest(name, names)}.\n"
        f"Recipes that ship: {', '.join(names)}; or give the path of a TOML file."
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} can't be read as a recipe: {error}.") from None


def parse_setting(setting: str) -> tuple[str, object]:
    """A key and its value from `key=value`, as TOML has it or a bare word. Raises RecipeError."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: it takes key=value, such as --set epochs=10.")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except (ValueError, RecursionError):  # a bare word
        return key.strip(), value.strip()
