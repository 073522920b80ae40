"""Drivers of other people's scripts: what is changed is found or said, data and seeds come from outside."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo
from fakes import AIRBENCH94, AIRBENCH96, HIVERGE, without_gpu
from peers import ours, source, vision
from peers.cpu_port import NO_BF16, SUBSTITUTIONS, TINY, Airbench94OnCpu
from peers.drivers import Airbench94, Airbench96, Hiverge
from peers.ours import PodiumOnCpu, PodiumOnGpu
from peers.split import labelled, random_images, read_split, write_split

from podium import load_recipe, models
from podium.data import hold_out
from podium.evaluation import predict_images
from podium.models import Classifier, Preprocessing
from podium.runtime import Runtime

CPU = torch.device("cpu")


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # drivers change the working folder
    write_split(random_images(200), tmp_path / "split")
    return tmp_path / "split"


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    with torch._dynamo.config.patch(automatic_dynamic_shapes=True, recompile_limit=8):
        yield


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# ---- source


def test_a_script_is_a_module_and_its_main_part_does_not_run(tmp_path):
    argv = list(sys.argv)
    path = script(tmp_path, "import sys\nme = open(sys.argv[0]).read()\nif __name__ == '__main__': 1 / 0\n")
    module = source.load(path, ["me"])
    assert module.me == path.read_text()
    assert sys.argv == argv


@pytest.mark.parametrize("substitution", [*SUBSTITUTIONS, *TINY, *NO_BF16], ids=lambda one: one.old[:20])
def test_a_substitution_that_is_not_found_is_said(tmp_path, substitution):
    path = script(tmp_path, AIRBENCH94.replace(substitution.old, "None\n"))
    with pytest.raises(SystemExit) as error:
        source.load(path, [], [*SUBSTITUTIONS, *TINY, *NO_BF16])
    assert repr(substitution.old) in str(error.value)
    assert substitution.reason in str(error.value)


def test_a_substitution_found_too_often_is_said(tmp_path):
    path = script(tmp_path, AIRBENCH94 + "\n# mod.half()\n")
    with pytest.raises(SystemExit, match="occurs 2 times in it, not 1"):
        source.load(path, [], SUBSTITUTIONS)


def test_a_script_without_what_the_driver_calls_is_said(split, tmp_path):
    path = script(tmp_path, without_gpu(AIRBENCH94).replace("def print_training_details", "def print_something"))
    with pytest.raises(SystemExit, match="it defines no print_training_details"):
        Airbench94(path, split)
    with pytest.raises(SystemExit, match="can't be read"):
        Airbench94(tmp_path / "nowhere.py", split)


def test_the_stand_in_normalises_as_torchvision_does():
    images = torch.rand(2, 3, 4, 4, dtype=torch.half)
    mean, std = torch.tensor((0.1, 0.2, 0.3)), torch.tensor((0.5, 0.25, 0.125))
    expected = (images - mean.half().view(3, 1, 1)) / std.half().view(3, 1, 1)
    got = vision.Normalize(mean, std)(images)
    assert got.dtype == torch.half
    assert torch.equal(got, expected)


# ---- data


def test_the_split_is_podiums_own(tmp_path):
    images = random_images(200)
    write_split(images, tmp_path)
    train, kept = read_split(tmp_path)
    for part, indices in zip((train, kept), hold_out(images.labels, 0.1, seed=0), strict=True):
        assert np.array_equal(part.pixels, images.pixels[indices])
        assert np.array_equal(part.labels, images.labels[indices])
        assert part.classes == images.classes
    assert (len(train), len(kept)) == (180, 20)


def test_what_podium_opens_is_labelled(tiny_competition, tmp_path):
    assert labelled(tiny_competition).classes == ("blue", "green", "red")
    with pytest.raises(SystemExit, match="no such file"):
        labelled(tmp_path / "nowhere")


# ---- drivers


def test_airbench94_runs_as_it_is(split, tmp_path):
    driver = Airbench94(script(tmp_path, without_gpu(AIRBENCH94)), split)
    driver.warm_up()
    first, other, again = driver.run(1), driver.run(2), driver.run(1)
    assert driver.module.CALLS == ["max-autotune", "warmup", 1, 2, 1]
    assert (first.train_seconds, first.seconds) == (0.5, 1.0)  # its own clock
    assert first == again  # seeded from outside
    assert 0 <= other.accuracy <= 1


def test_airbench96_warms_up_with_one_epoch(split, tmp_path):
    driver = Airbench96(script(tmp_path, AIRBENCH96), split)
    driver.warm_up()
    outcome = driver.run(3)
    assert driver.module.SEEN == [("warmup", 1.0, [True, False, True]), (3, 45.0, [True, False, True])]
    assert (outcome.accuracy, outcome.train_seconds, outcome.seconds) == (0.96, 4.0, 4.5)


def test_hiverge_gives_its_own_time_and_the_accuracy_with_augmentation(split, tmp_path):
    driver = Hiverge(script(tmp_path, HIVERGE), split)
    driver.warm_up()
    outcome, _ = driver.run(5), driver.run(5)
    assert (outcome.accuracy, outcome.seconds) == (0.2, 0.25)
    (_, *_), first, second = driver.module.DRAWN
    assert first == second
    assert first[0] == 6  # it counts from 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_port_trains_on_a_processor(split, tmp_path, dtype):
    driver = Airbench94OnCpu(script(tmp_path, AIRBENCH94), split, Runtime(CPU, dtype, 1), is_tiny=True)
    driver.warm_up()
    first, again = driver.run(1), driver.run(1)
    assert first.accuracy == again.accuracy
    assert 0 < first.train_seconds < first.seconds
    assert driver.module.CALLS == [1, 1]  # no warm-up and no compilation
    assert {p.dtype for p in driver.model.parameters()} == {torch.float32}
    logits = driver.model(torch.rand(2, 3, 32, 32).half())
    assert logits.dtype == torch.float32


@pytest.mark.parametrize(("tta", "fraction"), [("mirror_translate", 1.0), ("mirror_translate", 0.25), ("mirror", 0.5)])
def test_on_the_device_podium_predicts_as_elsewhere(tta, fraction):
    torch.manual_seed(0)
    images = random_images(40)
    network = models.create("sprint", 10, (32, 32)).eval()
    classifier = Classifier("sprint", network, Preprocessing(images.classes, (32, 32), (0.5,) * 3, (0.25,) * 3))
    runtime = Runtime(CPU, torch.float32, 1)
    expected = predict_images(classifier, images, runtime, tta=tta, tta_fraction=fraction).logits
    recipe = load_recipe("sprint", [f"tta={tta}", f"tta_fraction={fraction}"])
    with torch.inference_mode():
        logits = ours._logits(classifier, torch.from_numpy(images.pixels).permute(0, 3, 1, 2), recipe)
    assert np.allclose(logits.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("side", [PodiumOnCpu, PodiumOnGpu])
def test_podiums_side_trains_and_measures(split, side):
    recipe = load_recipe("sprint", ["epochs=1", "batch_size=90", "hold_out=0.1"])
    driver = side(recipe, split, Runtime(CPU, torch.float32, 1))
    driver.warm_up()
    outcome = driver.run(0)
    assert 0 < outcome.train_seconds < outcome.seconds
    assert outcome.accuracy * 20 == pytest.approx(round(outcome.accuracy * 20), abs=1e-5)  # of 20 images
