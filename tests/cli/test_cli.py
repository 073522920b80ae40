"""The command line as a user meets it: real processes for help and faults, the app itself for the rest."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from podium.cli import app
from podium.errors import PodiumError

SETTINGS = ["--set", "epochs=1", "--set", "batch_size=16", "--set", "hold_out=0.2", "--set", "precision=fp32"]


def podium(*words, cwd=None):
    """Runs the command as a user would; returns exit status, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "podium", *map(str, words)], capture_output=True, text=True, cwd=cwd, check=False
    )
    return done.returncode, done.stdout, done.stderr


def invoke(*words):
    """Runs it in this process; what the user could mend is raised."""
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_help_names_every_verb_and_each_verb_has_help():
    text = invoke("--help")
    for verb in ("demo", "data", "train", "evaluate", "submit", "predict", "recipes", "models", "runs"):
        assert verb in text
        assert "--" in invoke(verb, "--help")


def test_the_whole_path(tiny_competition, tmp_path):
    run, submission = tmp_path / "run", tmp_path / "submission.csv"
    status, out, err = podium("train", tiny_competition, "--recipe", "sprint_small", *SETTINGS, "--out", run)
    assert status == 0, err
    assert "Hold-out accuracy" in out
    assert "95 % interval" in out
    assert "epoch" in err  # plain lines where there is no terminal
    assert "\x1b" not in out + err

    assert "Accuracy" in invoke("evaluate", run)
    assert "sha256" in invoke("submit", run, "--data", tiny_competition, "-o", submission)
    rows = list(csv.reader(submission.open()))
    form = list(csv.reader((tiny_competition / "sampleSubmission.csv").open()))
    assert [row[0] for row in rows] == [row[0] for row in form]
    assert {row[1] for row in rows[1:]} <= {"blue", "green", "red"}


def test_figures_as_json(tiny_competition, tiny_run, tmp_path):
    evaluation = json.loads(invoke("evaluate", tiny_run.path, "--json"))
    assert evaluation["accuracy"] == tiny_run.manifest["hold_out"]["accuracy"]
    assert np.array(evaluation["confusion"]).sum() == 12
    summary = json.loads(invoke("data", tiny_competition, "--json"))
    assert summary["num_train"] == 60
    submitted = json.loads(invoke("submit", tiny_run.path, tiny_run.path, "-o", tmp_path / "s.csv", "--json"))
    assert sum(submitted["class_counts"].values()) == 9
    out = invoke("train", tiny_competition, "--recipe", "sprint_small", *SETTINGS, "--out", tmp_path / "r", "--json")
    assert json.loads(out)["hold_out"]["num_images"] == 12
    assert {row["recipe"] for row in json.loads(invoke("recipes", "--json"))} >= {"sprint", "seed_resnet18"}
    assert len(json.loads(invoke("models", "--json"))) >= 3
    runs = json.loads(invoke("runs", tiny_run.path.parent, "--json"))
    assert runs[0]["hold-out accuracy"] == "100.00%"


