"""A training with teachers, whole: what it learns from, that it resumes to the bit, and what it refuses."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

import podium
from podium import api
from podium.errors import RecipeError, RunError

TINY = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}


def taught(data, teachers, out, **more):
    settings = {**TINY, **more.pop("settings", {})}
    return podium.train(data, "sprint_small", settings=settings, teachers=teachers, out=out, **more)


def weights(run):
    return load_file(run.model_path)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def student(tiny_competition, tiny_run, tmp_path_factory):
    return taught(tiny_competition, [tiny_run], tmp_path_factory.mktemp("student") / "run")


def test_it_learns_from_the_teacher_and_not_from_the_labels(tiny_competition, tiny_run, student, tmp_path):
    assert student.manifest["hold_out"]["accuracy"] == 1.0
    assert [each["path"] for each in student.manifest["teachers"]] == [str(tiny_run.path.resolve())]
    labels_only = taught(tiny_competition, [], tmp_path / "labels")
    assert "teachers" not in labels_only.manifest
    assert not same(weights(student), weights(labels_only))
    both = taught(tiny_competition, [tiny_run], tmp_path / "both", settings={"distill_weight": 0.5})
    assert not same(weights(student), weights(both))


def test_a_stopped_one_goes_on_to_the_same_bits(tiny_competition, tiny_run, student, tmp_path):
    calls = iter([False, False, True])
    run = taught(
        tiny_competition,
        [tiny_run],
        tmp_path / "run",
        should_stop=lambda: next(calls, False),
    )
    assert not run.is_finished
    assert same(weights(podium.resume(run)), weights(student))


def test_two_teach_otherwise_than_one(tiny_competition, tiny_run, student, tmp_path):
    other = podium.train(tiny_competition, "sprint_small", settings=TINY, seed=1, out=tmp_path / "other")
    pair = taught(tiny_competition, [tiny_run, other], tmp_path / "pair")
    assert len(pair.manifest["teachers"]) == 2
    assert not same(weights(pair), weights(student))
    assert api.reproduce(pair, out=tmp_path / "again").verdict == "identical"


def test_a_teacher_that_changed_is_noticed(tiny_competition, tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "teacher")
    calls = iter([False, True])
    run = taught(tiny_competition, [tmp_path / "teacher"], tmp_path / "run", should_stop=lambda: next(calls, False))
    model = tmp_path / "teacher" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(RunError, match="isn't the teacher any more"):
        podium.resume(run)
    shutil.rmtree(tmp_path / "teacher")
    with pytest.raises(RunError, match="There is no run at"):
        podium.resume(run)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hold_out_seed": 1}, "would hold out: the accuracy"),
        ({"hold_out": 0.1}, r"--set hold_out=0.2 --set hold_out_seed=0"),
        ({"distill_weight": 0.0}, "distill_weight is 0"),
    ],
)
def test_what_would_flatter_or_be_ignored_is_refused(tiny_competition, tiny_run, tmp_path, settings, words):
    with pytest.raises((RunError, RecipeError), match=words):
        taught(tiny_competition, [tiny_run], tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_nothing_held_out_is_nothing_to_flatter(tiny_competition, tiny_run, tmp_path):
    run = taught(tiny_competition, [tiny_run], tmp_path / "run", settings={"hold_out": 0.0, "epochs": 1.0})
    assert run.is_finished
    with pytest.raises(RunError, match="trained on all images"):
        taught(tiny_competition, [run], tmp_path / "next")


def test_settings_without_a_teacher_and_strange_teachers_are_refused(tiny_competition, tiny_run, tmp_path):
    with pytest.raises(RecipeError, match="distill_temperature would be ignored"):
        taught(tiny_competition, [], tmp_path / "run", settings={"distill_temperature": 2.0})
    with pytest.raises(RunError, match="knows other classes"):
        taught(tiny_competition, ["builtin:cifar10"], tmp_path / "run")
    with pytest.raises(RunError, match="There is no run at"):
        taught(tiny_competition, [tmp_path / "nowhere"], tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
