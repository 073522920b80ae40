"""Which run a job that torchrun has started anew goes on with."""

import json
import shutil

import pytest

from podium.api.jobs import begun, same_everywhere
from podium.errors import RunError
from podium.world import ALONE, Job, World

FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
    """`runs/` with a run of the job "night", whose last sitting ended in the middle; and a broken folder after it."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "runs" / "1-first"
    shutil.copytree(tiny_run.path, place)
    (place / "model.safetensors").unlink()
    about = json.loads((place / "manifest.json").read_text())
    about["job"] = {"id": "night"}
    about["data"]["fingerprint"] = FINGERPRINT
    (place / "manifest.json").write_text(json.dumps(about))
    (tmp_path / "runs" / "2-broken").mkdir()
    (tmp_path / "runs" / "2-broken" / "manifest.json").write_text("[1")
    return place


def found(run, *, job="night", num_restarts=0, out=None, **changes):
    about = {"recipe": run.recipe, "seed": 0, "fingerprint": FINGERPRINT, **changes}
    known = begun(World(job=None if job is None else Job(job, num_restarts)), out, **about)
    return None if known is None else known.path.name


def test_its_own_unfinished_run_is_found(folder, tiny_run):
    assert found(tiny_run) == found(tiny_run, out=folder) == "1-first"


def test_another_training_is_not_taken_for_it(folder, tiny_run, tmp_path):
    assert found(tiny_run, job=None) is None
    assert found(tiny_run, job="day") is None
    assert found(tiny_run, seed=1) is None
    assert found(tiny_run, fingerprint="another") is None
    assert found(tiny_run, recipe=tiny_run.recipe.with_settings({"epochs": 3})) is None
    assert found(tiny_run, out=tmp_path / "nothing") is None


def test_a_finished_run_is_only_this_jobs_if_it_was_started_anew(folder, tiny_run):
    shutil.copy(tiny_run.model_path, folder / "model.safetensors")
    assert found(tiny_run) is None
    assert found(tiny_run, num_restarts=1) == "1-first"


def test_one_process_agrees_with_itself():
    same_everywhere(ALONE, "data set", "a")


def test_what_differs_is_named():
    class Two(World):
        def each(self, value):
            return ["a", value]

    with pytest.raises(RunError, match=r"Rank 1 has another data set \(b\) than rank 0 \(a\)"):
        same_everywhere(Two(1, 2), "data set", "b")
