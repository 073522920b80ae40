"""Sources whose images stay encoded, from their files to a submission: stopped, resumed, on a web server, by two."""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import answers
from safetensors.torch import load_file

import podium
from podium.data.encoded import EncodedPixels
from podium.errors import ImageError, RunError
from podium.recipe import load_recipe
from podium.training import feed as feed_module

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import ilsvrc
from webserver import serving

SETTINGS = {
    "epochs": 2,
    "batch_size": 6,
    "hold_out": 0.2,
    "learning_rate": 0.01,
    "precision": "fp32",
    "crop_area_min": 0.3,
    "crop_ratio": 4 / 3,
    "grow_scales": [0.15],
    "grow_until": [0.5],
}


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    monkeypatch.setattr(feed_module, "num_usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    return ilsvrc.as_official(tmp_path_factory.mktemp("ilsvrc") / "imagenet")


@pytest.fixture(scope="module")
def shards(official, tmp_path_factory):
    pytest.importorskip("webdataset")
    from podium.data.shard_writer import write_shards

    out = tmp_path_factory.mktemp("shards") / "imagenet"
    write_shards(podium.open(official), out, shard_bytes=6_000)
    assert len(list(out.glob("train-*.tar"))) > 2
    return out


def train(data, out, stop_at=None, **settings):
    steps = iter(range(1, 1000))
    recipe = load_recipe("sprint_small").with_settings({**SETTINGS, **settings})
    return podium.train(data, recipe, out=out, should_stop=lambda: next(steps) == stop_at)


def small(path):
    return podium.open(path, image_size=24)


def same(one, other):
    some, others = load_file(one.model_path), load_file(other.model_path)
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


SMALL = {"grow_scales": [], "grow_until": []}


def test_from_imagenets_tars_to_a_submission(official, tmp_path):
    assert isinstance(small(official).train.pixels, EncodedPixels)
    whole = train(small(official), tmp_path / "whole", **SMALL)
    run = train(small(official), tmp_path / "run", stop_at=2, **SMALL)  # of three steps an epoch
    assert not run.is_finished
    run = podium.resume(run.path)
    assert same(run, whole)
    evaluation = podium.evaluate(run)
    assert (evaluation.num_images, evaluation.what) == (ilsvrc.NUM_VAL, "validation set of imagenet")
    predictions = podium.submit(run, path=tmp_path / "submission.csv")
    rows = list(csv.reader((tmp_path / "submission.csv").open()))
    assert [row[0] for row in rows[1:]] == [f"ILSVRC2012_test_{i + 1:08}" for i in range(ilsvrc.NUM_TEST)]
    assert {row[1] for row in rows[1:]} <= set(ilsvrc.WNIDS)
    paths = [ilsvrc.write(tmp_path, {name: data}) / name for name, data in ilsvrc.images_of_test().items()]
    loose = podium.predict_files(run, paths)  # fitted to the network as those of the data set are
    assert np.allclose(loose.logits, predictions.logits, atol=1e-6)


def test_a_bad_image_to_be_judged_is_an_error_or_named(official, tmp_path):
    run = train(small(official), tmp_path / "run", epochs=0.5, **SMALL)
    data = Path(shutil.copytree(official, tmp_path / "imagenet"))
    for images in (small(data).evaluation, small(data).test):
        files = images.pixels.files
        with Path(files.path(1)).open("r+b") as tar:
            tar.seek(int(files.offsets[1]))
            tar.write(bytes(int(files.lengths[1])))
    with pytest.raises(ImageError, match="ILSVRC2012_val_00000002"):
        podium.evaluate(run, small(data))
    said, path = [], tmp_path / "submission.csv"
    evaluation = podium.evaluate(run, small(data), on_bad_image="skip", on_note=said.append)
    assert evaluation.num_images == ilsvrc.NUM_VAL
    with pytest.raises(ImageError, match="ILSVRC2012_test_00000002"):
        podium.submit(run, small(data), path)
    assert not path.exists()
    podium.submit(run, small(data), path, on_bad_image="skip", on_note=said.append)
    assert len(path.read_text().splitlines()) == 1 + ilsvrc.NUM_TEST
    assert ["_val_00000002" in said[0], "_test_00000002" in said[1], len(said)] == [True, True, 2]


def test_two_processes_train_as_one(official, tmp_path):
    settings = {**SETTINGS, "mixup": 0.4, "epochs": 1}  # partners of the other process's images are decoded too
    alone = train(official, tmp_path / "one", mixup=0.4, epochs=1)
    losses = [line["loss"] for line in alone.metrics() if line["kind"] == "epoch"]
    heard = answers(2, "train", str(official), str(tmp_path / "two"), "sprint_small", settings)
    assert [answer.status for answer in heard] == [0, 0], heard
    assert heard[0].value["weights"] == heard[1].value["weights"]
    assert heard[0].value["epochs"] == pytest.approx(losses, rel=2e-5)


def test_shards_of_a_web_server_are_gone_on_with_to_the_same_bits(shards, official, tmp_path):
    with serving(shards) as web:
        data = small(f"{web.url}/")
        assert data.fingerprint == small(official).fingerprint
        whole = train(data, tmp_path / "whole", **SMALL)
        run = train(small(f"{web.url}/"), tmp_path / "run", stop_at=2, **SMALL)
        resumed = podium.resume(run)
        assert same(resumed, whole)
    again = train(small(shards), tmp_path / "again", stop_at=2, **SMALL)
    shutil.copytree(again.path, tmp_path / "other")
    assert same(podium.resume(again, small(shards)), whole)  # the same shards in a folder
    with pytest.raises(RunError, match="spread over other shards"):
        podium.resume(tmp_path / "other", small(official))
