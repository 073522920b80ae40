"""tune: from a recipe to a better one, by one worker or several, whatever happens to them."""

import json
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
from processes import answers
from trials import fake_fit, peak

import podium
from podium import tuning
from podium.api.common import split
from podium.errors import RecipeError, StudyError
from podium.recipe import load_recipe
from podium.tuning import trial

SETTINGS = {"batch_size": 16, "hold_out": 0.2, "precision": "fp32"}
ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}


@pytest.fixture
def no_training(monkeypatch):
    seen = []
    monkeypatch.setattr(trial, "fit", fake_fit(seen=seen))
    return seen


def tune(data, out, **options):
    return podium.tune(data, "sprint_small", settings=SETTINGS, out=out, **options)


def test_trainings_become_a_recipe_that_train_takes(tiny_competition, tmp_path):
    space = tmp_path / "space.toml"
    space.write_text("head_learning_rate = { factors = [0.1, 2] }\ntranslate = { low = 0, high = 2 }\n")
    found = tune(tiny_competition, tmp_path / "study", trials=3, epochs=1, search=space)
    assert [row.state for row in found.rows] == ["finished"] * 3
    assert set(found.best.values) == {"head_learning_rate", "translate"}
    assert found.rows[0].values == {key: getattr(load_recipe("sprint_small"), key) for key in found.best.values}
    assert found.num_judged == 5  # a tenth of the 48 that aren't held out
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "journal.log", "recipe.toml", "search.toml", "study.html", "winner.toml", "workers",
    }  # fmt: skip
    recipe = load_recipe(found.winner)
    assert recipe == found.recipe
    assert recipe.epochs == load_recipe("sprint_small").epochs
    assert {key: getattr(recipe, key) for key in found.best.values} == found.best.values
    run = podium.train(tiny_competition, found.winner, settings={"epochs": 1}, out=tmp_path / "run")
    assert run.manifest["hold_out"]["num_images"] == 12
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_trial_sees_the_hold_out_that_a_run_of_the_winner_reports(tiny_competition, tmp_path, no_training):
    data = podium.open(tiny_competition)
    found = tune(data, tmp_path / "study", trials=2)
    held = data.train.subset(split(data.train, found.recipe)[1])
    for _, _, images, judged in no_training:
        assert not {*images.ids, *judged.ids} & set(held.ids)
        assert len({*images.ids, *judged.ids, *held.ids}) == len(data.train)


def test_the_same_command_goes_on(tiny_competition, tmp_path, no_training):
    first = tune(tiny_competition, tmp_path / "study", trials=3)
    num_steps = len(no_training)
    again = tune(tiny_competition, tmp_path / "study", trials=3)
    assert len(no_training) == num_steps  # nothing is done twice
    assert again.rows == first.rows
    more = tune(tiny_competition, tmp_path / "study", trials=5)
    assert more.rows[:3] == first.rows
    assert more.num_done == 5
    with pytest.raises(StudyError, match=r"another seed \(0\)"):
        tune(tiny_competition, tmp_path / "study", trials=5, seed=1)


def test_the_best_is_the_most_accurate_and_its_file_is_kept_up(tiny_competition, tmp_path, no_training):
    bests = []

    def on_trial(row, num_done):
        bests.append(load_recipe(tmp_path / "study" / "winner.toml").learning_rate)

    found = tune(tiny_competition, tmp_path / "study", trials=12, pruner="none", on_trial=on_trial)
    accuracies = [row.accuracy for row in found.rows]
    assert found.best.accuracy == max(accuracies)
    assert found.best.accuracy == pytest.approx(peak(found.recipe, 2))
    assert peak(replace(found.recipe, learning_rate=bests[3]), 2) == pytest.approx(max(accuracies[:4]))
    assert found.own_accuracy == accuracies[0]
    assert found.best.accuracy > found.own_accuracy


def test_a_killed_workers_trial_is_done_by_the_next(tiny_competition, tmp_path):
    given = (str(tiny_competition), str(tmp_path / "study"), 4)
    (killed,) = answers(1, "tune", *given, 2, 0.0)
    assert killed.status == -signal.SIGKILL
    assert (tmp_path / "study" / "winner.toml").exists()  # what was found by then isn't lost
    assert (tmp_path / "study" / "trials" / "2").exists()
    (next_one,) = answers(1, "tune", *given, None, 0.0)
    assert next_one.status == 0, next_one.err
    assert next_one.value == [3, 4]
    found = json.loads(rows_of(tmp_path / "study", tiny_competition))
    assert [row["state"] for row in found] == ["finished", "finished", "lost", "finished", "finished"]
    assert found[3]["values"] == found[2]["values"]  # tried again
    assert not (tmp_path / "study" / "trials").exists()


