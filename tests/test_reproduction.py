"""reproduce: the same again, or what isn't the same."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

import podium
from podium import api
from podium.api.reproduction import compare_with_original
from podium.cli import reproduce as verb
from podium.errors import RunError
from podium.evaluation import Predictions
from podium.runtime import prepare

SETTINGS = {"epochs": 2, "batch_size": 8, "hold_out": 0.25}


@pytest.fixture(scope="module")
def original(tiny_competition, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction") / "original"
    return podium.train(tiny_competition, "sprint_small", settings=SETTINGS, seed=3, out=folder)


def copied(run, path):
    return podium.Run.open(shutil.copytree(run.path, path))


def with_answers(run, *, num_wrong, num=2000):
    """Gives a run's hold-out so many wrong answers, the first ones."""
    labels = np.arange(num) % 2
    guesses = np.where(np.arange(num) < num_wrong, 1 - labels, labels)
    logits = np.eye(2, dtype=np.float32)[guesses]
    Predictions(np.arange(num).astype(str), ("cat", "dog"), logits, labels).save(run.hold_out_path)


def changed(run):
    tensors = safetensors.numpy.load_file(run.model_path)
    name = next(name for name, one in tensors.items() if one.dtype == np.float32 and one.size)
    tensors[name].flat[0] = np.nextafter(tensors[name].flat[0], np.float32(9))
    with safetensors.safe_open(run.model_path, framework="np") as file:
        header = file.metadata()
    safetensors.numpy.save_file(tensors, run.model_path, header)


def test_the_same_comes_of_it(original, tmp_path):
    found = api.reproduce(original, out=tmp_path / "again")
    assert found.verdict == "identical"
    assert found.same_answers == 1
    assert found.run.manifest["reproduces"]["path"] == str(original.path.resolve())
    assert not [one for one in found.differences if "commit" not in one]


def test_one_that_minutes_had_stretched_too(tiny_competition, tmp_path):
    run = podium.train(tiny_competition, minutes=0.12, settings={"hold_out": 0.25}, out=tmp_path / "run")
    found = api.reproduce(run, out=tmp_path / "again")
    assert found.verdict == "identical"
    assert found.run.manifest["num_steps"] == run.manifest["num_steps"]
    assert found.run.manifest.get("timetable") == run.manifest.get("timetable")


def test_weights_that_differ_in_a_bit_are_not_identical(original, tmp_path):
    other = copied(original, tmp_path / "other")
    changed(other)
    found = compare_with_original(original, other, prepare("fp32"))
    assert found.verdict == "within noise"
    assert found.test.p_value == 1


@pytest.mark.parametrize(("num_wrong", "verdict"), [(105, "within noise"), (160, "different")])
def test_noise_is_told_from_a_difference(original, tmp_path, num_wrong, verdict):
    first, other = copied(original, tmp_path / "first"), copied(original, tmp_path / "other")
    changed(other)
    with_answers(first, num_wrong=100)
    with_answers(other, num_wrong=num_wrong)
    found = compare_with_original(first, other, prepare("fp32"))
    assert found.verdict == verdict
    assert found.accuracies == (0.95, 1 - num_wrong / 2000)
    assert found.same_answers == pytest.approx(1 - (num_wrong - 100) / 2000)


def test_without_a_hold_out_only_bits_can_tell(original, tmp_path):
    other = copied(original, tmp_path / "other")
    changed(other)
    other.hold_out_path.unlink()
    found = compare_with_original(original, other, prepare("fp32"))
    assert (found.verdict, found.accuracies, found.test) == ("unknown", None, None)


def test_what_differs_between_the_machines_is_said(original, tmp_path):
    other = copied(original, tmp_path / "other")
    hardware = other.manifest["hardware"] | {"processor": "another one"}
    other.write_manifest(hardware=hardware, commit="abc")
    found = compare_with_original(other, original, prepare("fp32"))
    assert any(one.startswith("processor another one →") for one in found.differences)
    assert any(one.startswith("podium's commit abc →") for one in found.differences)


def test_what_cannot_be_trained_again(original, tmp_path):
    unfinished = copied(original, tmp_path / "unfinished")
    unfinished.model_path.unlink()
    with pytest.raises(RunError, match=r"isn't finished. Go on with it first: podium train --resume"):
        api.reproduce(unfinished)
    with pytest.raises(RunError, match=r"isn't what .* was trained on"):
        api.reproduce(original, "digits")
    imported = copied(original, tmp_path / "imported")
    imported.write_manifest(imported={"file": "x.params"})
    with pytest.raises(RunError, match="was imported"):
        api.reproduce(imported)
    begun = copied(original, tmp_path / "begun")
    weights = tmp_path / "weights.safetensors"
    begun.write_manifest(init={"path": str(weights), "sha256": "0"})
    with pytest.raises(RunError, match="aren't there any more"):
        api.reproduce(begun)
    weights.write_bytes(b"others")
    with pytest.raises(RunError, match="are others now"):
        api.reproduce(begun)
    assert not list(tmp_path.glob("again*"))


def test_under_torchrun_it_refuses_before_anything_is_made(original, tmp_path, monkeypatch, capsys):
    from podium.cli import main

    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(RunError, match="works in one process, and torchrun started 2"):
        api.reproduce(original, out=tmp_path / "again")
    monkeypatch.setattr("sys.argv", ["podium", "reproduce", str(original.path), "--out", str(tmp_path / "again")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("WORLD_SIZE", "1")
    api.check_alone("reproduce")


def test_the_command(original, tmp_path, capsys):
    from podium.cli import app

    status = app(["reproduce", str(original.path), "--out", str(tmp_path / "again"), "--json"], standalone_mode=False)
    assert status == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "identical"
    assert verb.__doc__
