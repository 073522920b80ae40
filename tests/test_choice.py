"""What --minutes choose, and that a training keeps to it."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

import podium
from podium import api
from podium.api import choice as choice_module
from podium.api.choice import choose, stretched
from podium.api.expected import MEASURED, expected
from podium.data import Images
from podium.errors import RecipeError
from podium.recipe import load_recipe, recipe_names
from podium.runtime import prepare

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def images(num=50_000, size=32, classes=CIFAR):
    pixels = np.broadcast_to(np.zeros((1, size, size, 3), np.uint8), (num, size, size, 3))
    return Images(pixels, np.arange(num) % len(classes), np.arange(num).astype(str), classes)


@pytest.fixture
def speed(monkeypatch):
    """Images a second of `sprint`, and of other nets in proportion."""

    def at(images_per_second):
        def speeds(name, form, *_, **__):
            each = {"sprint": 1.0, "sprint96": 0.25}.get(name, 0.1)
            return [images_per_second * each] * 3

        monkeypatch.setattr(choice_module, "step_speeds", speeds)

    return at


@pytest.mark.parametrize(
    ("minutes", "name"), [(1, "sprint"), (5, "sprint"), (15, "sprint_long"), (60, "sprint96"), (600, "sprint96")]
)
def test_the_more_time_the_larger_the_recipe(speed, minutes, name):
    speed(1000)
    chosen = choose(images(), 45_000, 60 * minutes, prepare("fp32"))
    assert chosen.recipe.name == name
    assert not chosen.is_capped
    assert chosen.expected is not None
    assert chosen.expected.low < chosen.expected.accuracy < chosen.expected.high


def test_a_faster_machine_gets_more_of_the_same_time(speed):
    speed(1000)
    slow = choose(images(), 45_000, 300, prepare("fp32"))
    speed(100_000)
    fast = choose(images(), 45_000, 300, prepare("fp32"))
    assert slow.recipe.name == "sprint"
    assert fast.recipe.name == "sprint96"
    assert fast.recipe.epochs > 10 * slow.recipe.epochs


def test_teachers_cost_epochs_and_nothing_is_promised(speed):
    speed(1000)
    alone = choose(images(), 45_000, 300, prepare("fp32"), load_recipe("sprint"))
    taught = choose(images(), 45_000, 300, prepare("fp32"), load_recipe("sprint"), None, [load_recipe("sprint96")])
    # a third of sprint96's step, which takes four times as long as sprint's, comes on top of each image
    assert taught.recipe.epochs < 0.55 * alone.recipe.epochs
    assert taught.expected is None
    assert alone.expected is not None


def test_other_data_and_sizes(speed):
    speed(1000)
    unknown = choose(images(classes=tuple("abcdefghij")), 45_000, 300, prepare("fp32"))
    assert (unknown.recipe.name, unknown.expected) == ("sprint", None)
    few = choose(images(2000), 1800, 3600, prepare("fp32"))
    assert (few.recipe.name, few.recipe.epochs, few.is_capped) == ("sprint_small", 100, True)
    large = choose(images(20_000, 128), 18_000, 3600, prepare("fp32"))
    assert large.recipe.name == "imagenet_resnet18"


def test_the_users_own_recipe_and_settings_stay(speed):
    speed(1000)
    mine = load_recipe("resnet18", ["label_smoothing=0.15"])
    chosen = choose(images(), 45_000, 900, prepare("fp32"), mine)
    assert (chosen.recipe.name, chosen.recipe.label_smoothing) == ("resnet18", 0.15)
    assert 0.5 < chosen.recipe.epochs < 3
    chosen = choose(images(), 45_000, 900, prepare("fp32"), settings={"flip": "none"})
    assert (chosen.recipe.name, chosen.recipe.flip) == ("sprint_long", "none")


def test_too_little_time(speed):
    speed(100)
    with pytest.raises(
        RecipeError, match=r"4 seconds are left for the training, and one step of sprint takes about 10"
    ):
        choose(images(), 45_000, 4, prepare("fp32"))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_stretched(name):
    recipe = load_recipe(name)
    for epochs in (0.3, 7.5, 500.0):
        other = stretched(recipe, epochs)
        assert other.epochs == epochs
        assert other.warmup_epochs / epochs == pytest.approx(recipe.warmup_epochs / recipe.epochs)
        assert len(other.schedule_milestones) == len(recipe.schedule_milestones)
        assert other.evaluate_every == 0 or epochs / other.evaluate_every <= 9


def test_expectations_rise_with_the_epochs_and_never_past_what_was_measured():
    for model, known in MEASURED.items():
        values = [
            expected(load_recipe("sprint", [f"model={model}", f"epochs={epochs}"]), images())
            for epochs in (1, 2, 3, 5, 8, 13, 21, 34, 100, 1000)
        ]
        accuracies = [one.accuracy for one in values]
        assert accuracies == sorted(accuracies)
        assert accuracies[-1] == known[-1][1]
        assert all(one.low < one.accuracy < one.high for one in values)
    assert expected(load_recipe("resnet18"), images()) is None
    assert expected(load_recipe("sprint"), images(30_000)) is None


def test_a_training_in_a_tenth_of_a_minute(tmp_path):
    said = []
    run = podium.train("digits", minutes=0.1, out=tmp_path / "run", on_choice=said.append)
    assert run.is_finished
    assert [one.recipe.name for one in said] == ["sprint_small"]
    kept = run.manifest["budget"]
    assert kept["minutes"] == 0.1
    assert kept["images_per_second"] > 0
    assert kept["expected"] is None
    assert "seconds_left" in kept
    assert run.manifest["hold_out"]["num_images"] == run.manifest["split"]["num_hold_out"]
    api.report(run)  # the curve of the rate needs the timetable


def test_one_that_is_stopped_goes_on_with_the_time_left(tmp_path, monkeypatch):
    ends = []
    steps = iter(range(1000))
    run = podium.train(
        "digits", minutes=0.2, out=tmp_path / "run", should_stop=lambda: next(steps) == 8, checkpoint_seconds=0
    )
    assert not run.is_finished
    budget_of = choice_module.budget_of
    monkeypatch.setattr("podium.api.sitting.budget_of", lambda *given: ends.append(budget_of(*given)) or ends[-1])
    started = time.monotonic()
    run = podium.resume(run)
    assert run.is_finished
    assert ends[0].end < started + 12
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    steps_of = [line["step"] for line in lines if line["kind"] == "epoch"]
    assert steps_of == sorted(steps_of)
    assert steps_of[-1] == run.manifest["num_steps"]


def test_the_time_decides_the_epochs(tmp_path):
    with pytest.raises(RecipeError, match="epochs can't be set where --minutes are given"):
        podium.train("digits", minutes=1, settings={"epochs": 3}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_expected_was_measured():
    results = Path(__file__).parents[1] / "bench" / "results"
    known = {name: json.loads((results / f"{name}.json").read_text())["figures"] for name in ("lengths", "cpu-speed")}
    lengths = {(run["model"], run["epochs"]): run["accuracy"] for run in known["lengths"]["runs"]}
    lengths["sprint", 11.0] = known["cpu-speed"]["competitors"]["sprint"]["accuracy_mean"]
    of_two = json.loads((results / "sprint96-accuracy.json").read_text())["figures"]["accuracy_mean"]
    lengths["sprint96", 36.0] = of_two
    promised = {(model, epochs): accuracy for model, rows in MEASURED.items() for epochs, accuracy in rows}
    assert promised.keys() == lengths.keys()
    for key, accuracy in promised.items():
        assert accuracy == pytest.approx(lengths[key], abs=6e-5)
