"""submit with several runs: what each counts."""

import csv

import numpy as np
import pytest

import podium
from podium.evaluation import Predictions, blend, ensemble

TINY = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}


@pytest.fixture(scope="module")
def two(tiny_run, tiny_competition, tmp_path_factory):
    """The tiny run and another seed's, with hold-outs that tell them apart."""
    folder = tmp_path_factory.mktemp("ensemble")
    runs = [
        podium.train(tiny_competition, "sprint_small", settings=TINY, seed=seed, out=folder / f"{seed}")
        for seed in (1, 2)
    ]
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 300)
    for run, skill in zip(runs, (0.5, 3.0), strict=True):
        classes = tuple(run.manifest["data"]["classes"])
        logits = draw.normal(size=(300, 3)) + skill * np.eye(3)[labels]
        Predictions(np.arange(300).astype(str), classes, logits.astype(np.float32), labels).save(run.hold_out_path)
    return runs


def test_weights_come_from_the_hold_out(two, tiny_competition, tmp_path):
    told = []
    together = podium.submit(two, tiny_competition, tmp_path / "s.csv", on_blend=told.append)
    assert told == [blend([Predictions.load(run.hold_out_path) for run in two])]
    assert told[0].weights[1] > 0.8
    each = [podium.submit(run, tiny_competition, tmp_path / "one.csv") for run in two]
    assert np.array_equal(together.logits, ensemble(each, told[0].weights).logits)
    rows = {row["id"]: row["label"] for row in csv.DictReader((tmp_path / "s.csv").open())}
    assert [rows[name] for name in together.ids] == [together.classes[guess] for guess in together.guesses]


def test_equal_weights_if_asked_for(two, tiny_competition, tmp_path):
    told = []
    together = podium.submit(two, tiny_competition, tmp_path / "s.csv", weights="equal", on_blend=told.append)
    each = [podium.submit(run, tiny_competition, tmp_path / "one.csv") for run in two]
    assert told == []
    assert np.array_equal(together.logits, ensemble(each).logits)


def test_equal_weights_for_lack_of_common_images(two, tiny_run, tiny_competition, tmp_path):
    told = []
    together = podium.submit([two[0], tiny_run], tiny_competition, tmp_path / "s.csv", on_blend=told.append)
    each = [podium.submit(run, tiny_competition, tmp_path / "one.csv") for run in (two[0], tiny_run)]
    assert told == [None]
    assert np.array_equal(together.logits, ensemble(each).logits)


def test_the_command_says_them(two, tiny_competition, tmp_path, capsys):
    from podium.cli import app

    given = ["submit", *(str(run.path) for run in two), "--data", str(tiny_competition), "-o", str(tmp_path / "s.csv")]
    app(given, standalone_mode=False)
    said = capsys.readouterr().out
    assert "Weights: 1 0." in said
    assert "from the 300 images that all of them held out" in said
    app([*given, "--weights", "equal"], standalone_mode=False)
    assert "Weights" not in capsys.readouterr().out
