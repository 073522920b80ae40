"""import-gluon and export: an imported run is a run, and says what isn't known of it."""

import csv
import json
import sys

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import podium
from podium import api
from podium.api.gluon import CIFAR10_CLASSES
from podium.cli import app, main
from podium.errors import PodiumError, RunError, StorageError, WeightsError
from podium.interop import to_gluon, write_params
from podium.models import Classifier, create

MODEL = "seed_resnet164_v2"
CLASSES = ["blue", "green", "red"]


def invoke(*words):
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def write_file(path, num_classes):
    torch.manual_seed(0)
    network = create(MODEL, num_classes, (32, 32))
    write_params(path, to_gluon(network.state_dict(), MODEL))
    return path


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """A network of three classes, as Gluon would have saved it."""
    return write_file(tmp_path_factory.mktemp("params") / "net.params", 3)


@pytest.fixture(scope="module")
def imported(params, tmp_path_factory):
    return api.import_gluon(params, MODEL, tmp_path_factory.mktemp("runs") / "run", classes=CLASSES)


def test_import_and_export_give_the_same_file(params, tmp_path):
    run = tmp_path / "run"
    out = invoke("import-gluon", params, "--model", MODEL, "--classes", "blue, green,red", "-o", run)
    assert "3 classes: blue, green, red" in out
    assert str(run) in out
    assert {path.name for path in run.iterdir()} == {"manifest.json", "model.safetensors", "recipe.toml"}
    assert "sha256" in invoke("export", run, "--format", "gluon", "-o", tmp_path / "again.params")
    assert (tmp_path / "again.params").read_bytes() == params.read_bytes()

    told = json.loads(invoke("import-gluon", params, "--model", MODEL, "-o", tmp_path / "other", "--json"))
    assert told["data"]["classes"] == ["0", "1", "2"]
    assert told["imported"]["file"] == "net.params"
    exported = json.loads(invoke("export", run, "--format", "gluon", "-o", tmp_path / "third.params", "--json"))
    assert exported["sha256"] == told["imported"]["sha256"]


def test_it_carries_the_seeds_preprocessing(imported):
    run = podium.Run.open(imported.path)
    assert run.is_finished
    assert run.is_imported
    assert run.recipe == podium.load_recipe(MODEL)
    preprocessing = Classifier.load(run.model_path).preprocessing
    assert preprocessing.classes == tuple(CLASSES)
    assert preprocessing.image_size == (32, 32)
    assert preprocessing.mean == run.recipe.mean
    assert preprocessing.std == run.recipe.std


def test_importing_draws_no_random_numbers(params, tmp_path):
    before = torch.get_rng_state()
    api.import_gluon(params, MODEL, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)


def test_ten_outputs_are_cifar10s(tmp_path):
    run = api.import_gluon(write_file(tmp_path / "ten.params", 10), MODEL, tmp_path / "run")
    assert run.manifest["data"]["classes"] == list(CIFAR10_CLASSES)
    assert sorted(CIFAR10_CLASSES) == list(CIFAR10_CLASSES)


def test_predict_evaluate_submit(imported, tiny_competition, tmp_path):
    picture = tmp_path / "some.png"
    Image.new("RGB", (50, 40), (200, 0, 0)).save(picture)
    assert "%" in invoke("predict", picture, "--run", imported.path)

    evaluation = json.loads(invoke("evaluate", imported.path, tiny_competition, "--image-size", 32, "--json"))
    assert evaluation["num_images"] == 60
    assert "imported run" in evaluation["what"]

    out = tmp_path / "submission.csv"
    invoke("submit", imported.path, "--data", tiny_competition, "--image-size", 32, "-o", out)
    assert {row["label"] for row in csv.DictReader(out.open())} <= set(CLASSES)

    row = json.loads(invoke("runs", imported.path.parent, "--json"))[0]
    assert row["state"] == "imported"
    assert "imported" in invoke("runs", imported.path.parent)


def test_classes_in_another_order_are_matched_by_name(params, imported, tiny_competition, tmp_path):
    data = podium.open(tiny_competition, image_size=32)
    turned = api.import_gluon(params, MODEL, tmp_path / "run", classes=["red", "blue", "green"])
    predictions = podium.predict(turned, data.train)
    right = [predictions.classes[guess] for guess in predictions.guesses]
    labels = [data.classes[label] for label in data.train.labels]
    expected = sum(map(str.__eq__, right, labels)) / len(labels)
    assert podium.evaluate(turned, data).accuracy == pytest.approx(expected)


def test_what_is_not_known_is_said(imported, tiny_run, tmp_path, monkeypatch, capsys):
    cases = [
        (["evaluate", imported.path], ["imported", "podium evaluate", "DATA"]),
        (["submit", imported.path, "-o", tmp_path / "s.csv"], ["imported", "--data DATA"]),
        (["train", "--resume", imported.path], ["net.params", "finished"]),
        (["train", "--resume", imported.path, "digits"], ["net.params", "finished"]),
        (["evaluate", imported.path, "digits"], ["blue, green, red"]),
        (["export", tiny_run.path, "--format", "gluon", "-o", tmp_path / "x.params"], ["'sprint'"]),
        (["export", tmp_path, "--format", "gluon", "-o", tmp_path / "x.params"], ["no run"]),
        (["export", imported.path, "--format", "gluon", "-o", tmp_path], ["is a folder"]),
        (["export", imported.path, "--format", "gluon", "-o", tmp_path / "none" / "x"], ["doesn't exist"]),
        (["export", imported.path, "--format", "tflite", "-o", tmp_path / "x"], ["gluon"]),
    ]
    for words, expected in cases:
        monkeypatch.setattr(sys, "argv", ["podium", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        message = capsys.readouterr().err
        assert caught.value.code == 2
        if "tflite" not in words:  # that one is Typer's to say
            message = message[message.find("podium: ") :]  # progress may come first
            assert message.startswith("podium: "), message
            assert message.rstrip().count("\n") <= 1, message
        assert all(word in message for word in expected), (words, message)
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_imported_leaves_nothing(params, imported, tmp_path, monkeypatch):
    (tmp_path / "cut.params").write_bytes(params.read_bytes()[:1000])
    before = set(tmp_path.iterdir())
    out = tmp_path / "run"
    for words, error, expected in [
        ([tmp_path / "none.params", "--model", MODEL, "-o", out], WeightsError, "missing"),
        ([tmp_path / "cut.params", "--model", MODEL, "-o", out], WeightsError, "cut.params is damaged"),
        ([params, "--model", "seed_resnet18", "-o", out], WeightsError, "doesn't hold a seed_resnet18"),
        ([params, "--model", "sprint", "-o", out], WeightsError, "'sprint'"),
        ([params, "--model", MODEL, "--classes", "a,b", "-o", out], WeightsError, "has 3 outputs"),
        ([params, "--model", MODEL, "--classes", "a,b,a", "-o", out], WeightsError, "'a' is named twice"),
        ([params, "--model", MODEL, "--classes", "a,,b", "-o", out], WeightsError, "no name"),
        ([params, "--model", MODEL, "-o", imported.path], RunError, "exists already"),
        ([params, "--model", MODEL, "-o", params / "run"], StorageError, "can't be written"),
    ]:
        with pytest.raises(error, match=expected):
            invoke("import-gluon", *words)
    assert issubclass(WeightsError, PodiumError)

    def full(*_, **__):
        raise StorageError("full")

    monkeypatch.setattr(Classifier, "save", full)
    with pytest.raises(StorageError, match="full"):
        api.import_gluon(params, MODEL, out)
    assert set(tmp_path.iterdir()) == before
