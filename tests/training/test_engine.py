"""Engine: several trainings through one engine are the same as each alone, and compile once."""

import numpy as np
import pytest
import torch
import torch._dynamo
from torch._dynamo.testing import CompileCounter

from podium import load_recipe
from podium.data import Images
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Engine, fit

RUNTIME = Runtime(torch.device("cpu"), torch.float32, 1)
SETTINGS = ["epochs=2", "batch_size=16", "whiten_bias_epochs=1", "mean=[0.5,0.5,0.5]", "std=[0.2,0.2,0.2]"]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    labels = np.arange(48, dtype=np.int64) % 3
    pixels = rng.integers(0, 256, (48, 12, 12, 3), np.uint8)
    return Images(pixels, labels, labels.astype(np.str_), ("a", "b", "c"))


def train(folder, images, seed, recipe, engine=None):
    run = Run.create(folder / f"run-{seed}-{engine is None}", recipe, {"seed": seed, "data": {}, "split": {}})
    engine = engine or Engine(recipe, RUNTIME)
    assert fit(run, images, None, RUNTIME, engine=engine)
    return {name: tensor.clone() for name, tensor in engine.classifier.network.state_dict().items()}


def test_a_second_training_is_as_if_it_were_the_first(images, tmp_path):
    recipe = load_recipe("sprint_small", SETTINGS)
    engine = Engine(recipe, RUNTIME)
    first = train(tmp_path, images, 0, recipe, engine)
    places = [parameter.data_ptr() for parameter in engine.classifier.parameters()]
    second = train(tmp_path, images, 1, recipe, engine)
    alone = train(tmp_path, images, 1, recipe)
    assert all(torch.equal(second[name], alone[name]) for name in alone)
    assert not torch.equal(first["head.weight"], second["head.weight"])
    assert [parameter.data_ptr() for parameter in engine.classifier.parameters()] == places


def test_compiles_once_for_all_trainings(images, tmp_path, monkeypatch):
    counter = CompileCounter()
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled(function, backend=counter, dynamic=False))
    recipe = load_recipe("sprint_small", [*SETTINGS, "compile=default"])
    engine = Engine(recipe, RUNTIME)
    first = train(tmp_path, images, 0, recipe, engine)
    count = counter.frame_count
    assert 1 <= count <= 4  # with the whitening's bias trained, and without
    train(tmp_path, images, 1, recipe, engine)
    assert counter.frame_count == count
    eager = train(tmp_path, images, 0, load_recipe("sprint_small", SETTINGS))
    for name, tensor in eager.items():
        torch.testing.assert_close(first[name], tensor)
    torch._dynamo.reset()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_graphs_are_replayed_for_the_next_training(images, tmp_path):
    runtime = Runtime(torch.device("cuda"), torch.bfloat16, 1)
    recipe = load_recipe("sprint_small", [*SETTINGS, "compile=max"])
    engine = Engine(recipe, runtime)
    for seed in (0, 1):
        run = Run.create(tmp_path / f"{seed}", recipe, {"seed": seed, "data": {}, "split": {}})
        assert fit(run, images, None, runtime, engine=engine)
        assert all(np.isfinite(line["loss"]) for line in run.metrics())
