"""verify: every form is asked for real, and each can be found to differ."""

import json
import shutil
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors.numpy
from spoiling import nudge, spoilt, turn

import podium
from podium import api
from podium.api import rehearsal, verification
from podium.cli import app, main
from podium.delivery.verify import FORMS, TOLERANCES
from podium.errors import DataError, ExportError, RunError, ServeError
from podium.recipe import load_recipe, recipe_names
from podium.training.plan import Plan

# ---- the resumed copy


@pytest.mark.parametrize("name", ["sprint_small", "resnet18"])
def test_a_training_that_was_stopped_ends_with_the_same_bits(tiny_run, tmp_path, name, monkeypatch):
    stops = []
    monkeypatch.setattr(
        rehearsal, "resume", lambda run, *given, **named: stops.append(steps(run)) or resume(run, *given, **named)
    )
    resume = api.resume
    run = podium.Run(tiny_run.path, replace(load_recipe(name), precision="fp32"), tiny_run.manifest)
    if name == "resnet18":
        run.recipe = replace(run.recipe, model="sprint", cutout=0)  # its schedule and its batches, a small net
    found = api.verify(run, forms=["resumed"], num_images=8)
    (one,) = found.forms
    assert one.status == "ok", one.reason
    assert (one.difference.num_other_tensors, one.difference.probabilities) == (0, 0)
    assert stops == [5]
    assert found.holds
    assert not list(tmp_path.iterdir())


def steps(run):
    with safetensors.safe_open(run.checkpoint_path, framework="np") as file:
        return json.loads(file.metadata()["state"])["step"]


def test_one_that_goes_on_otherwise_is_found(tiny_run, monkeypatch):
    resume = api.resume

    def careless(run, *given, **named):
        content = safetensors.numpy.load_file(run.checkpoint_path)
        with safetensors.safe_open(run.checkpoint_path, framework="np") as file:
            header = file.metadata()
        momentum = next(name for name in content if name.startswith("optimizer.") and content[name].any())
        content[momentum][...] = 0
        safetensors.numpy.save_file(content, run.checkpoint_path, header)
        return resume(run, *given, **named)

    monkeypatch.setattr(rehearsal, "resume", careless)
    (one,) = api.verify(tiny_run, forms=["resumed"], num_images=8).forms
    assert one.status == "differs"
    assert one.difference.num_other_tensors > 0


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.parametrize("num_images", [64, 1000])
def test_every_recipe_can_be_shortened(name, num_images):
    recipe = rehearsal.shortened(load_recipe(name), num_images)
    plan = Plan.from_recipe(recipe, num_images)
    assert 4 <= plan.num_steps <= 9
    assert (recipe.hold_out, recipe.compile) == (0, "none")
    assert 0 < rehearsal._half(recipe, num_images) < plan.num_steps


# ---- the whole


def command(*words):
    return app(["verify", *map(str, words)], standalone_mode=False)


