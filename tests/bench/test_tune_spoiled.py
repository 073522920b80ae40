"""The bench of tuning: what it spoils, what it searches, and that it compares alike."""

import json
import sys
from types import SimpleNamespace

import common
import pytest
import tune_spoiled
from trials import fake_fit

import podium
from podium.recipe import load_recipe
from podium.tuning import parse_space, trial


def test_all_learning_rates_are_spoiled_and_the_shipped_ones_are_within_reach():
    shipped = load_recipe("sprint")
    spoiled = tune_spoiled.spoiled_of(shipped)
    assert {key for key, value in spoiled.to_dict().items() if value != shipped.to_dict()[key]} == {
        "name",
        *tune_spoiled.RATES,
    }
    text = "".join(f"{key} = {{ factors = {tune_spoiled.FACTORS} }}\n" for key in tune_spoiled.RATES)
    for key, axis in parse_space(text, "s", spoiled).items():
        assert getattr(spoiled, key) == pytest.approx(10 * getattr(shipped, key))
        assert getattr(shipped, key) in axis


def test_it_searches_once_and_compares_in_as_many_epochs(tiny_competition, tmp_path, monkeypatch, capsys):
    clock = Clock()
    for module in ("podium.api.tuning.time", "podium.tuning.trial.time"):
        monkeypatch.setattr(module, clock)
    monkeypatch.setattr(trial, "fit", clock.fit)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    trained = []

    found = {"hold_out": {"accuracy": 0.9, "interval": [0.8, 0.95]}, "split": {"num_hold_out": 6}, "hardware": {}}
    run = SimpleNamespace(manifest=found, recipe=load_recipe("sprint_small"))

    def train(folder, data, recipe, seed, on_progress):
        trained.append((folder.name, recipe.epochs, seed))
        return run

    monkeypatch.setattr(tune_spoiled, "train_or_resume", train)
    monkeypatch.setattr(tune_spoiled, "load_recipe", with_small_batches)
    words = ["--recipe", "sprint_small", "--minutes", "1.5", "--seeds", "0", "1", "--epochs", "4"]
    monkeypatch.setattr(sys, "argv", ["bench", str(tiny_competition), *words, "--runs", str(tmp_path / "runs")])
    tune_spoiled.main()
    assert trained == [
        *((f"{name}-{seed}", 4, seed) for name in ("shipped", "winner") for seed in (0, 1)),
        ("spoiled-0", 4, 0),
    ]
    figures = json.loads((tmp_path / "tune-spoiled.json").read_text())["figures"]
    assert figures["points_below_shipped"] == 0
    assert figures["study"]["trials"] == {"finished": 3}
    num_rows = len((tmp_path / "runs" / "study" / "journal.log").read_text().splitlines())
    tune_spoiled.main()  # the comparison alone
    assert len((tmp_path / "runs" / "study" / "journal.log").read_text().splitlines()) == num_rows


class Clock:
    """Time that passes in trainings only, 25 seconds in each."""

    now = 0.0

    def monotonic(self):
        return self.now

    def fit(self, *given, **options):
        self.now += 25
        return fake_fit()(*given, **options)


def with_small_batches(name):
    return podium.load_recipe(name, ["batch_size=16", "hold_out=0.2"])
