"""The search space: what may be declared, and what is derived."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import StudyError
from podium.recipe import Recipe, load_recipe, recipe_names, search_text
from podium.tuning import default_space, narrowed, parse_space, space_to_toml
from podium.tuning.space import Axis, settings_of

SGD = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=5e-4, translate=4, label_smoothing=0.1)


def test_what_is_declared_is_read():
    text = """
    learning_rate = { factors = [0.1, 3] }
    weight_decay = { low = 0, high = 1 }
    translate = { low = 0, high = 6, whole = true }
    batch_size = { factors = [0.5, 2] }
    optimizer = { choices = ["sgd", "adamw"] }
    nesterov = { choices = [true, false] }
    """
    space = parse_space(text, "s.toml", SGD)
    assert space["learning_rate"] == Axis(0.01, 0.3, log=True)
    assert space["weight_decay"] == Axis(0.0, 1.0)
    assert isinstance(space["weight_decay"].low, float)  # a float's key, though the file has whole numbers
    assert space["translate"] == Axis(0, 6, whole=True)
    assert space["batch_size"] == Axis(64, 256, log=True)
    assert isinstance(space["batch_size"].low, int)
    assert space["optimizer"].choices == ("sgd", "adamw")
    assert "translate" not in narrowed(space, is_whole=False)
    assert narrowed(space, is_whole=True) == space


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rate = ", "no valid TOML"),
        ("", "varies nothing"),
        ("learning_rat = { low = 1, high = 2 }", "nearest is 'learning_rate'"),
        ("epochs = { low = 1, high = 2 }", "epochs can't be varied"),
        ("hold_out_seed = { low = 1, high = 2 }", "other images"),
        ("mean = { choices = [1, 2] }", "it is a list"),
        ("learning_rate = 0.1", "takes a table"),
        ("learning_rate = { low = 0.1 }", "low and high are numbers"),
        ("learning_rate = { low = 0.1, high = 1, factors = [1, 2] }", "either"),
        ("learning_rate = { low = 0.1, hihg = 1 }", "nearest is 'high'"),
        ("learning_rate = { low = 1, high = 0.1 }", "the first must be the lower"),
        ("learning_rate = { low = 0.0, high = 0.1 }", "a number above 0"),
        ("weight_decay = { low = 0.0, high = 0.1, log = true }", "on a log scale"),
        ("weight_decay = { low = 0.0, high = nan }", "numbers"),
        ("learning_rate = { low = 0.1, high = 1, log = 1 }", "true or false"),
        ("learning_rate = { factors = [0, 1] }", "above 0"),
        ("mixup = { factors = [0.5, 2] }", "give low and high"),
        ("translate = { low = 0.5, high = 2 }", "whole numbers"),
        ("momentum = { low = 0.5, high = 1.0 }", "below 1"),
        ("optimizer = { low = 1, high = 2 }", "give it choices"),
        ('optimizer = { choices = ["sgd"] }', "two values or more"),
        ('optimizer = { choices = ["sgd", "sdg"] }', "one of sgd"),
        ("learning_rate = { choices = [[1], [2]] }", "choices are words"),
        ("head_learning_rate = { low = 0.1, high = 1 }", "would be ignored"),
    ],
)
def test_what_cannot_be_is_said_with_the_file_and_the_key(text, says):
    with pytest.raises(StudyError, match=says) as caught:
        parse_space(text, "s.toml", SGD)
    assert str(caught.value).startswith("s.toml")


@pytest.mark.parametrize("name", recipe_names())
def test_what_ships_has_a_space_with_its_own_values_inside(name):
    recipe = load_recipe(name)
    beside = search_text(name)
    for space in [default_space(recipe), *([] if beside is None else [parse_space(*beside, recipe)])]:
        assert "learning_rate" in space
        for key, axis in space.items():
            assert getattr(recipe, key) in axis, key
        assert parse_space(space_to_toml(space), "written", recipe) == space  # each end can be in a recipe
        assert "label_smoothing" not in narrowed(space, is_whole=False)  # short trials would choose too little


numbers = st.floats(1e-6, 1e3)


@settings(deadline=None)
@given(low=numbers, high=numbers, log=st.booleans(), whole=st.booleans())
def test_a_written_space_is_read_back_equal(low, high, log, whole):
    low, high = min(low, high), max(low, high)
    if low == high:
        return
    space = {"learning_rate": Axis(low, high, log=log, whole=whole)}
    assert parse_space(space_to_toml(space), "s", SGD) == space


@settings(deadline=None)
@given(st.floats(0.9, 0.99999999))
def test_numbers_are_shortened_within_their_bounds(value):
    space = {"momentum": Axis(0.9, 0.99999999)}
    short = settings_of(space, {"momentum": value})["momentum"]
    assert short in space["momentum"]
    assert abs(short - value) < 1e-4
    Recipe(momentum=short)


def test_a_file_beside_the_recipe_is_found(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("learning_rate = 0.1\n")
    assert search_text(path) is None
    (tmp_path / "mine.search.toml").write_text("x")
    assert search_text(path) == ("x", str(tmp_path / "mine.search.toml"))
    assert not [name for name in recipe_names() if name.endswith(".search")]
