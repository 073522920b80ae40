"""Every recipe that ships takes a step, and every key of a recipe does something."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import podium
from podium.data import Images
from podium.evaluation import Predictions
from podium.recipe import Recipe, load_recipe, recipe_names, rules
from podium.run import Run
from podium.runtime import prepare
from podium.training import fit, setup


def random_images(num_images, size=32, num_classes=10):
    rng = np.random.default_rng(0)
    return Images(
        rng.integers(0, 256, (num_images, size, size, 3), np.uint8),
        np.arange(num_images) % num_classes,
        np.arange(num_images).astype(np.str_),
        tuple("abcdefghij"[:num_classes]),
    )


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_and_takes_a_step(name, tmp_path):
    recipe = load_recipe(name)
    size = 64 if recipe.form == "imagenet" else 32
    batch = max(8, 2 * recipe.accumulate)
    small = recipe.with_settings({"batch_size": batch, "hold_out": 0, "precision": "fp32"})
    images = random_images(2 * batch, size)
    setup.check(small, images, (np.arange(2 * batch), np.arange(0)))
    one = small.with_settings({"epochs": 1 / 3, "warmup_epochs": 0})  # a fraction of an epoch is a step of it
    run = Run.create(tmp_path / "run", one, {"seed": 0, "data": {}, "split": {}})
    torch.manual_seed(0)
    before = setup.new_classifier(one, 0, images).network.state_dict()
    losses = []
    assert fit(run, images, None, prepare("fp32"), on_progress=lambda now: losses.append(now.loss))
    assert len(losses) >= 1
    assert np.isfinite(losses).all()
    after = load_file(run.model_path)
    assert any(not torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_sets_what_would_be_ignored(name):
    recipe, plain = load_recipe(name), Recipe()
    changed = {key: value for key, value in recipe.to_dict().items() if value != plain.to_dict()[key]}
    rules.check_used(recipe, changed)


SWA = {"average": "swa", "swa_from": 0.5, "epochs": 3}
SGD = {"optimizer": "sgd", "learning_rate": 0.01, "label_smoothing": 0}
PREACT = {"model": "preact_resnet18", **SGD}
RANDAUGMENT = {"policy": "randaugment"}
STEPS = {"schedule": "step", "schedule_period": 1}

# What is set first, what is set then; something of the run must change.
CHANGES = {
    "name": ({}, "other"),
    "model": ({}, "sprint96"),
    "dropout": ({"model": "wrn_16_4", **SGD}, 0.5),
    "stochastic_depth": (PREACT, 0.5),
    "auxiliary_weight": ({"model": "googlenet", **SGD}, 0.3),
    "hold_out": ({}, 0.4),
    "hold_out_seed": ({}, 1),
    "mean": ({"std": [0.5, 0.5, 0.5], "mean": [0.5, 0.5, 0.5]}, [0.4, 0.5, 0.5]),
    "std": ({"std": [0.5, 0.5, 0.5], "mean": [0.5, 0.5, 0.5]}, [0.4, 0.5, 0.5]),
    "epochs": ({}, 1),
    "batch_size": ({}, 12),
    "accumulate": ({}, 2),
    "grow_scales": ({"grow_scales": [0.8], "grow_until": [0.5]}, [0.9]),
    "grow_until": ({"grow_scales": [0.8], "grow_until": [0.5]}, [0.9]),
    "skip_learned": ({"skip_learned": 0.2, "skip_between": [0.4, 1]}, 0.4),
    "skip_between": ({"skip_learned": 0.2, "skip_between": [0.4, 1], "epochs": 3}, [0.7, 1]),
    "last_batch": ({"batch_size": 20}, "keep"),
    "optimizer": ({}, "adamw"),
    "learning_rate": ({}, 0.05),
    "momentum": ({}, 0.9),
    "betas": ({"optimizer": "lion", "learning_rate": 0.001}, [0.5, 0.99]),
    "momentum_form": ({**SGD, **STEPS}, "mxnet"),
    "nesterov": (SGD, True),
    "weight_decay": (SGD, 0.1),
    "decay_all": ({**SGD, "weight_decay": 0.1}, False),
    "bias_learning_rate": ({}, 0.01),
    "head_learning_rate": ({}, 0.1),
    "sgd_momentum": ({}, 0.5),
    "whiten_bias_epochs": ({}, 1),
    "schedule": ({}, "cosine"),
    "warmup_epochs": ({}, 1),
    "schedule_peak": ({"schedule": "one_cycle"}, 0.6),
    "schedule_period": (STEPS, 1.5),
    "schedule_milestones": ({"schedule": "step", "schedule_milestones": [1.0]}, [0.5]),
    "schedule_factor": (STEPS, 0.5),
    "clip_norm": (SGD, 1e-3),
    "sam_radius": ({}, 0.5),
    "average": ({}, "ema"),
    "ema_decay": ({"average": "ema"}, 0.1),
    "swa_from": (SWA, 0.9),
    "norm_momentum": ({}, 0.1),
    "label_smoothing": ({}, 0),
    "loss_reduction": (SGD, "mean"),
    "mixup": ({}, 0.5),
    "cutmix": ({}, 1),
    "resize": ({}, 16),
    "brightness": ({}, 0.5),
    "contrast": ({}, 0.5),
    "saturation": ({}, 0.5),
    "sharpness": ({}, 0.5),
    "hue": ({}, 0.5),
    "grey": ({}, 0.5),
    "posterize": ({}, 2),
    "solarize": ({}, 0.5),
    "equalize": ({}, 0.5),
    "autocontrast": ({}, 0.5),
    "crop_area_min": ({}, 0.5),
    "crop_ratio": ({"crop_area_min": 0.5}, 1.5),
    "flip": ({"flip": "none"}, "random"),
    "translate": ({}, 3),
    "border": ({"translate": 3}, "mean"),
    "rotate": ({}, 20),
    "shear": ({}, 20),
    "policy": ({}, "trivialaugment"),
    "policy_ops": (RANDAUGMENT, 1),
    "policy_magnitude": (RANDAUGMENT, 30),
    "cutout": ({}, 4),
    "erasing": ({}, 1),
    "tta": ({}, "mirror"),
    "tta_fraction": ({"tta": "mirror"}, 0.5),
    "evaluate_every": ({"evaluate_every": 0}, 1),
    "precision": ({"precision": "fp32"}, "bf16"),
}
ELSEWHERE = {
    "form": "an ImageNet form needs large images: test_the_form_is_the_networks",
    "channels_last": "the same figures within rounding, or bits: test_channels_last_is_the_memory_format",
    "compile": "needs a compiler: tests/training/test_engine.py",
    "distill_weight": "needs a teacher: tests/training/test_distil.py, test_teacher.py",
    "distill_temperature": "needs a teacher: tests/training/test_teacher.py",
    "sync_norm": "needs several processes: tests/training/test_many.py, test_parts_of_a_batch_are_trained_as_the_whole",
}


def test_every_key_is_looked_at():
    assert CHANGES.keys() | ELSEWHERE.keys() == {field.name for field in fields(Recipe)}
    assert not CHANGES.keys() & ELSEWHERE.keys()


def traces(run):
    """What a run leaves of its training: weights, curve, predictions, folder."""
    bits = hashlib.sha256()
    for name, tensor in sorted(load_file(run.model_path).items()):
        bits.update(name.encode() + tensor.numpy().tobytes())
    figures = [{key: line[key] for key in line if key != "train_seconds"} for line in run.metrics()]
    return bits.hexdigest(), figures, Predictions.load(run.hold_out_path).logits.tobytes(), run.recipe.name


@pytest.fixture(scope="module")
def trained(tiny_competition, tmp_path_factory):
    """Trains with some settings, each only once."""
    known = {}

    def train(settings):
        key = repr(sorted(settings.items()))
        if key not in known:
            folder = tmp_path_factory.mktemp("runs") / "run"
            base = {"epochs": 2, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}
            run = podium.train(tiny_competition, "sprint_small", settings={**base, **settings}, out=folder)
            known[key] = traces(run)
        return known[key]

    return train


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_does_something(trained, key):
    base, value = CHANGES[key]
    assert trained(base) != trained({**base, key: value})


def test_the_form_is_the_networks(tmp_path):
    images = random_images(8, 64)
    for form, kernel in (("cifar", 3), ("imagenet", 7), ("auto", 3)):
        classifier = setup.new_classifier(Recipe(model="resnet18", form=form), 0, images)
        assert classifier.network.conv1.kernel_size == (kernel, kernel)
        classifier.save(tmp_path / f"{form}.safetensors")
        again = type(classifier).load(tmp_path / f"{form}.safetensors")
        assert again.network.conv1.kernel_size == (kernel, kernel)
        assert again.form == ("cifar" if form == "auto" else form)


def test_channels_last_is_the_memory_format():
    from podium.training.engine import Engine

    for wanted in (True, False):
        recipe = Recipe(model="resnet18", channels_last=wanted)
        engine = Engine(recipe, prepare("fp32"))
        classifier = engine.begin(setup.new_classifier(recipe, 0, random_images(4)))
        weight = classifier.network.layer1[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == wanted
