"""Timetable: a plan that is stretched while it is under way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.recipe import load_recipe
from podium.training import schedules
from podium.training.plan import Plan
from podium.training.timetable import Timetable

SETTINGS = [
    *("epochs=6", "batch_size=1000", "last_batch=drop", "schedule=linear"),
    *("grow_scales=[0.5]", "grow_until=[0.5]", "skip_learned=0.3", "skip_between=[0.5, 1]"),
]


def planned(*more):
    recipe = load_recipe("sprint_small", [*SETTINGS, *more])
    return recipe, Plan.from_recipe(recipe, 10_000)


def test_unless_it_is_stretched_it_is_the_plan():
    _, plan = planned()
    timetable = Timetable(plan)
    assert not timetable.is_stretched
    assert timetable.state() == {}
    assert timetable.to_manifest() == {}
    assert [timetable.position(step) for step in range(plan.num_steps)] == list(range(plan.num_steps))
    assert timetable.ends == plan.ends == (10, 20, 30, 37, 44, 51)


def test_fewer_steps_reach_the_same_end():
    recipe, plan = planned()
    timetable = Timetable(plan)
    before = schedules.from_recipe(recipe, Timetable(plan))
    schedule = schedules.from_recipe(recipe, timetable)
    timetable.stretch(20, 36)  # 31 are left in the plan, 16 in time
    assert timetable.num_steps == 36
    assert [schedule(step) for step in range(21)] == [before(step) for step in range(21)]
    assert schedule(36) == 0
    assert schedule(28) == pytest.approx(before(20) / 2)
    assert timetable.position(28) == 35.5
    assert timetable.scale(24) == 0.5
    assert timetable.scale(26) == 1.0  # the plan's step 31.6
    assert timetable.ends == (10, 20, 30, 37)  # at 30 the plan is in its fifth epoch, which is short
    assert timetable.num_images == (10_000, 10_000, 10_000, 7_000)
    assert [timetable.ends_epoch(step) for step in (20, 30, 35, 36)] == [True, True, False, True]


def test_more_steps_have_more_epochs():
    _, plan = planned()
    timetable = Timetable(plan)
    timetable.stretch(0, 102)
    assert timetable.num_images == (10_000,) * 6 + (7_000,) * 6
    assert timetable.ends == (10, 20, 30, 40, 50, 60, 67, 74, 81, 88, 95, 102)
    assert timetable.epoch_of(102) == 12
    assert timetable.plan.num_steps == 51


def test_an_epoch_that_has_begun_stays_as_it_is():
    _, plan = planned()
    timetable = Timetable(plan)
    timetable.stretch(32, 200)  # within the first short epoch
    assert timetable.num_images[:4] == (10_000, 10_000, 10_000, 7_000)
    assert timetable.locate(36) == (3, 6)
    assert timetable.locate(37) == (4, 0)


@given(st.data())
def test_whatever_happens_positions_rise_to_the_end_and_are_kept(data):
    _, plan = planned(f"epochs={data.draw(st.floats(1, 8))}")
    timetable, step, past = Timetable(plan), 0, []
    for _ in range(data.draw(st.integers(1, 6))):
        step = data.draw(st.integers(step, timetable.num_steps - 1))
        past = [timetable.position(before) for before in range(step + 1)]
        images = [timetable.num_images[timetable.locate(before)[0]] for before in range(step)]
        timetable.stretch(step, data.draw(st.integers(step + 1, step + 80)))
        assert [timetable.position(before) for before in range(step + 1)] == pytest.approx(past)
        assert [timetable.num_images[timetable.locate(before)[0]] for before in range(step)] == images
    places = [timetable.position(step) for step in range(timetable.num_steps + 1)]
    assert all(earlier <= later for earlier, later in pairwise(places))
    assert places[-1] == pytest.approx(plan.num_steps)
    assert timetable.ends[-1] >= timetable.num_steps

    again = Timetable(plan)
    again.load_state(timetable.state())
    told = Timetable.from_manifest(plan, timetable.to_manifest())
    for other in (again, told):
        assert [other.position(step) for step in range(timetable.num_steps + 1)] == places
        assert (other.ends, other.num_images) == (timetable.ends, timetable.num_images)
