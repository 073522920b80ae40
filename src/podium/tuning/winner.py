"""The winner: a study's best recipe, as a file that `podium train` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from podium.files import write_atomically
from podium.recipe import Recipe
from podium.tuning.rows import COUNTED, Row, own_accuracy

__all__ = ["Judged", "changes", "recipe_of", "write_winner"]

Judged = tuple[int, float, str]
"""How many images trials are judged on, their epochs, and the data's name."""


def recipe_of(recipe: Recipe, row: Row) -> Recipe:
    """The recipe with a trial's values, at its own number of epochs. Raises RecipeError if they can't go together."""
    return replace(recipe, **row.values)  # type: ignore[arg-type]  # each type is checked


def changes(recipe: Recipe, row: Row) -> list[str]:
    """A line for each key that the trial has otherwise, such as "momentum 0.9 → 0.85"."""
    return [
        f"{key} {_plain(getattr(recipe, key))} → {_plain(value)}"
        for key, value in row.values.items()
        if getattr(recipe, key) != value
    ]


def write_winner(path: Path, recipe: Recipe, rows: Sequence[Row], best: Row, judged: Judged) -> Recipe:
    """Writes the best trial's recipe with a header that says how it was found; the header's figures are of its trial.

    Args:
        path: the file to write, whole or not at all.
        recipe: that was to be bettered.
        rows: all trials.
        best: of them, finished.
        judged: on what.

    Returns:
        The recipe, with its own number of epochs.

    Raises:
        StorageError: it can't be written.
    """
    assert best.accuracy is not None
    num_images, epochs, data = judged
    winner = replace(
        recipe_of(recipe, best), name=recipe.name if recipe.name.endswith("-tuned") else f"{recipe.name}-tuned"
    )
    counts = {state: sum(row.state == state for row in rows) for state in COUNTED}
    others = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    own = own_accuracy(rows)
    lines = [
        f"{winner.name}: {recipe.name}, tuned.",
        "",
        f"  podium train DATA --recipe {path}",
        "",
        f"Found by podium tune, {datetime.now(UTC).date().isoformat()}: trial {best.number} of {sum(counts.values())} "
        f"({others}).",
        f"Its accuracy after {epochs:g} epochs: {best.accuracy:.2%} of {num_images:,} images of {data}, without "
        "test-time augmentation.",
        f"The recipe as it was, alike: {'not measured' if own is None else f'{own:.2%}'}. As the best of many, the "
        "winner's figure flatters.",
        "These images were split from the training part: the hold-out that a run of this recipe reports chose nothing.",
        *[f"  {line}" for line in changes(recipe, best) or ["Nothing was better than the recipe itself."]],
    ]
    header = "".join(f"# {_printable(line)}".rstrip() + "\n" for line in lines)
    write_atomically(path, header + _short_toml(winner))
    return winner


def _short_toml(recipe: Recipe) -> str:
    """Without the keys that are as in a plain Recipe."""
    plain = set(Recipe().to_toml().splitlines())
    return "".join(f"{line}\n" for line in recipe.to_toml().splitlines() if line not in plain)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _printable(line: str) -> str:
    """Names are whatever the user's files say; a comment is one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)