def test_the_command_shows_all_that_was_asked_and_its_status_is_the_verdict(
    tiny_run, tiny_competition, tmp_path, capsys, monkeypatch
):
    other = spoilt(tiny_run, tmp_path / "other", turn)
    words = [tiny_run.path, tiny_competition, "--images", 10, "--threads", 1]
    words += ["--form", "server", "--form", "eager", "--form", "reloaded"]
    assert command(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run"], told["num_images"], told["holds"]) == (str(tiny_run.path), 10, True)
    assert (told["images"], told["tta"]) == ("hold-out of tiny", tiny_run.recipe.tta)
    assert told["temperature"] == api.pictures.judge_of(tiny_run).temperature
    assert [(one["form"], one["status"]) for one in told["forms"]] == [
        ("eager", "ok"),
        ("reloaded", "ok"),
        ("server", "ok"),
    ]
    assert set(told["forms"][0]) == {"form", "status", "reason", "difference", "tolerance", "seconds"}
    allowed = TOLERANCES["eager"].at(told["temperature"])
    assert told["forms"][0]["tolerance"] == asdict(allowed)
    assert told["forms"][0]["difference"]["num_images"] == 10
    ask = FORMS["eager"]
    monkeypatch.setitem(FORMS, "eager", lambda subject: ask(replace(subject, run=other)))
    assert command(*words) == 1
    said = capsys.readouterr().out
    assert "Not the same: eager." in said
    assert "10 hold-out of tiny" in said
    assert command(*words, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in told["forms"]] == ["differs", "ok", "ok"]
    assert not told["holds"]


def test_what_this_machine_lacks_is_skipped_with_its_reason(tiny_run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(api.serving, "find_spec", lambda name: None if name == "uvicorn" else object())
    monkeypatch.setattr(verification, "check_compiler", no_compiler)
    found = api.verify(tiny_run, num_images=4, forms=["compiled", "onnx", "int8", "server"])
    assert [one.status for one in found.forms] == ["skipped"] * 4
    reasons = {one.form: one.reason for one in found.forms}
    assert "C++ compiler" in reasons["compiled"]
    assert "needs the package onnxscript" in reasons["onnx"] == reasons["int8"]
    assert "pip install 'podium-vision[onnx]'" in reasons["onnx"]
    assert "uvicorn" in reasons["server"]
    assert all("\n" not in reason for reason in reasons.values())
    assert found.holds
    assert command(tiny_run.path, "--images", 4, "--form", "server") == 0
    said = capsys.readouterr().out
    assert "Skipped: server." in said
    assert "server skipped: Serving needs packages" in said


def no_compiler(device):
    raise ExportError("torch.compile doesn't work here: no C++ compiler")


def test_a_form_that_breaks_off_is_a_finding(tiny_run, monkeypatch):
    def broken(_):
        raise ServeError("The server answers 500 to a PNG.\nMore.")

    monkeypatch.setitem(FORMS, "server", broken)
    found = api.verify(tiny_run, num_images=4, forms=["server"])
    assert (found.forms[0].status, found.holds) == ("failed", False)
    assert found.forms[0].reason == "ServeError: The server answers 500 to a PNG."


def test_a_form_that_answers_no_numbers_differs(tiny_run, monkeypatch):
    ask = FORMS["eager"]

    def nan(subject):
        found = ask(subject)
        return replace(found, logits=found.logits * np.nan)

    monkeypatch.setitem(FORMS, "eager", nan)
    (one,) = (found := api.verify(tiny_run, num_images=4, forms=["eager"])).forms
    assert (one.status, one.difference, one.reason) == ("differs", None, "some of its answers are no numbers")
    json.dumps(found.to_dict(), allow_nan=False)


def test_weights_that_ship_are_verified_right_after_install():
    found = api.verify(num_images=12, forms=["eager", "server"])
    assert (found.run, found.images, found.num_images) == ("builtin:cifar10", "images made from a seed", 12)
    assert found.temperature == pytest.approx(0.4997)
    assert found.holds


def test_what_can_not_be_is_said(tiny_run, tmp_path, monkeypatch, capsys):
    unfinished = spoilt(tiny_run, tmp_path / "unfinished", nudge)
    unfinished.model_path.unlink()
    with pytest.raises(RunError, match=r"There is no form 'tflite'. Those there are: eager, reloaded"):
        api.verify(tiny_run, forms=["tflite"])
    with pytest.raises(RunError, match="0 images can't be"):
        api.verify(tiny_run, num_images=0)
    with pytest.raises(RunError, match="knows the classes"):
        api.verify(tiny_run, "digits")
    with pytest.raises(DataError, match="none"):
        api.verify(tiny_run, tmp_path / "none")
    with pytest.raises(RunError, match="was not finished"):
        api.verify(unfinished)
    diverged = spoilt(
        tiny_run,
        tmp_path / "diverged",
        lambda tensors: [one.fill(np.nan) for one in tensors.values() if one.dtype == np.float32],
    )
    with pytest.raises(RunError, match="numbers that are none"):
        api.verify(diverged, num_images=4, forms=["eager"])
    with pytest.raises(RunError, match="Give --image-size 12"):
        api.verify(tiny_run, podium.open(tiny_run.manifest["data"]["path"], image_size=16))
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "argv", ["podium", "verify", str(tiny_run.path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "verify works in one process, and torchrun started 2" in capsys.readouterr().err


def test_a_run_without_a_hold_out_is_asked_about_training_images(tiny_run, tiny_competition, tmp_path):
    run = podium.Run.open(shutil.copytree(tiny_run.path, tmp_path / "run"))
    run.recipe = replace(run.recipe, hold_out=0.0)
    found = api.verify(run, tiny_competition, forms=["eager"])
    assert (found.images, found.num_images) == ("training images of tiny", 60)
