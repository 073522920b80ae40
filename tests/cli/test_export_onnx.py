"""podium export: files that are whole, a card that says what is known, and plain words where it can't be."""

import dataclasses
import json
import re
import shutil
import sys

import numpy as np
import onnxruntime
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import podium
from podium import api
from podium.api import onnx as onnx_api
from podium.api.pictures import judge_of
from podium.cli import app, main
from podium.delivery import export
from podium.errors import DataError, ExportError, RunError, StorageError
from podium.files import sha256_of
from podium.models import Classifier


def invoke(*words):
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def moved(run, folder, settings=None, **changes):
    """A copy of the run whose manifest says otherwise."""
    manifest = json.loads(json.dumps(run.manifest))
    for key, value in changes.items():
        manifest["data"][key] = value
    copy = podium.Run.create(folder, dataclasses.replace(run.recipe, **(settings or {})), manifest)
    for name in ("model.safetensors", "hold_out.safetensors"):
        shutil.copy(run.path / name, copy.path)
    return copy


@pytest.fixture(scope="module")
def mirrored(tiny_run, tmp_path_factory):
    """The tiny run, as if its recipe had test-time augmentation for all images."""
    return moved(tiny_run, tmp_path_factory.mktemp("mirrored") / "run", {"tta": "mirror_translate"})


@pytest.fixture(scope="module")
def folder(mirrored, tmp_path_factory):
    """What --tta --int8 writes of a run that has test-time augmentation."""
    out = tmp_path_factory.mktemp("exports") / "model"
    told = json.loads(invoke("export", mirrored.path, "-o", out, "--tta", "--int8", "--threads", 1, "--json").stdout)
    return out, told


@pytest.fixture(scope="module")
def one_model(tiny_run):
    """What torch makes of the tiny run, made once: the rest of each export is done anew."""
    classifier, temperature = Classifier.load(tiny_run.model_path), judge_of(tiny_run).temperature
    return export.to_onnx(classifier, temperature=temperature, facts={"classes": '["blue", "green", "red"]'})


@pytest.fixture
def quick(one_model, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: one_model)


def card_of(text):
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_a_folder_holds_both_models_the_weights_and_the_card(folder, mirrored):
    out, told = folder
    assert {path.name for path in out.iterdir()} == {"model.onnx", "model.int8.onnx", "model.safetensors", "README.md"}
    assert set(told["files"]) == {str(path) for path in out.iterdir()}
    assert Classifier.load(out / "model.safetensors").preprocessing.classes == ("blue", "green", "red")
    assert told["agreement"]["what"] == "held-out images"
    assert told["agreement"]["num_images"] == 12
    assert told["agreement"]["num_other_guesses"] == 0
    facts = export.OnnxSession(out / "model.int8.onnx", 1).facts
    assert json.loads(facts["classes"]) == ["blue", "green", "red"]
    assert json.loads(facts["image_size"]) == [12, 12]
    assert (facts["precision"], facts["tta"]) == ("int8", "mirror_translate")
    assert facts["podium_version"] == mirrored.manifest["versions"]["podium"]


def test_its_accuracy_is_the_files_own(folder, mirrored, tiny_competition):
    out, told = folder
    data = podium.open(tiny_competition)
    images = api.results.sets_to_measure(mirrored, data, "hold-out")[0][0]
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    probabilities, _ = session.run(["probabilities", "logits"], {"images": np.asarray(images.pixels)})
    own = float((probabilities.argmax(1) == images.labels).mean())
    assert told["evaluations"]["onnx"]["accuracy"] == pytest.approx(own)
    assert told["evaluations"]["onnx"]["tta"] == "mirror_translate"
    assert set(told["evaluations"]) == {"onnx", "int8"}
    judge, expected = judge_of(mirrored), podium.predict(mirrored, images)
    assert np.abs(judge.probabilities(expected.logits) - probabilities).max() < 1e-4
    assert np.abs(expected.probabilities - probabilities).max() > 1e-3  # the temperature makes a difference
    assert float(export.OnnxSession(out / "model.onnx", 1).facts["temperature"]) == judge.temperature
    assert f"divided by {judge.temperature:.4g}" in (out / "README.md").read_text()


def test_the_card_is_one(folder, tiny_run, tiny_competition):
    out, told = folder
    text = (out / "README.md").read_text()
    front, body = card_of(text)
    assert front["library_name"] == "onnx"
    assert front["pipeline_tag"] == "image-classification"
    assert "license" not in front
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"type": "tiny", "name": "tiny", "split": "hold-out of tiny"}
    assert result["metrics"] == [
        {"type": "accuracy", "value": pytest.approx(told["evaluations"]["onnx"]["accuracy"], abs=1e-5)}
    ]
    rows = [line for line in body.splitlines() if line.startswith("| model")]
    assert [row.split("|")[1].strip() for row in rows] == ["model.onnx", "model.int8.onnx", "model.safetensors"]
    for kind, row in zip(("onnx", "int8"), rows, strict=False):
        low, high = told["evaluations"][kind]["interval"]
        assert f"| {told['evaluations'][kind]['accuracy']:.2%} | {low:.2%} to {high:.2%} | 12 |" in row
    for known in (
        "blue, green, red",
        "48 to train on and 12 held out",
        "48 training images",
        "No lic",
        "`sprint_small`",
    ):
        assert known in body, known
    assert str(tiny_competition.parent) not in text
    assert str(tiny_run.path.parent) not in text


def test_the_cards_program_runs(folder, monkeypatch, capsys):
    out, _ = folder
    code = re.search(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)[1]
    monkeypatch.chdir(out)
    Image.new("RGB", (40, 30), (250, 20, 20)).save(out.parent / "picture.png")
    exec(code.replace("picture.png", "../picture.png"), {})
    assert capsys.readouterr().out.split()[0] in ("blue", "green", "red")


