import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from podium.errors import RunError, StorageError
from podium.recipe import load_recipe
from podium.run import Run

MANIFEST = {
    "seed": 0,
    "data": {"name": "x", "path": "x", "fingerprint": "0", "classes": [], "image_size": [8, 8], "resized_to": None},
    "split": {"num_train": 9, "num_hold_out": 1},
    "hardware": {"device": "cpu", "precision": "float32", "num_threads": 1},
}


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", load_recipe("sprint"), dict(MANIFEST))


def test_what_is_created_opens(run):
    again = Run.open(run.path)
    assert again.recipe == run.recipe
    assert again.manifest == run.manifest
    assert not again.is_finished


def test_a_name_is_made_of_time_and_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [Run.create(None, load_recipe("sprint"), dict(MANIFEST)).path for _ in range(3)]
    assert len(set(paths)) == 3
    assert all(path.parent.name == "runs" and "-sprint" in path.name for path in paths)


def test_an_existing_folder_is_not_written_into(run):
    with pytest.raises(RunError, match="--resume"):
        Run.create(run.path, load_recipe("sprint"), {})


def test_metrics_are_rewound_to_a_step_and_a_cut_line_is_dropped(run):
    for step in (1, 2, 3):
        run.append_metrics(kind="step", step=step)
    with run.metrics_path.open("a") as file:
        file.write('{"kind": "st')  # killed while writing
    assert [line["step"] for line in run.metrics()] == [1, 2, 3]
    run.rewind_metrics(2)
    run.append_metrics(kind="step", step=3)
    assert [line["step"] for line in run.metrics()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda run: (run.path / "manifest.json").unlink(), "manifest.json missing"),
        (lambda run: (run.path / "recipe.toml").unlink(), "recipe.toml missing"),
        (lambda run: (run.path / "manifest.json").write_text("{"), "damaged"),
        (lambda run: (run.path / "manifest.json").write_text(json.dumps({"seed": 1})), "lacks data"),
        (lambda run: (run.path / "manifest.json").write_text(json.dumps({**MANIFEST, "data": {}})), "lacks data.name"),
        (lambda run: (run.path / "manifest.json").write_text("[]"), "lacks seed"),
        (lambda run: (run.path / "recipe.toml").write_text("epoch = 3"), "damaged"),
    ],
)
def test_damage_is_named(run, damage, word):
    damage(run)
    with pytest.raises(RunError, match=word) as caught:
        Run.open(run.path)
    assert str(run.path) in str(caught.value)


def test_no_run_there(tmp_path):
    with pytest.raises(RunError, match="podium runs"):
        Run.open(tmp_path / "none")


def test_a_name_that_no_file_can_have_is_said(tmp_path):
    with pytest.raises(RunError, match="name too long"):
        Run.open(tmp_path / ("x" * 300))
    with pytest.raises(StorageError, match="name too long"):
        Run.check_new(tmp_path / ("x" * 300))


def test_a_damaged_line_of_the_metrics_is_said(run):
    run.metrics_path.write_text("{nonsense}\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged"):
        run.metrics()


def test_one_process_at_a_time_and_leftovers_are_cleared(run):
    (run.path / ".checkpoint.123.part").write_bytes(b"half")
    with run.locked():
        assert not list(run.path.glob(".*.part"))
        with pytest.raises(RunError, match="another process"), Run.open(run.path).locked():
            pass
    with run.locked():
        pass


def test_runs_begun_in_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: Run.create(None, load_recipe("sprint"), dict(MANIFEST)), range(8)))
    assert len({run.path for run in runs}) == 8
    assert all(Run.open(run.path) for run in runs)
    assert len(list((tmp_path / "runs").iterdir())) == 8


def test_a_run_that_can_not_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        Run.create(tmp_path / "run", load_recipe("sprint"), dict(MANIFEST))
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_beside_runs_is_taken_away_when_it_is_old(tmp_path):
    for name in (".new-run-old", ".new-run-new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / ".new-run-old", (0, 0))
    Run.create(tmp_path / "run", load_recipe("sprint"), dict(MANIFEST))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-run-new", "run"]
