import pytest

from podium.recipe import Recipe
from podium.training import schedules
from podium.training.plan import Plan
from podium.training.timetable import Timetable


def test_linear_falls_to_zero_and_stays():
    assert [schedules.linear(step, 4) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert schedules.linear(0, 0) == 0.0


def test_steps_of_the_seed():
    recipe = Recipe(epochs=200, schedule="step", schedule_period=90, schedule_factor=0.1)
    schedule = schedules.from_recipe(recipe, Timetable(Plan.from_recipe(recipe, 45_000)))
    assert schedule(90 * 352 - 1) == 1.0
    assert schedule(90 * 352) == pytest.approx(0.1)
    assert schedule(180 * 352) == pytest.approx(0.01)


def test_constant():
    assert schedules.from_recipe(Recipe(), Timetable(Plan.from_recipe(Recipe(), 1000)))(99) == 1.0


def of(**settings):
    recipe = Recipe(**{"epochs": 10, "batch_size": 10, **settings})
    plan = Timetable(Plan.from_recipe(recipe, 100))  # 10 steps an epoch
    schedule = schedules.from_recipe(recipe, plan)
    return [schedule(step) for step in range(plan.num_steps)]


def test_cosine_falls_along_half_a_wave():
    values = of(schedule="cosine")
    assert values[0] == 1
    assert values[50] == pytest.approx(0.5)
    assert values[25] == pytest.approx(0.5 + 0.5 / 2**0.5)
    assert 0 < values[-1] < 0.001
    assert schedules.cosine(100, 100) == 0
    assert schedules.cosine(0, 0) == 0


def test_one_cycle_rises_to_its_peak_and_falls():
    values = of(schedule="one_cycle", schedule_peak=0.2)
    assert values[0] == pytest.approx(1 / 25)
    assert values[20] == 1 == max(values)
    assert values[:21] == sorted(values[:21])
    assert values[20:] == sorted(values[20:], reverse=True)
    assert values[60] == pytest.approx(0.5)


def test_milestones_are_epochs():
    values = of(schedule="step", schedule_milestones=[3, 7.5], schedule_factor=0.2)
    assert values[29] == 1
    assert values[30] == values[74] == pytest.approx(0.2)
    assert values[75] == pytest.approx(0.04)


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine", "one_cycle"])
def test_warmup_rises_from_above_zero_and_the_shape_fills_the_rest(shape):
    values = of(schedule=shape, warmup_epochs=2)
    assert values[:20] == pytest.approx([(step + 1) / 21 for step in range(20)])
    assert values[20:] == pytest.approx(of(schedule=shape, epochs=8))


def test_milestones_count_the_warmup_too():
    values = of(schedule="step", schedule_milestones=[5], warmup_epochs=2)
    assert (values[49], values[50]) == (1, pytest.approx(0.1))
