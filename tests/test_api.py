import csv
import shutil

import numpy as np
import pytest

import podium
from podium.errors import DataError, RunError

TINY = {"epochs": 1.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}


def test_five_lines(tiny_competition, tmp_path):
    data = podium.open(tiny_competition)
    run = podium.train(data, "sprint_small", settings=TINY, seed=1, out=tmp_path / "run")
    evaluation = podium.evaluate(run, data)
    predictions = podium.submit([run], data, tmp_path / "submission.csv")
    assert evaluation.accuracy == run.manifest["hold_out"]["accuracy"]
    assert len(predictions) == 9
    rows = list(csv.DictReader((tmp_path / "submission.csv").open()))
    answers = dict(zip(predictions.ids.tolist(), predictions.guesses.tolist(), strict=True))
    assert {row["id"]: row["label"] for row in rows} == {i: predictions.classes[k] for i, k in answers.items()}


def test_the_manifest_says_what_is_needed_to_do_it_again(tiny_run, tiny_competition):
    manifest = podium.Run.open(tiny_run.path).manifest
    assert manifest["data"]["fingerprint"] == podium.open(tiny_competition).fingerprint
    assert manifest["data"]["classes"] == ["blue", "green", "red"]
    assert manifest["seed"] == 0
    assert manifest["versions"]["torch"]
    assert manifest["hardware"]["num_threads"] >= 1


def test_evaluation_is_on_images_that_were_not_trained_on(tiny_run, tiny_competition):
    held = podium.Predictions.load(tiny_run.hold_out_path)
    evaluation = podium.evaluate(tiny_run, tiny_competition)
    assert evaluation.num_images == len(held) == 12
    again = podium.predict(tiny_run, podium.open(tiny_competition).train)
    places = {image: place for place, image in enumerate(again.ids.tolist())}
    rows = [places[image] for image in held.ids.tolist()]
    assert np.allclose(again.logits[rows], held.logits, atol=1e-4)


def test_a_run_on_everything_can_not_be_measured_on_it(tiny_competition, tmp_path):
    run = podium.train(tiny_competition, "sprint_small", settings={**TINY, "hold_out": 0}, out=tmp_path / "run")
    with pytest.raises(RunError, match="every labelled image"):
        podium.evaluate(run, tiny_competition)


def test_images_that_were_resized_for_training_are_for_all_that_follows(tiny_competition, tmp_path):
    data = podium.open(tiny_competition, image_size=16)
    run = podium.train(data, "sprint_small", settings=TINY, out=tmp_path / "run")
    assert run.manifest["data"]["image_size"] == [16, 16]
    assert podium.evaluate(run).num_images == 12
    assert len(podium.submit(run, path=tmp_path / "s.csv")) == 9


def test_no_files_to_predict(tiny_run):
    with pytest.raises(DataError, match="No image"):
        podium.predict_files(tiny_run, [])


def test_a_first_opening_is_predicted_as_it_is_read(tiny_competition, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("podium.data.packing.BATCH_FILES", 2)
    warm = podium.submit(tiny_run, tiny_competition, tmp_path / "warm.csv")
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    events = []
    data = podium.open(tiny_competition, progress=lambda what, done, total: events.append((what.split()[0], done)))
    shutil.copytree(tiny_run.path, tmp_path / "other")
    runs = [tiny_run, tmp_path / "other"]
    cold = podium.submit(
        runs, data, tmp_path / "cold.csv", on_batch=lambda done, total: events.append(("predicting", done, total))
    )
    assert (tmp_path / "cold.csv").read_text() == (tmp_path / "warm.csv").read_text()
    assert np.allclose(cold.probabilities, warm.probabilities, atol=1e-4)
    predicted = [event[1:] for event in events if event[0] == "predicting"]
    assert predicted[-1] == (18, 18)
    assert predicted == sorted(predicted)
    assert len(predicted) >= 6  # five batches as they were read, and the second run's
    assert "reading" not in [event[0] for event in events[events.index(("predicting", *predicted[0])) :]]  # one bar
    again = podium.open(tiny_competition)
    monkeypatch.setattr("podium.data.packing.decode_all", None)  # would fail if it were called
    assert again.test is not None
    assert len(again.test) == 9


def test_tta_fraction_is_the_recipes(tiny_competition, tmp_path, monkeypatch):
    settings = {**TINY, "tta": "mirror", "tta_fraction": 0.25}
    run = podium.train(tiny_competition, "sprint_small", settings=settings, out=tmp_path / "run")
    asked = []
    whole = podium.evaluation.predict.least_sure
    monkeypatch.setattr(
        "podium.evaluation.predict.least_sure", lambda logits, count: asked.append(count) or whole(logits, count)
    )
    podium.submit(run, path=tmp_path / "s.csv")
    assert asked == [2]  # of nine
