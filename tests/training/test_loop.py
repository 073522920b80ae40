"""The loop, on a tiny competition: exactness, resuming, and what a full disk leaves."""

import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import podium
from podium.api import differences, runtime_of
from podium.data import Images, hold_out
from podium.errors import RecipeError, RunError, StorageError, WeightsError
from podium.recipe import load_recipe
from podium.runtime import prepare
from podium.training import pace, setup
from podium.training.plan import Plan

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
    names = {path.name for path in tiny_run.path.iterdir()} - {".lock", "report.html"}  # tests of the report share it
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


class Killed(BaseException):
    """Stands for the end of the process."""


TRICKS = {
    "epochs": 3,
    "batch_size": 8,
    "skip_learned": 0.3,
    "skip_between": [0.3, 0.6],
    "grow_scales": [0.8],
    "grow_until": [0.5],
    "norm_momentum": 0.2,
}


def test_skipping_and_growing_resume_to_the_same_bits(tiny_competition, tmp_path):
    """Stopped within the epoch that skips: which images it shows was decided by losses that have changed since."""
    whole = train(tiny_competition, tmp_path / "whole", settings=TRICKS)
    assert whole.manifest["num_steps"] == 6 + 4 + 6
    steps = iter(range(1, 100))
    run = train(tiny_competition, tmp_path / "run", settings=TRICKS, should_stop=lambda: next(steps) == 8)
    assert same(weights(podium.resume(run.path)), weights(whole))
    other = train(tiny_competition, tmp_path / "plain", settings={**TRICKS, "skip_learned": 0, "skip_between": []})
    assert not same(weights(other), weights(whole))


def after(num_steps):
    """Asks for a stop after so many steps of a sitting."""
    steps = iter(range(1, 100))
    return lambda: next(steps) == num_steps