def test_two_workers_at_once_share_one_study(tiny_competition, tmp_path):
    both = answers(2, "tune", str(tiny_competition), str(tmp_path / "study"), 8, None, 0.05, env=ALONE)
    assert [one.status for one in both] == [0, 0], both
    one, other = (set(each.value) for each in both)
    assert one | other == set(range(8))
    assert not one & other
    found = json.loads(rows_of(tmp_path / "study", tiny_competition))
    assert {row["state"] for row in found} <= {"finished", "pruned"}
    assert sum(row["is_own"] for row in found) == 1
    assert len({row["values"]["learning_rate"] for row in found}) == 8


def rows_of(folder, data):
    """The trials of a study, by a worker that has nothing to do."""
    return json.dumps(tune(data, folder, trials=1).to_dict()["trials"])


def test_a_stop_puts_the_trial_back(tiny_competition, tmp_path, no_training):
    done = []
    found = tune(
        tiny_competition,
        tmp_path / "study",
        trials=5,
        on_progress=lambda number, _: done.append(number),
        should_stop=lambda: 1 in done,  # in the second trial
    )
    assert [row.state for row in found.rows] == ["finished", "stopped", "waiting"]
    again = tune(tiny_competition, tmp_path / "study", trials=5)
    assert again.num_done == 5
    assert again.rows[2].values == found.rows[1].values


def test_minutes_end_it_and_a_trial_that_would_not_fit_is_not_begun(tiny_competition, tmp_path, monkeypatch):
    now = [0.0]

    class Time:
        @staticmethod
        def monotonic():
            return now[0]

        @staticmethod
        def sleep(_):
            raise AssertionError("it is alone")

    def fit(*given, **options):
        now[0] += 25
        return fake_fit()(*given, **options)

    monkeypatch.setattr("podium.api.tuning.time", Time)
    monkeypatch.setattr("podium.tuning.trial.time", Time)
    monkeypatch.setattr(trial, "fit", fit)
    found = tune(tiny_competition, tmp_path / "study", minutes=1.5)
    assert [row.state for row in found.rows] == ["finished"] * 3  # a fourth would take until 100 s
    short = tune(tiny_competition, tmp_path / "other", minutes=0.3)
    assert short.best is None
    assert short.winner is None
    assert [row.state for row in short.rows] == ["stopped", "waiting"]


def test_what_only_pays_in_long_trainings_is_varied_in_trials_as_long_as_the_recipe(
    tiny_competition, tmp_path, no_training
):
    short = tune(tiny_competition, tmp_path / "short", trials=1)
    assert short.epochs == 2
    assert "label_smoothing" not in short.best.values
    whole = tune(tiny_competition, tmp_path / "whole", trials=1, epochs=load_recipe("sprint_small").epochs)
    assert "label_smoothing" in whole.best.values


def test_a_space_beside_the_recipe_is_taken(tiny_competition, tmp_path, no_training):
    path = tmp_path / "mine.toml"
    path.write_text(load_recipe("sprint_small").to_toml())
    (tmp_path / "mine.search.toml").write_text("momentum = { low = 0.1, high = 0.9 }\n")
    found = podium.tune(tiny_competition, path, settings=SETTINGS, trials=1, out=tmp_path / "study")
    assert list(found.best.values) == ["momentum"]
    assert (tmp_path / "study" / "search.toml").read_text() == "momentum = { low = 0.1, high = 0.9 }\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "--trials, --minutes"),
        ({"trials": 0}, "above 0"),
        ({"minutes": float("nan")}, "above 0"),
        ({"trials": 1, "pruner": "mean"}, "median, hyperband, none"),
        ({"trials": 1, "validation": 1.0}, "--validation 1"),
        ({"trials": 1, "epochs": 99}, "at most the recipe's own 10"),
        ({"trials": 1, "search": "nowhere.toml"}, "nowhere.toml can't be read"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(options, says, tiny_competition, tmp_path):
    with pytest.raises(StudyError, match=says):
        tune(tiny_competition, tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_recipe_that_does_not_fit_the_data_is_said_at_once(tiny_competition, tmp_path):
    with pytest.raises(RecipeError):
        podium.tune(tiny_competition, "sprint", trials=1, out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_torchrun_is_not_for_it(tiny_competition, tmp_path, monkeypatch):
    monkeypatch.setattr("podium.api.tuning.join", lambda: type("World", (), {"size": 2}))
    with pytest.raises(StudyError, match="start it several times"):
        tune(tiny_competition, tmp_path / "study", trials=1)


def test_without_optuna_it_says_what_to_install(tiny_competition, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StudyError, match=r"pip install 'podium-vision\[tune\]'") as caught:
        tuning.check_installed()
    assert len(str(caught.value).splitlines()) == 2


def test_the_validation_part_has_a_seed_of_its_own(tiny_competition):
    data = podium.open(tiny_competition)
    rest = split(data.train, load_recipe("sprint_small", ["hold_out=0.2"]))[0]
    one, other = (tuning.validation_parts(data.train, rest, 0.1, seed)[1] for seed in (1, 2))
    assert not np.array_equal(one, other)
