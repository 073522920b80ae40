"""shard, and train, evaluate, submit and data on what it wrote, in a folder and on a web server."""

import functools
import http.server
import json
import threading

import numpy as np
import pytest
from typer.testing import CliRunner

import podium
from podium.cli import app
from podium.errors import DataError, StorageError

pytest.importorskip("webdataset")

SETTINGS = ["--recipe", "sprint_small", "--set", "epochs=2", "--set", "batch_size=16", "--set", "precision=fp32"]
SETTINGS += ["--set", "hold_out=0.2"]


def invoke(*words):
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def shards(tiny_competition, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "tiny"
    said = invoke("shard", tiny_competition, out, "--size-mb", 1)
    assert "train: 60 images in 1 shard" in said
    assert f"podium train {out}" in said
    return out


@pytest.fixture(scope="module")
def url(shards):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=shards.parent))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tiny/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["folder", "server"])
def test_training_on_shards_is_training_on_what_they_were_made_of(
    kind, shards, request, tiny_competition, tiny_run, tmp_path
):
    data = shards if kind == "folder" else request.getfixturevalue("url")
    invoke("train", data, *SETTINGS, "--out", tmp_path / "run")
    run = podium.Run.open(tmp_path / "run")
    known = tiny_run.manifest
    assert run.manifest["hold_out"] | {"seconds": 0} == known["hold_out"] | {"seconds": 0}
    assert run.manifest["data"]["fingerprint"] == known["data"]["fingerprint"]
    assert run.manifest["data"]["path"] == str(data)
    found, other = (json.loads(invoke("evaluate", one, "--json")) for one in (tmp_path / "run", tiny_run.path))
    assert found | {"run": ""} == other | {"run": ""}
    invoke("submit", tmp_path / "run", "-o", tmp_path / "shards.csv", "--data", data)
    invoke("submit", tiny_run.path, "-o", tmp_path / "files.csv", "--data", tiny_competition)
    assert (tmp_path / "shards.csv").read_text() == (tmp_path / "files.csv").read_text()


def test_data_counts_them(shards, url, tiny_competition):
    told = [json.loads(invoke("data", data, "--json")) for data in (tiny_competition, shards, url)]
    assert [one.pop("kind") for one in told] == ["kaggle", "shards", "shards"]
    assert [one.pop("path") for one in told] == [str(tiny_competition), str(shards), url]
    assert told[0] == told[1] == told[2]


def test_json_and_formats(tiny_competition, tmp_path):
    told = json.loads(invoke("shard", tiny_competition, tmp_path / "out", "--format", "webp", "--json"))
    assert told["splits"]["train"]["num_images"] == 60
    assert told["fingerprint"] == podium.open(tiny_competition).fingerprint
    webp, png = podium.open(tmp_path / "out").train, podium.open(tiny_competition).train
    assert np.array_equal(webp.pixels, png.pixels)


def test_errors_leave_nothing(shards, tiny_competition, tmp_path):
    with pytest.raises(StorageError, match="is there already"):
        invoke("shard", tiny_competition, shards)
    with pytest.raises(DataError, match="no such file"):
        invoke("shard", tmp_path / "nothing", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="http:// and https:// only"):
        invoke("train", "ftp://host/shards/")


def test_an_evaluation_set_goes_along(tmp_path):
    rng = np.random.default_rng(0)
    from PIL import Image

    for part, count in (("train", 12), ("val", 6)):
        for number in range(count):
            path = tmp_path / "data" / part / ("red", "blue")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    invoke("shard", tmp_path / "data", tmp_path / "out")
    data, found = podium.open(tmp_path / "data"), podium.open(tmp_path / "out")
    assert found.evaluation_name == data.evaluation_name == "validation set"
    assert np.array_equal(found.evaluation.pixels, data.evaluation.pixels)
    assert np.array_equal(found.evaluation.labels, data.evaluation.labels)
    assert np.array_equal(found.evaluation.ids, data.evaluation.ids)
