import pytest

from podium.recipe import Recipe
from podium.training import schedules
from podium.training.plan import Plan


def test_linear_falls_to_zero_and_stays():
    assert [schedules.linear(step, 4) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert schedules.linear(0, 0) == 0.0


def test_steps_of_the_seed():
    recipe = Recipe(epochs=200, schedule="step", schedule_period=90, schedule_factor=0.1)
    schedule = schedules.from_recipe(recipe, Plan.from_recipe(recipe, 45_000))
    assert schedule(90 * 352 - 1) == 1.0
    assert schedule(90 * 352) == pytest.approx(0.1)
    assert schedule(180 * 352) == pytest.approx(0.01)


def test_constant():
    assert schedules.from_recipe(Recipe(), Plan.from_recipe(Recipe(), 1000))(99) == 1.0
