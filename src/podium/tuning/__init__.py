"""ROOM: recipe + Images → a better recipe, by trials that many workers share.

What it needs is an extra: `pip install 'podium-vision[tune]'`.
"""

from podium.tuning.needed import check_installed
from podium.tuning.rows import Row, State, Task, best_of, num_done, own_accuracy
from podium.tuning.space import Space, default_space, narrowed, parse_space, space_to_toml
from podium.tuning.study import Study, check_folder
from podium.tuning.trial import Bench, num_looks, trial_recipe, validation_parts
from podium.tuning.winner import changes, recipe_of, write_winner

__all__ = [
    "Bench",
    "Row",
    "Space",
    "State",
    "Study",
    "Task",
    "best_of",
    "changes",
    "check_folder",
    "check_installed",
    "default_space",
    "narrowed",
    "num_done",
    "num_looks",
    "own_accuracy",
    "parse_space",
    "recipe_of",
    "space_to_toml",
    "trial_recipe",
    "validation_parts",
    "write_winner",
]