def test_a_file_brings_others_beside_it_and_replaces_them(quick, tiny_run, tmp_path):
    out = tmp_path / "net.onnx"
    (tmp_path / "README.md").write_text("mine")
    said = invoke("export", tiny_run.path, "-o", out, "--threads", 1)
    names = {"net.onnx", "net.safetensors", "net.md", "README.md"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "float32: accuracy" in said.stdout
    assert "0 get another class" in said.stdout
    out.write_bytes(b"old")
    made = api.export_onnx(tiny_run, out)
    assert list(made.files) == [out, tmp_path / "net.safetensors", tmp_path / "net.md"]
    assert made.files[out] == sha256_of(out)
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "README.md").read_text() == "mine"


def test_without_the_data_it_is_checked_on_generated_images(quick, tiny_run, tiny_competition, tmp_path):
    run = moved(tiny_run, tmp_path / "run", path=str(tmp_path / "secret" / "gone"))
    made = api.export_onnx(run, tmp_path / "out.onnx")
    assert made.agreement.what == "generated images"
    assert made.evaluations == {}
    front, body = card_of((tmp_path / "out.md").read_text())
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == run.manifest["hold_out"]["accuracy"]
    assert "weren't at hand" in body
    assert "secret" not in body
    assert "secret" in made.notes[0]
    with pytest.raises(DataError, match="gone"):
        api.export_onnx(run, tmp_path / "other.onnx", int8=True)
    made = api.export_onnx(run, tmp_path / "other.onnx", data=tiny_competition)
    assert made.agreement.what == "held-out images"


def test_other_data_are_refused(quick, tiny_run, tiny_competition, tmp_path):
    run = moved(tiny_run, tmp_path / "run", fingerprint="0" * 16)
    with pytest.raises(RunError, match="isn't what"):
        api.export_onnx(run, tmp_path / "out.onnx", data=tiny_competition)
    assert api.export_onnx(run, tmp_path / "out.onnx").agreement.what == "generated images"


def test_what_was_trained_on_everything_is_not_measured(quick, tiny_run, tmp_path):
    run = moved(tiny_run, tmp_path / "run", {"hold_out": 0.0})
    del run.manifest["hold_out"]
    made = api.export_onnx(run, tmp_path / "out", int8=True)
    assert made.evaluations == {}
    assert made.agreement.what == "training images"
    front, body = card_of((tmp_path / "out" / "README.md").read_text())
    assert "model-index" not in front
    assert "Not known: no image was held out" in body
    assert any("gives the float32 file's class for" in note for note in made.notes)


def test_names_are_no_marks(quick, tiny_run, tmp_path):
    run = moved(tiny_run, tmp_path / "run", name='a|b`*<i>"\n# x', path=str(tmp_path / "none"))
    api.export_onnx(run, tmp_path / "out.onnx")
    front, body = card_of((tmp_path / "out.md").read_text())
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == 'a|b`*<i>"\n# x'
    assert 'a\\|b\\`\\*\\<i\\>" \\# x' in body
    assert "\n# x" not in body


def test_what_can_not_be_is_said_and_leaves_nothing(quick, tiny_run, tmp_path, monkeypatch, capsys):
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    here = tmp_path / "here.onnx"
    here.mkdir()
    run = tiny_run.path
    cases = [
        (["export", run, "-o", full], "exists already"),
        (["export", run, "-o", full / "file"], "exists already"),
        (["export", run, "-o", here], "is a folder"),
        (["export", run, "-o", tmp_path / "none" / "x.onnx"], "doesn't exist"),
        (["export", tmp_path, "-o", tmp_path / "x.onnx"], "no run"),
        (["export", run, "--format", "gluon", "-o", tmp_path / "x", "--int8"], "--int8 would be ignored"),
        (["export", run, "--format", "gluon", "-o", tmp_path / "x", "--tta"], "--tta would be ignored"),
        (["export", run, "-o", tmp_path / "x.onnx", "--tta"], "Leave --tta out"),
        (["export", run, "-o", tmp_path / "x.onnx", "--data", tmp_path / "none"], "none"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for words, expected in cases:
        monkeypatch.setattr(sys, "argv", ["podium", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        message = capsys.readouterr().err
        assert caught.value.code == 2
        assert message.startswith("podium: "), message
        assert message.rstrip().count("\n") <= 1, message
        assert expected in message
        assert sorted(tmp_path.rglob("*")) == before


def test_without_the_extra_two_lines_say_what_to_install(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"(?s)needs the package onnxscript.*\n.*'podium-vision\[onnx\]'$") as caught:
        api.export_onnx(tiny_run, tmp_path / "out.onnx")
    assert str(caught.value).count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_answers_otherwise_or_breaks_off_is_not_written(quick, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(export.check, "TOLERANCE", 0.0)
    for out in (tmp_path / "out.onnx", tmp_path / "out"):
        with pytest.raises(ExportError, match="Nothing was written"):
            api.export_onnx(tiny_run, out)
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_half_of_an_export(quick, tiny_run, tmp_path, monkeypatch):
    write, written = onnx_api.write_atomically, []

    def full(path, content):
        if len(written) == 2:
            raise StorageError("full")
        written.append(path)
        write(path, content)

    monkeypatch.setattr(onnx_api, "write_atomically", full)
    with pytest.raises(StorageError):
        api.export_onnx(tiny_run, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    written.clear()
    with pytest.raises(StorageError):
        api.export_onnx(tiny_run, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()  # it comes last
