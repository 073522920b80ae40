"""Recipe: everything that decides a training, as one frozen dataclass; read from TOML, changed by `--set`.

Imports nothing heavy, so that the command line can check a recipe before it loads torch.
"""

from podium.recipe.fields import Recipe
from podium.recipe.shipped import (
    default_recipe,
    load_recipe,
    parse_setting,
    recipe_names,
    recipe_text,
    search_text,
)
from podium.recipe.stretch import stretched

__all__ = [
    "Recipe",
    "default_recipe",
    "load_recipe",
    "parse_setting",
    "recipe_names",
    "recipe_text",
    "search_text",
    "stretched",
]
