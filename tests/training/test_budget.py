"""Budget: the end is kept, whatever the machine does; on a clock of the test's own."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.recipe import load_recipe
from podium.training import budget as budget_module
from podium.training.budget import PAST_TRAINING, Budget
from podium.training.plan import Plan
from podium.training.timetable import Timetable

HOLD_OUT = 1000


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(budget_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def run(clock, seconds, step_seconds, *more, most_steps=None, evaluate_every=0):
    """A training whose step at full size takes `step_seconds(step)`; how many seconds were left at its end."""
    given_settings = ["batch_size=100", "grow_scales=[0.5]", "grow_until=[0.4]", f"evaluate_every={evaluate_every}"]
    recipe = load_recipe("sprint_small", [*given_settings, *more])
    timetable = Timetable(Plan.from_recipe(recipe, 2000))  # 20 steps an epoch
    end = clock.now + seconds
    keeper = Budget(end, 2 * HOLD_OUT, HOLD_OUT, evaluate_every, recipe.batch_size, most_steps)
    step = 0

    def look():  # a bit faster than thought
        return 0.9 * step_seconds(step) / PAST_TRAINING * HOLD_OUT / recipe.batch_size

    while step < timetable.num_steps:
        keeper.keep(timetable, step)
        clock.now += step_seconds(step) * timetable.scale(step) ** 2
        step += 1
        keeper.note(step, timetable.scale(step - 1))
        if evaluate_every and timetable.ends_epoch(step) and timetable.locate(step)[0] % evaluate_every == 0:
            clock.now += look()
            keeper.looked(look())
    clock.now += 2 * look() + 1.0  # the measurement, and what is written
    return end - clock.now, timetable


def test_a_plan_that_is_right_stays_nearly_as_it_is(clock):
    left, timetable = run(clock, 10 * 20 * 0.52 + 9, lambda _: 1.0 * 0.7)
    assert 0 <= left < 3
    assert timetable.plan.num_steps == 200


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.5, 4.0])
def test_a_machine_of_another_speed_than_thought(clock, factor):
    left, timetable = run(clock, 200, lambda _: factor)
    assert 0 <= left < 0.02 * 200 + factor  # it may lack a step
    assert timetable.position(timetable.num_steps) == 200


def test_one_that_becomes_three_times_as_slow_in_the_middle(clock):
    left, _ = run(clock, 200, lambda step: 0.5 if step < 150 else 1.5)
    assert 0 <= left < 0.03 * 200


def test_looks_at_the_hold_out_count(clock):
    left, _ = run(clock, 300, lambda _: 0.5, evaluate_every=2)
    assert 0 <= left < 0.03 * 300


def test_no_more_steps_than_help(clock):
    left, timetable = run(clock, 2000, lambda _: 0.5, most_steps=150)
    assert timetable.num_steps == 150
    assert left > 1000


def test_time_that_is_over_ends_it_as_soon_as_a_step_is_measured(clock):
    left, timetable = run(clock, 1.0, lambda _: 1.0)
    assert timetable.num_steps == 3  # the first one, which takes memory too, says nothing
    assert left < 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.5), seconds=st.floats(60, 600))
def test_noise(seed, noise, seconds):
    import random

    clock, draw = Clock(), random.Random(seed)
    before = budget_module.time
    budget_module.time = SimpleNamespace(monotonic=clock.monotonic)
    try:
        left, timetable = run(clock, seconds, lambda _: 0.4 * (1 + noise * draw.uniform(-1, 1)))
    finally:
        budget_module.time = before
    assert -0.01 * seconds <= left <= 0.05 * seconds
    assert timetable.position(timetable.num_steps) == pytest.approx(200)