def test_predict_takes_pictures_of_any_size_and_mode(tiny_run, tmp_path):
    red = np.zeros((40, 70, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / "some.jpg")
    Image.fromarray(red).convert("P").save(tmp_path / "other.png")
    out = invoke("predict", tmp_path / "some.jpg", tmp_path / "other.png", "--run", tiny_run.path)
    assert "█" in out
    answers = json.loads(invoke("predict", tmp_path / "some.jpg", "--run", tiny_run.path, "--json"))
    chances = answers[0]["classes"]
    assert set(chances) == {"blue", "green", "red"}
    assert sum(chances.values()) == pytest.approx(1, abs=1e-4)


def test_resume_refuses_what_it_would_ignore(tiny_run):
    with pytest.raises(PodiumError, match="--seed"):
        invoke("train", "--resume", tiny_run.path, "--seed", 3)


def test_resuming_a_finished_run_changes_nothing(tiny_run):
    before = tiny_run.model_path.read_bytes()
    assert "Hold-out accuracy" in invoke("train", "--resume", tiny_run.path)
    assert tiny_run.model_path.read_bytes() == before


@pytest.fixture
def broken_run(tiny_run, tmp_path):
    run = tmp_path / "broken"
    shutil.copytree(tiny_run.path, run)
    (run / "model.safetensors").write_bytes(b"nothing")
    return run


def cases(tmp_path, competition, run, broken):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.png").write_text("no picture")
    (tmp_path / "mine.toml").write_text("epoch = 3")
    (tmp_path / "unfinished").mkdir()
    for name in ("recipe.toml", "manifest.json"):
        shutil.copy(run / name, tmp_path / "unfinished" / name)
    return [
        (["train", tmp_path / "nowhere"], ["nowhere"]),
        (["train", tmp_path / "empty"], ["empty"]),
        (["train"], ["DATA"]),
        (["train", competition, "--recipe", "sprnt"], ["sprnt", "'sprint'"]),
        (["train", competition, "--recipe", tmp_path / "mine.toml"], ["mine.toml", "'epochs'"]),
        (["train", competition, "--set", "modle=sprint"], ["modle", "'model'"]),
        (["train", competition, "--recipe", "sprint"], ["batch_size", "54"]),
        (["train", competition, *SETTINGS, "--out", run], ["exists already"]),
        (["evaluate", tmp_path / "empty"], ["no run"]),
        (["evaluate", tmp_path / "unfinished"], ["model.safetensors", "--resume"]),
        (["evaluate", broken], ["model.safetensors", "damaged"]),
        (["evaluate", run, "digits"], ["32×32", "12×12"]),
        (["submit", broken, "-o", tmp_path / "s.csv"], ["damaged"]),
        (["submit", run, "-o", tmp_path / "no" / "s.csv"], ["no"]),
        (["predict", tmp_path / "note.png", "--run", run], ["note.png"]),
        (["predict", tmp_path / "none.png", "--run", run], ["none.png"]),
        (["predict", tmp_path / "note.png"], ["--run"]),
        (["runs", tmp_path / "nowhere"], ["nowhere"]),
    ]


def test_what_the_user_can_mend_is_said_in_two_lines_with_status_2(tiny_competition, tiny_run, broken_run, tmp_path):
    for words, expected in cases(tmp_path, tiny_competition, tiny_run.path, broken_run):
        before = set(tmp_path.rglob("*"))
        with pytest.raises(PodiumError) as caught:
            invoke(*words)
        message = str(caught.value)
        assert message.count("\n") <= 1, message
        assert all(word in message for word in expected), (words, message)
        assert set(tmp_path.rglob("*")) == before, f"{words} left something behind"


def test_status_2_and_one_message_on_stderr(tmp_path):
    status, out, err = podium("evaluate", tmp_path / "none")
    assert (status, out) == (2, "")
    assert err.startswith("podium: There is no run")
    assert "Traceback" not in err
    assert podium("evaluate", "--nonsense")[0] == 2


def test_ctrl_c_leaves_a_run_that_goes_on(tiny_competition, tmp_path):
    import signal
    import time

    run = tmp_path / "run"
    command = [sys.executable, "-m", "podium", "train", tiny_competition, "--recipe", "sprint_small"]
    settings = ["--set", "epochs=400", "--set", "batch_size=16", "--set", "hold_out=0.2"]
    with subprocess.Popen(
        [*map(str, command), *settings, "--out", str(run)], stdout=-1, stderr=-1, text=True
    ) as process:
        while not (run / "checkpoint").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"--resume {run}" in out
    assert (run / "checkpoint").exists()


@pytest.mark.slow
def test_demo(tmp_path):
    status, out, err = podium("demo", "--out", tmp_path / "demo")
    assert status == 0, err
    assert "of the submission is right" in out.replace("\n", " ")
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"run", "submission.csv", "digits.png"}
