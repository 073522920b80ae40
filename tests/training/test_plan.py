"""Plan: counts of steps, epochs, and sides."""

from hypothesis import given
from hypothesis import strategies as st

from podium.errors import RecipeError
from podium.recipe import load_recipe
from podium.training.plan import Plan
from podium.training.timetable import Timetable


def test_without_tricks_every_epoch_has_the_same_steps():
    plan = Plan.from_recipe(load_recipe("sprint_small", ["epochs=7.6", "batch_size=2000"]), 45_000)
    assert plan.num_steps == 168  # ceil(7.6 · 22)
    assert plan.steps_per_epoch == 22
    assert [Timetable(plan).locate(step) for step in (0, 21, 22, 167)] == [(0, 0), (0, 21), (1, 0), (7, 13)]
    assert [step for step in range(1, 169) if Timetable(plan).ends_epoch(step)] == [22, 44, 66, 88, 110, 132, 154, 168]
    assert plan.scale(0) == 1


def test_skipping_shortens_its_epochs():
    settings = ["epochs=5", "batch_size=1000", "skip_learned=0.3", "skip_between=[0.4, 0.8]"]
    plan = Plan.from_recipe(load_recipe("sprint_small", settings), 10_000)
    assert plan.num_images == (10_000, 10_000, 7_000, 7_000, 10_000)
    assert plan.ends == (10, 20, 27, 34, 44)
    assert plan.num_steps == 44
    assert plan.epoch_of(27) == 3
    assert Timetable(plan).locate(27) == (3, 0)


def test_the_first_epoch_is_never_shortened():
    settings = ["epochs=2.5", "batch_size=100", "skip_learned=0.5", "skip_between=[0, 1]"]
    assert Plan.from_recipe(load_recipe("sprint_small", settings), 1000).num_images == (1000, 500, 500)


def test_images_grow():
    settings = ["epochs=4", "batch_size=1000", "grow_scales=[0.5, 0.75]", "grow_until=[0.25, 0.625]"]
    plan = Plan.from_recipe(load_recipe("sprint_small", settings), 10_000)
    assert [plan.scale(step) for step in (0, 9, 10, 24, 25, 39)] == [0.5, 0.5, 0.75, 0.75, 1, 1]
    assert plan.full_steps == 10 * 0.25 + 15 * 0.5625 + 15


@given(
    epochs=st.floats(0.05, 12),
    batch_size=st.integers(2, 300),
    num_images=st.integers(300, 3000),
    last_batch=st.sampled_from(["keep", "drop"]),
    skip=st.floats(0.01, 0.5),
)
def test_steps_and_epochs_are_inverse(epochs, batch_size, num_images, last_batch, skip):
    settings = {"epochs": epochs, "batch_size": batch_size, "last_batch": last_batch}
    recipe = load_recipe("sprint_small").with_settings(settings | {"skip_learned": skip, "skip_between": (0.2, 0.7)})
    try:
        plan = Plan.from_recipe(recipe, num_images)
    except RecipeError:  # an epoch that has become shorter than a batch
        assert num_images - round(skip * num_images) < batch_size
        return
    timetable = Timetable(plan)
    places = [timetable.locate(step) for step in range(plan.num_steps)]
    assert places == sorted(places)
    assert places[0] == (0, 0)
    for step in range(plan.num_steps + 1):
        assert plan.step_of(plan.epoch_of(step)) == step
