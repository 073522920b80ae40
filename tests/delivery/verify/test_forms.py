"""Every form is asked for real, and with other weights gives other answers."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from spoiling import nudge, spoilt, turn

import podium
from podium.api.pictures import judge_of
from podium.delivery.verify import FORMS, TOLERANCES, Subject, difference, made_images, reference_answers
from podium.delivery.verify import forms as room
from podium.errors import ExportError, ServeError
from podium.models import Classifier
from podium.runtime import prepare

NUM_IMAGES = 40


@pytest.fixture(scope="module")
def subject(tiny_run):
    pixels, calibration = made_images(NUM_IMAGES, (12, 12)), made_images(32, (12, 12), seed=1)
    return Subject.about(tiny_run, judge_of(tiny_run), pixels, calibration, prepare("fp32", num_threads=1))


@pytest.fixture(scope="module")
def other(subject, tiny_run, tmp_path_factory):
    """The same images, to be asked about with other weights."""
    return replace(subject, run=spoilt(tiny_run, tmp_path_factory.mktemp("other") / "run", turn))


@pytest.fixture(scope="module")
def reference(subject):
    return reference_answers(subject)


@pytest.mark.parametrize("name", list(FORMS))
def test_a_form_gives_the_references_answers_and_with_other_weights_others(name, subject, other, reference):
    found = difference(reference, FORMS[name](subject), TOLERANCES[name].at(subject.judge.temperature))
    assert found.holds, found
    assert (found.logits is None) == (name == "server")
    found = difference(reference, FORMS[name](other), TOLERANCES[name])
    assert not found.holds
    assert found.num_other_answers - found.num_within_margin > NUM_IMAGES / 4


def test_each_form_computes_by_itself(subject, reference):
    """Forms that were one computation would be the same bits: a test of the tests."""
    bf16, onnx = FORMS["bf16"](subject), FORMS["onnx"](subject)
    assert 0 < np.abs(onnx.logits - reference.logits).max() < np.abs(bf16.logits - reference.logits).max()
    int8 = FORMS["int8"](subject)
    assert np.abs(int8.logits - reference.logits).max() > np.abs(bf16.logits - reference.logits).max() / 4
    served = FORMS["server"](subject).probabilities.astype(float)
    assert np.abs(served - served.round(6)).max() < 1e-7


def test_a_network_that_takes_an_images_middle_is_shown_the_middle_by_all(subject, tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    with safetensors.safe_open(tiny_run.model_path, framework="np") as file:
        header = file.metadata()
    header["preprocessing"] = json.dumps(json.loads(header["preprocessing"]) | {"crops": True})
    run = podium.Run.open(tmp_path / "run")
    safetensors.numpy.save_file(safetensors.numpy.load_file(tiny_run.model_path), run.model_path, header)
    cropping = replace(subject, run=run)
    assert np.array_equal(subject.pixels, made_images(NUM_IMAGES, (12, 12)))
    assert not np.array_equal(cropping.pixels, subject.pixels)
    for name in ("eager", "server"):
        assert difference(reference_answers(cropping), FORMS[name](cropping), TOLERANCES[name]).holds


def test_a_file_that_loses_a_bit_is_found(subject, monkeypatch):
    save = Classifier.save

    def losing(classifier, path):
        save(classifier, path)
        tensors = safetensors.numpy.load_file(path)
        nudge(tensors)
        with safetensors.safe_open(path, framework="np") as file:
            header = file.metadata()
        safetensors.numpy.save_file(tensors, path, header)

    monkeypatch.setattr(Classifier, "save", losing)
    found = FORMS["reloaded"](subject)
    assert len(found.other_tensors) == 1
    assert not difference(reference_answers(subject), found, TOLERANCES["reloaded"]).holds


def test_where_nothing_can_be_compiled_torch_s_reason_is_said(monkeypatch):
    def compile_nothing(*_, **__):
        raise RuntimeError("\nInvalidCxxCompiler: No working C++ compiler found in [None, '/nothing'].\nmore")

    monkeypatch.setattr(room.torch, "compile", compile_nothing)
    with pytest.raises(ExportError, match=r"No working C\+\+ compiler found in .*It needs a C\+\+ compiler"):
        room.check_compiler(room.torch.device("cpu"))


def test_a_server_that_answers_otherwise_is_said(subject, monkeypatch):
    from podium.delivery.serve import Service

    async def wrong(self, request, **_):
        return {"images": []}

    monkeypatch.setattr(Service, "predict", wrong)
    with pytest.raises(ServeError, match="can't be read: IndexError"):
        FORMS["server"](subject)
