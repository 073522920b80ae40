import json

import pytest

from podium.errors import RunError
from podium.recipe import load_recipe
from podium.run import Run

MANIFEST = {"seed": 0, "data": {}, "split": {}}


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
        (lambda run: (run.path / "manifest.json").write_text(json.dumps({"seed": 1})), "lacks"),
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
