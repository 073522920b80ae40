"""Weights that ship: runs that are read like others and never written into."""

import json
import shutil
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
import safetensors

import podium
from podium import api, builtin
from podium.errors import RunError

SHIPPED = ("cifar10", "cifar100")


@pytest.fixture
def tiny_builtin(tiny_run, tmp_path, monkeypatch):
    """The tiny run as if it shipped: builtin:tiny."""
    folder = tmp_path / "weights"
    shutil.copytree(tiny_run.path, folder / "tiny", ignore=shutil.ignore_patterns(".lock"))
    manifest = json.loads((folder / "tiny" / "manifest.json").read_text())
    manifest["data"]["path"] = None
    (folder / "tiny" / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(builtin, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder / "tiny"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_stands_wherever_a_run_does(tiny_builtin, tiny_competition, tiny_run, tmp_path):
    before = content(tiny_builtin)
    run = podium.Run.open("builtin:tiny")
    assert (run.label, run.is_builtin, run.is_finished) == ("builtin:tiny", True, True)
    assert podium.evaluate("builtin:tiny", tiny_competition, on="hold-out").num_images == 12
    one = podium.submit("builtin:tiny", tiny_competition, tmp_path / "s.csv")
    assert np.array_equal(one.logits, podium.submit(tiny_run, tiny_competition, tmp_path / "t.csv").logits)
    assert api.report("builtin:tiny").name == "report-tiny.html"
    assert (tmp_path / "report-tiny.html").is_file()
    other = podium.train(
        tiny_competition,
        "sprint_small",
        settings={"epochs": 1, "batch_size": 16},
        init="builtin:tiny",
        out=tmp_path / "r",
    )
    assert other.is_finished
    assert len(api.compare(["builtin:tiny", tiny_run], tiny_competition).runs) == 2
    assert content(tiny_builtin) == before


def test_what_it_cannot_do_is_said(tiny_builtin, tiny_competition):
    with pytest.raises(RunError, match="builtin:tiny ships with podium: its training is finished"):
        podium.resume("builtin:tiny")
    with pytest.raises(RunError, match=r"builtin:tiny ships with podium, and its data don't. Name some"):
        podium.evaluate("builtin:tiny")
    with pytest.raises(RunError, match=r"There are no weights builtin:none\. Those that ship: builtin:tiny."):
        podium.Run.open("builtin:none")
    assert not (tiny_builtin / ".lock").exists()


def test_names_that_climb_are_no_names(tiny_builtin):
    for name in ("builtin:../x", "builtin:", "builtin:.", "builtin:tiny/../tiny"):
        with pytest.raises(RunError, match="There are no weights"):
            podium.Run.open(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_those_that_ship_are_small_whole_and_say_how_good_they_are(name):
    run = podium.Run.open(f"builtin:{name}")
    model = resources.files("podium") / "weights" / name / "model.safetensors"
    assert len(model.read_bytes()) <= 5_000_000
    with safetensors.safe_open(run.model_path, framework="np") as file:
        assert {str(file.get_tensor(key).dtype) for key in file.keys()} <= {"float16", "int64"}  # noqa: SIM118
    assert run.manifest["measured"]["accuracy"] > 0.7
    assert run.manifest["judge"]["temperature"] > 0
    assert len(run.manifest["data"]["classes"]) == int(name.removeprefix("cifar"))
    assert run.manifest["data"]["path"] is None
    assert "/" not in run.manifest["command"].replace("podium train DATA", "")
    network = podium.api.classifier_of(run, podium.world.ALONE).network
    assert all(str(one.dtype) == "torch.float32" for one in network.parameters())


def test_the_default_is_one_of_them():
    assert builtin.DEFAULT in builtin.names()


def test_their_names_come_at_once():
    code = "import sys; from podium import builtin; builtin.names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
