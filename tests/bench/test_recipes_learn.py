import pytest
import recipes_learn

from podium.recipe import load_recipe
from podium.training.plan import Plan


@pytest.mark.parametrize("name", recipes_learn.STEPS)
def test_a_shortened_recipe_has_its_steps_and_its_shape(name):
    recipe = load_recipe(name)
    short = recipes_learn.shortened(recipe, 50, 45_000)
    assert Plan.from_recipe(short, 45_000).num_steps == 50
    assert short.warmup_epochs / short.epochs == pytest.approx(recipe.warmup_epochs / recipe.epochs)
    parts = [end / recipe.epochs for end in recipe.schedule_milestones]
    assert [end / short.epochs for end in short.schedule_milestones] == pytest.approx(parts)
    assert (short.policy, short.mixup, short.dropout) == (recipe.policy, recipe.mixup, recipe.dropout)
