import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import RecipeError
from podium.recipe import Recipe, default_recipe, load_recipe, recipe_names, recipe_text


@pytest.mark.parametrize("name", recipe_names())
def test_what_ships_is_named_as_its_file_and_says_its_command(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert f"--recipe {name}" in recipe_text(name) or "podium train digits" in recipe_text(name)


@pytest.mark.parametrize("name", recipe_names())
def test_toml_round_trip(name):
    recipe = load_recipe(name)
    assert Recipe.from_toml(recipe.to_toml(), "x") == recipe


@given(
    st.builds(
        Recipe,
        name=st.from_regex(r"\w[\w.-]*", fullmatch=True),
        epochs=st.floats(1e-6, 1e6),
        nesterov=st.booleans(),
        batch_size=st.integers(1, 10**6),
        mean=st.just((0.1, 0.2, 0.3)),
        std=st.tuples(*[st.floats(1e-3, 10)] * 3),
    )
)
def test_any_recipe_survives_toml(recipe):
    assert Recipe.from_toml(recipe.to_toml(), "x") == recipe


def test_seed_recipes_say_what_the_seed_did():
    recipe = load_recipe("seed_resnet164_v2")
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.nesterov) == (0.1, 0.9, 1e-4, False)
    assert (recipe.schedule_period, recipe.schedule_factor, recipe.epochs, recipe.batch_size) == (90, 0.1, 200, 128)
    assert (recipe.last_batch, recipe.loss_reduction) == ("keep", "sum_over_batch_size")
    assert (recipe.resize, recipe.brightness, recipe.hue, recipe.crop_area_min, recipe.flip) == (
        40,
        0.5,
        0.5,
        0.64,
        "random",
    )
    assert recipe.mean == (0.4914, 0.4822, 0.4465)
    assert recipe.std == (0.2023, 0.1994, 0.2010)


def test_settings_override():
    recipe = load_recipe("sprint", ["epochs=3", "flip=none", "mean=[0.5, 0.5, 0.5]", "std = [1, 1, 1]"])
    assert (recipe.epochs, recipe.flip, recipe.mean, recipe.std) == (3.0, "none", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epoch=3", ["unknown key 'epoch'", "'epochs'"]),
        ("learning_rat=3", ["'learning_rate'"]),
        ("xyzzy=3", ["unknown key 'xyzzy'", "the keys are"]),
        ("epochs=-1", ["epochs", "above 0"]),
        ("epochs=nan", ["epochs", "a number"]),
        ("batch_size=1.5", ["batch_size", "whole number"]),
        ("batch_size=true", ["batch_size", "whole number"]),
        ("channels_last=1", ["channels_last", "true or false"]),
        ("flip=alternate", ["flip", "'alternating'"]),
        ("hold_out=1", ["hold_out", "below 1"]),
        ("brightness=2", ["brightness", "between 0 and 1"]),
        ("mean=[1]", ["mean"]),
        ("epochs", ["key=value"]),
        ("name=../up", ["name", "folder"]),
        ("nesterov=true", ["nesterov would be ignored", "'sgd'"]),
        ("schedule_period=3", ["schedule_period would be ignored", "'step'"]),
        ("schedule=step", ["schedule_period"]),
        ("std=[1,1,0]", ["mean and std go together"]),
        ("crop_area_min=0", ["crop_area_min"]),
    ],
)
def test_what_can_not_be_is_said_with_its_key(setting, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe("sprint", [setting])
    assert all(word in str(caught.value) for word in words), caught.value
    assert str(caught.value).count("\n") <= 1


def test_a_file_is_a_recipe_too(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('model = "seed_resnet18"\nepochs = 3\n')
    assert load_recipe(path).model == "seed_resnet18"


@pytest.mark.parametrize(
    ("text", "word"), [("epochs = ", "no valid TOML"), ("epoch = 3", "'epochs'"), ("epochs = 0", "above 0")]
)
def test_a_wrong_file_is_named(tmp_path, text, word):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=word) as caught:
        load_recipe(path)
    assert "mine.toml" in str(caught.value)


def test_no_such_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="'sprint'"):
        load_recipe("sprnt")


def test_few_images_get_the_small_recipe():
    assert default_recipe(45_000, 32) == load_recipe("sprint")
    assert default_recipe(45_000, 96) == load_recipe("imagenet_resnet18")
    assert default_recipe(1_437, 8) == load_recipe("sprint_small")
    assert default_recipe(60, 32).batch_size == 6
    assert default_recipe(60, 32, ["batch_size=20"]).batch_size == 20


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"grow_scales": [0.5, 0.7], "grow_until": [0.5]}, "grow_scales and grow_until go together"),
        ({"grow_scales": [0], "grow_until": [0.5]}, "numbers above 0"),
        ({"grow_scales": [1.0], "grow_until": [0.5]}, "grow_scales"),
        ({"grow_scales": [0.5, 0.7], "grow_until": [0.5, 0.5]}, "grow_until"),
        ({"grow_scales": [0.5], "grow_until": [1]}, "grow_until"),
        ({"skip_learned": 0.2}, "skip_learned and skip_between go together"),
        ({"skip_learned": 0.2, "skip_between": [0.5]}, "skip_between"),
        ({"skip_learned": 0.2, "skip_between": [0.5, 1.1]}, "skip_between"),
        ({"skip_learned": 0.2, "skip_between": [0.5, 0.5]}, "skip_between"),
        ({"skip_learned": 0.6, "skip_between": [0.5, 1]}, "at most 0.5"),
        ({"tta_fraction": 1.5}, "tta_fraction"),
    ],
)
def test_tricks_that_cannot_be(settings, complaint):
    with pytest.raises(RecipeError, match=complaint):
        load_recipe("sprint_small").with_settings(settings)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epochs = " + "1" * 5000, "no valid TOML"),  # Python reads no number of so many digits
        ("epochs = 0x" + "f" * 5000, "a number of absurd length"),  # nor writes one
        ("epochs = 1e400", "epochs = inf"),
        (f"epochs = {10**400}", "epochs"),
        ("batch_size = 9007199254740993", "batch_size"),
        ("betas = " + "[" * 5000, "no valid TOML"),
        ('"a\\nb\\u001b" = 1', r"unknown key 'a\\nb\\x1b'"),
    ],
)
def test_what_python_itself_stumbles_over_is_said(tmp_path, text, complaint):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=complaint) as caught:
        load_recipe(path)
    assert str(caught.value).count("\n") <= 1


@given(st.text(), st.sampled_from(["epochs", "betas", "flip", "nesterov", "batch_size", ""]))
def test_any_setting_is_taken_or_refused_in_two_lines(value, key):
    try:
        load_recipe("sprint", [f"{key}={value}"])
    except RecipeError as error:
        assert str(error).count("\n") <= 1  # noqa: PT017


@given(st.binary(max_size=200))
def test_any_file_is_a_recipe_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        load_recipe(path)
    except RecipeError as error:
        assert str(error).count("\n") <= 1  # noqa: PT017
