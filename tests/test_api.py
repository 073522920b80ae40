import csv

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