METHODS = {
    "adamw": {"optimizer": "adamw", "learning_rate": 0.001, "schedule": "cosine", "warmup_epochs": 0.5},
    "lion": {"optimizer": "lion", "learning_rate": 1e-4, "schedule": "one_cycle"},
    "ema": {"average": "ema", "ema_decay": 0.9},
    "swa": {"average": "swa", "swa_from": 0.4, "epochs": 3},
    "sam": {"sam_radius": 0.1, "clip_norm": 1.0},
    "parts": {"accumulate": 3},
    "mixing": {"mixup": 0.4, "cutmix": 1.0, "policy": "trivialaugment", "erasing": 0.5},
    "depth": {"model": "preact_resnet18", "optimizer": "sgd", "learning_rate": 0.01, "stochastic_depth": 0.5},
    "heads": {"model": "googlenet", "optimizer": "sgd", "learning_rate": 0.01, "auxiliary_weight": 0.3, "dropout": 0.3},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_resumes_to_the_same_bits(tiny_competition, tmp_path, method):
    settings = METHODS[method]
    whole = train(tiny_competition, tmp_path / "whole", settings=settings)
    run = train(tiny_competition, tmp_path / "run", settings=settings, should_stop=after(1))
    assert not run.is_finished
    run = podium.resume(run.path, should_stop=after(3))  # what was put back must be kept again, too
    assert not run.is_finished
    again = podium.resume(run.path)
    assert same(weights(again), weights(whole))
    assert again.manifest["hold_out"]["accuracy"] == whole.manifest["hold_out"]["accuracy"]
    assert [line.get("accuracy") for line in again.metrics()] == [line.get("accuracy") for line in whole.metrics()]


def test_auxiliary_heads_are_not_kept(tiny_competition, tmp_path):
    run = train(tiny_competition, tmp_path / "run", settings={**METHODS["heads"], "epochs": 0.5})
    assert not any(name.startswith("aux") for name in weights(run))


def test_initial_weights_are_those_of_the_file(tiny_competition, tiny_run, tmp_path):
    """With no step worth the name: what comes out is what went in; a run's folder names its weights too."""
    still = {"optimizer": "sgd", "learning_rate": 1e-30, "weight_decay": 0, "epochs": 0.1, "norm_momentum": 1e-9}
    run = train(tiny_competition, tmp_path / "run", settings=still, init=tiny_run.path)
    before, after = weights(tiny_run), weights(run)
    assert all(torch.allclose(after[name], before[name]) for name in after if "num_batches" not in name)
    assert run.manifest["init"]["path"] == str(tiny_run.model_path.resolve())


def test_resuming_before_the_first_checkpoint_takes_the_initial_weights_again(tiny_competition, tiny_run, tmp_path):
    whole = train(tiny_competition, tmp_path / "whole", init=tiny_run.path)
    assert not same(weights(whole), weights(tiny_run))
    file = tmp_path / "init.safetensors"
    shutil.copy(tiny_run.model_path, file)
    for name in ("run", "other"):
        run = train(tiny_competition, tmp_path / name, init=file, should_stop=lambda: True)
        run.checkpoint_path.unlink()  # killed before there was one
    assert same(weights(podium.resume(tmp_path / "run")), weights(whole))
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(RunError, match="isn't the file any more"):
        podium.resume(tmp_path / "other")


def test_weights_of_another_network_are_refused_before_there_is_a_run(tiny_competition, tiny_run, tmp_path):
    with pytest.raises(WeightsError, match="isn't of this network"):
        train(tiny_competition, tmp_path / "run", recipe="resnet18", init=tiny_run.path, settings={"cutout": 4})
    assert not (tmp_path / "run").exists()


def test_looking_seldom_changes_no_weights_and_no_figure_of_an_epoch(tiny_competition, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "always_reads", lambda device: False)  # as on a GPU
    run = train(tiny_competition, tmp_path / "run")
    assert same(weights(run), weights(tiny_run))
    kept = ("step", "loss", "accuracy")
    assert [[line.get(key) for key in kept] for line in run.metrics() if line["kind"] != "step"] == [
        [line.get(key) for key in kept] for line in tiny_run.metrics() if line["kind"] != "step"
    ]
    assert 0 < len(run.metrics()) < len(tiny_run.metrics())


def test_images_shown_too_small_for_the_network_are_refused(tiny_competition, tmp_path):
    with pytest.raises(RecipeError, match="at least 9×9"):
        train(tiny_competition, tmp_path / "run", settings={"grow_scales": [0.5], "grow_until": [0.5]})
    assert not (tmp_path / "run").exists()


@pytest.fixture
def kill_at(monkeypatch):
    """Ends the process, so to speak, before its n-th change to the disk: no later one happens, clean-up's neither."""

    def arm(patch, number):
        count = [0]

        def ending(change):
            def maybe(*args, **kwargs):
                count[0] += 1
                if count[0] >= number:
                    raise Killed
                return change(*args, **kwargs)

            return maybe

        patch.setattr(os, "fsync", ending(os.fsync))
        for name in ("replace", "rename", "unlink"):
            patch.setattr(Path, name, ending(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", ending(shutil.rmtree))

    @contextmanager
    def armed(number):
        with monkeypatch.context() as patch:
            arm(patch, number)
            yield

    return armed


@pytest.mark.parametrize(
    "settings", [{}, {"last_batch": "keep", "epochs": 1.3, "evaluate_every": 0, "precision": "bf16"}]
)
def test_killed_before_any_change_to_the_disk_and_resumed_gives_the_same_bits(
    tiny_competition, tmp_path, kill_at, settings
):
    data = podium.open(tiny_competition)
    assert len(data.train) == 60
    settings = {"epochs": 1.0, "batch_size": 20, **settings}
    whole = train(data, tmp_path / "whole", settings=settings)
    num_resumed = 0
    for number in range(1, 100):
        out = tmp_path / str(number)
        try:
            with kill_at(number):
                train(data, out, settings=settings, checkpoint_seconds=0)
            break
        except Killed:
            pass
        if out.exists():
            num_resumed += 1
            run = podium.resume(out, data, checkpoint_seconds=0)
        else:
            run = train(data, out, settings=settings)
        assert same(weights(run), weights(whole)), number
        assert run.manifest["hold_out"]["accuracy"] == whole.manifest["hold_out"]["accuracy"]
        assert run.manifest["num_steps"] == whole.manifest["num_steps"]
        left = {path.name for path in out.iterdir() if path.name != ".lock"}
        assert left == {"recipe.toml", "manifest.json", "metrics.jsonl", "model.safetensors", "hold_out.safetensors"}
    assert num_resumed >= 12  # checkpoints, manifest, model, the checkpoint's end, predictions, manifest


SCRIPT = """
import sys, podium
settings = {"epochs": 30.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}
if sys.argv[3] == "train":
    podium.train(sys.argv[1], "sprint_small", settings=settings, out=sys.argv[2], checkpoint_seconds=0)
else:
    podium.resume(sys.argv[2], checkpoint_seconds=0)
"""


def test_kill_9_and_resume_gives_the_same_bits(tiny_competition, tmp_path):
    """Real processes: each is killed a random while after its first new checkpoint, the last one comes through."""
    out, rng = tmp_path / "killed", np.random.default_rng(0)
    for number in range(4):
        verb = "train" if number == 0 else "resume"
        before = (out / "checkpoint").stat().st_mtime_ns if number else 0
        command = [sys.executable, "-c", SCRIPT, str(tiny_competition), str(out), verb]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            if number == 3:
                _, errors = process.communicate(timeout=300)
                assert process.returncode == 0, errors
                break
            while process.poll() is None and (
                not (out / "checkpoint").exists() or (out / "checkpoint").stat().st_mtime_ns == before
            ):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.2))
            assert process.poll() is None, process.stderr.read()
            process.kill()
    whole = train(tiny_competition, tmp_path / "whole", settings={"epochs": 30.0})
    assert same(weights(podium.Run.open(out)), weights(whole))


@pytest.mark.parametrize("name", ["checkpoint", "model.safetensors", "hold_out.safetensors", "metrics.jsonl"])
def test_a_full_disk_is_said_and_what_was_finished_stays(tiny_competition, tiny_run, tmp_path, monkeypatch, name):
    out = tmp_path / "run"
    steps = iter(range(1, 100))
    train(tiny_competition, out, should_stop=lambda: next(steps) == 2)
    good, real_open = (out / "checkpoint").read_bytes(), Path.open

    def full(path, *args, **kwargs):
        if name in path.name and "r" not in (args or ("r",))[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_open(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(StorageError, match="No space left"):
            podium.resume(out, checkpoint_seconds=0 if name == "checkpoint" else 60)
    if name in ("checkpoint", "model.safetensors"):
        assert (out / "checkpoint").read_bytes() == good
    assert not list(out.glob("*.part"))
    assert same(weights(podium.resume(out)), weights(tiny_run))


def test_an_unwritable_folder_is_said(tiny_competition, tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        train(tiny_competition, tmp_path / "no" / "run")


def test_resuming_keeps_the_threads_that_the_run_began_with_and_says_what_changed(tiny_competition, tmp_path):
    out = tmp_path / "run"
    train(tiny_competition, out, should_stop=lambda: True, runtime=prepare("fp32", num_threads=1))
    run = podium.Run.open(out)
    assert runtime_of(run).num_threads == 1
    assert differences(run, runtime_of(run)) == []
    assert differences(run, prepare("bf16", num_threads=2)) == ["precision float32 → bfloat16", "num_threads 1 → 2"]
    podium.resume(run)
    assert [sitting["differences"] for sitting in podium.Run.open(out).manifest["resumed"]] == [[]]


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


def test_a_training_that_diverges_ends_and_says_so(tiny_competition, tmp_path):
    settings = {"learning_rate": 1e12, "epochs": 20.0}
    with pytest.raises(RunError, match=r"diverged.\n.*learning_rate=1e\+11"):
        train(tiny_competition, tmp_path / "run", recipe="seed_resnet18", settings=settings)
    assert not podium.Run.open(tmp_path / "run").is_finished


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
    assert Plan.from_recipe(recipe, 45_000).steps_per_epoch == 352
    assert Plan.from_recipe(recipe, 2 * 128 + 1).steps_per_epoch == 2  # BN can't take a batch of one image


def small(counts, seed=0):
    """Images of 12×12 pixels, so many of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 12, 12, 3), np.uint8)
    return Images(pixels, labels, np.arange(len(labels)).astype(str), tuple("abcdefgh"[: len(counts)]))


@pytest.mark.parametrize(
    ("counts", "settings", "word"),
    [
        ([20], {}, "one class only"),
        ([2, 2], {"hold_out": 0.1}, "is none"),
        ([30, 1], {"hold_out": 0.99}, "no image of class"),
        ([1, 0], {"hold_out": 0, "batch_size": 2}, "no image of class"),
        ([3, 3], {"hold_out": 0, "batch_size": 1}, "batch of one"),
        ([30, 30], {"translate": 12}, "translate"),
        ([30, 30], {"model": "sprnt"}, "'sprint'"),
    ],
)
def test_what_can_not_be_trained_is_said_before_there_is_a_run(counts, settings, word):
    images = small(counts)
    recipe = load_recipe("sprint_small").with_settings({"batch_size": 4, **settings})
    with pytest.raises(RecipeError, match=word):
        setup.check(recipe, images, hold_out(images.labels, recipe.hold_out))


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
