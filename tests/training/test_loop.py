"""The loop, on a tiny competition: exactness, resuming, and what a full disk leaves."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import podium
from podium.errors import RecipeError, RunError, StorageError
from podium.recipe import load_recipe
from podium.training import setup

TINY = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}


def weights(run):
    return load_file(run.model_path)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train(data, out, seed=0, recipe="sprint_small", **more):
    settings = {**TINY, **more.pop("settings", {})}
    return podium.train(data, recipe, settings=settings, seed=seed, out=out, **more)


def test_it_learns_and_leaves_all_that_was_promised(tiny_run):
    assert tiny_run.is_finished
    names = {path.name for path in tiny_run.path.iterdir()}
    assert names == {"recipe.toml", "manifest.json", "metrics.jsonl", "model.safetensors", "hold_out.safetensors"}
    epochs = [line for line in tiny_run.metrics() if line["kind"] == "epoch"]
    assert [line["step"] for line in epochs] == [3, 6]  # 48 images, batches of 16
    assert epochs[1]["loss"] < epochs[0]["loss"]
    assert tiny_run.manifest["hold_out"]["accuracy"] == 1.0  # three colours
    assert tiny_run.manifest["split"] == {"hold_out": 0.2, "seed": 0, "num_train": 48, "num_hold_out": 12}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("recipe", ["sprint_small", "seed_resnet18"])
def test_one_seed_gives_the_same_bits_and_another_does_not(tiny_competition, tmp_path, recipe, precision):
    settings = {"precision": precision, "epochs": 1.0, "last_batch": "keep"}
    runs = [
        train(tiny_competition, tmp_path / str(number), seed, recipe, settings=settings)
        for number, seed in enumerate([3, 3, 4])
    ]
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_stopped_and_resumed_equals_uninterrupted(tiny_competition, tiny_run, tmp_path, stop_at):
    steps = iter(range(1, 100))
    run = train(tiny_competition, tmp_path / "run", should_stop=lambda: next(steps) == stop_at)
    assert not run.is_finished
    torch.manual_seed(99)  # the global generator must not matter
    again = podium.resume(run.path)
    assert same(weights(again), weights(tiny_run))

    def figures(one):
        return [{key: line[key] for key in line if key != "train_seconds"} for line in one.metrics()]

    assert figures(again) == figures(tiny_run)
    assert again.manifest["hold_out"]["accuracy"] == tiny_run.manifest["hold_out"]["accuracy"]


SCRIPT = """
import sys, podium
settings = {"epochs": 40.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}
if sys.argv[3] == "train":
    podium.train(sys.argv[1], "sprint_small", settings=settings, out=sys.argv[2], checkpoint_seconds=0)
else:
    podium.resume(sys.argv[2], checkpoint_seconds=0)
"""


def test_kill_at_any_moment_and_resume_gives_the_same_bits(tiny_competition, tmp_path):
    """kill -9 after a random while, again and again, until it comes through."""
    whole = train(tiny_competition, tmp_path / "whole", settings={"epochs": 40.0})
    out = tmp_path / "killed"
    rng = np.random.default_rng()
    num_kills = 0
    for _ in range(60):
        verb = "resume" if (out / "manifest.json").exists() else "train"
        command = [sys.executable, "-c", SCRIPT, str(tiny_competition), str(out), verb]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            began = time.monotonic()
            while not (out / "checkpoint").exists() and process.poll() is None and time.monotonic() - began < 60:
                time.sleep(0.01)  # until the first checkpoint; then anywhere
            patience = rng.uniform(1.5, 4) if num_kills < 4 else 120
            try:
                process.wait(patience)
                assert process.returncode == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                num_kills += 1
    assert num_kills >= 1
    run = podium.Run.open(out)
    assert same(weights(run), weights(whole))
    assert run.manifest["hold_out"]["accuracy"] == whole.manifest["hold_out"]["accuracy"]
    assert not list(out.glob(".*")) or all(path.name.endswith(".part") for path in out.glob(".*"))


def test_a_full_disk_is_said_and_the_last_checkpoint_stays(tiny_competition, tiny_run, tmp_path, monkeypatch):
    out = tmp_path / "run"
    steps = iter(range(1, 100))
    train(tiny_competition, out, should_stop=lambda: next(steps) == 2)
    good = (out / "checkpoint").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            podium.resume(out)
    assert (out / "checkpoint").read_bytes() == good
    assert same(weights(podium.resume(out)), weights(tiny_run))


def test_a_damaged_checkpoint_is_said(tiny_competition, tmp_path):
    out = tmp_path / "run"
    train(tiny_competition, out, should_stop=lambda: True)
    content = (out / "checkpoint").read_bytes()
    for keep in (0, 9, len(content) // 2):
        (out / "checkpoint").write_bytes(content[:keep])
        with pytest.raises(RunError, match="can't be resumed"):
            podium.resume(out)


def test_other_data_are_refused(tiny_competition, tmp_path):
    out = tmp_path / "run"
    train(tiny_competition, out, should_stop=lambda: True)
    with pytest.raises(RunError, match="other data"):
        podium.resume(out, "digits")


def test_a_batch_larger_than_the_data_is_said(tiny_competition, tmp_path):
    with pytest.raises(RecipeError, match="batch_size 2,000"):
        train(tiny_competition, tmp_path / "run", recipe="sprint", settings={"batch_size": 2000})


def test_a_fraction_of_an_epoch(tiny_competition, tmp_path):
    run = train(tiny_competition, tmp_path / "run", settings={"epochs": 0.5})
    assert run.manifest["num_steps"] == 2  # of 3 steps, rounded up


def test_no_hold_out_trains_on_everything(tiny_competition, tmp_path):
    run = train(tiny_competition, tmp_path / "run", settings={"hold_out": 0})
    assert run.manifest["split"]["num_train"] == 60
    assert "hold_out" not in run.manifest


def test_a_short_last_batch_counts_as_the_recipe_says():
    recipe = load_recipe("seed_resnet18")
    assert setup.loss_scale(recipe, 72) == 1 / 128
    assert setup.loss_scale(recipe.with_settings({"loss_reduction": "mean"}), 72) == 1 / 72
    assert setup.steps_per_epoch(recipe, 45_000) == 352
    assert setup.steps_per_epoch(load_recipe("sprint"), 45_000) == 22


def test_mean_and_std_are_those_of_the_pixels(tiny_competition):
    images = podium.open(tiny_competition).train
    mean, std = setup.mean_and_std(images)
    pixels = images.pixels.reshape(-1, 3) / 255
    assert np.allclose(mean, pixels.mean(0), atol=1e-5)
    assert np.allclose(std, pixels.std(0), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_trains_too(tiny_competition, tmp_path):
    run = train(tiny_competition, tmp_path / "run", settings={"precision": "auto"})
    assert run.manifest["hardware"]["device"] == "cuda"
    assert run.manifest["hold_out"]["accuracy"] == 1.0
