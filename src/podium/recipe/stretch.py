"""A recipe in another number of epochs."""

from __future__ import annotations

import math
from dataclasses import replace

from podium.recipe.fields import Recipe

__all__ = ["stretched"]


def stretched(recipe: Recipe, epochs: float) -> Recipe:
    """The same recipe in `epochs`: warm-up and steps of the rate in proportion, not many more looks at the hold-out."""
    factor = epochs / recipe.epochs
    return replace(
        recipe,
        epochs=epochs,
        warmup_epochs=recipe.warmup_epochs * factor,
        schedule_period=recipe.schedule_period * factor,
        schedule_milestones=tuple(end * factor for end in recipe.schedule_milestones),
        whiten_bias_epochs=min(recipe.whiten_bias_epochs, epochs / 2),
        evaluate_every=max(recipe.evaluate_every, math.ceil(epochs / 8)) if recipe.evaluate_every else 0,
    )
