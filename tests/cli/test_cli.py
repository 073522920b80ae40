"""The command line as a user meets it: real processes for help and faults, the app itself for the rest."""

import csv
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from podium.cli import app, main
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
    for verb in (
        "demo",
        "download",
        "data",
        "train",
        "tune",
        "evaluate",
        "submit",
        "predict",
        "report",
        "compare",
        "export",
        "import-gluon",
        "recipes",
        "models",
        "runs",
        "doctor",
    ):
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
    out = invoke("train", tiny_competition, "--recipe", "sprint_small", *SETTINGS, "--out", tmp_path / "r", "--json")
    assert json.loads(out)["hold_out"]["num_images"] == 12
    out = invoke("submit", tiny_run.path, tmp_path / "r", "-o", tmp_path / "s.csv", "--json")
    assert sum(json.loads(out)["class_counts"].values()) == 9
    assert {row["recipe"] for row in json.loads(invoke("recipes", "--json"))} >= {"sprint", "seed_resnet18"}
    listed = json.loads(invoke("models", "--json"))
    assert {(row["model"], row["form"]) for row in listed} >= {("sprint", "cifar"), ("googlenet", "imagenet")}
    assert {row["operations"] for row in listed if row["model"] == "resnet50" and row["form"] == "imagenet"} == {
        8_178_368_512
    }
    timed = json.loads(invoke("models", "sprint", "--time", "--batch-size", 4, "--threads", 1, "--json"))
    assert [row["images_per_second"] > 0 for row in timed] == [True]
    runs = json.loads(invoke("runs", tiny_run.path.parent, "--json"))
    assert runs[0]["accuracy"] == 1.0
    assert "100.00%" in invoke("runs", tiny_run.path.parent)


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
        (["train", tmp_path / "nowhere", "--set", "modle=sprint"], ["modle"]),
        (["train", competition, "--out", "x" * 300], ["too long"]),
        (["demo", "--out", tmp_path / "note.png"], ["exists already"]),
        (["train", competition, "--recipe", "sprint"], ["batch_size", "54"]),
        (["train", competition, *SETTINGS, "--out", run], ["exists already"]),
        (["train", competition, *SETTINGS, "--init", tmp_path / "none.pth"], ["none.pth", "can't be read"]),
        (
            ["train", competition, *SETTINGS, "--init", broken / "model.safetensors"],
            ["model.safetensors", "no file of weights"],
        ),
        (
            ["train", competition, *SETTINGS, "--set", "model=resnet18", "--init", run],
            ["isn't of this network", "--set form"],
        ),
        (["train", competition, *SETTINGS, "--set", "dropout=0.1"], ["'sprint' has no dropout", "wrn_28_10"]),
        (["models", "resnet81"], ["'resnet18'"]),
        (["evaluate", tmp_path / "empty"], ["no run"]),
        (["evaluate", tmp_path / "unfinished"], ["model.safetensors", "--resume"]),
        (["evaluate", broken], ["model.safetensors", "damaged"]),
        (["evaluate", run, "digits"], ["blue, green, red", "0, 1, 2"]),
        (["submit", run, "--data", "digits", "-o", tmp_path / "s.csv"], ["blue, green, red", "0, 1, 2"]),
        (["submit", run, run, "-o", tmp_path / "s.csv"], ["twice"]),
        (["submit", run, "-o", tmp_path], ["is a folder"]),
        (["submit", broken, "-o", tmp_path / "s.csv"], ["damaged"]),
        (["submit", run, "-o", tmp_path / "no" / "s.csv"], ["no"]),
        (["predict", tmp_path / "note.png", "--run", run], ["note.png"]),
        (["predict", tmp_path / "none.png", "--run", run], ["none.png"]),
        (["predict"], ["Predict what"]),
        (["runs", tmp_path / "nowhere"], ["nowhere"]),
    ]


@pytest.fixture
def main_with(monkeypatch, capsys):
    """Runs the command's own entry point; returns exit status and what it said on stderr."""

    def run(words):
        monkeypatch.setattr(sys, "argv", ["podium", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr().err
        return caught.value.code, said[said.find("podium: ") :]  # progress may come first

    return run


def test_what_the_user_can_mend_is_said_in_two_lines_with_status_2(
    tiny_competition, tiny_run, broken_run, tmp_path, main_with
):
    for words, expected in cases(tmp_path, tiny_competition, tiny_run.path, broken_run):
        before = set(tmp_path.rglob("*"))
        status, message = main_with(words)
        assert status == 2
        assert message.startswith("podium: "), message
        assert message.rstrip().count("\n") <= 1, message
        assert all(word in message for word in expected), (words, message)
        assert set(tmp_path.rglob("*")) == before, f"{words} left something behind"


def without_label(folder):
    lines = (folder / "trainLabels.csv").read_text().splitlines()
    (folder / "trainLabels.csv").write_text("\n".join(lines[:-1]) + "\n")


def without_image(folder):
    with (folder / "trainLabels.csv").open("a") as file:
        file.write("61,red\n")


def doubled_id(folder):
    with (folder / "trainLabels.csv").open("a") as file:
        file.write("60,red\n")


def truncated(folder):
    content = (folder / "train.zip").read_bytes()
    (folder / "train.zip").write_bytes(content[: len(content) // 2])


def no_image(folder):
    with zipfile.ZipFile(folder / "train.zip", "a") as archive:
        archive.writestr("train/61.png", b"no picture")
    without_image(folder)


def climbing(folder):
    with zipfile.ZipFile(folder / "train.zip", "a") as archive:
        archive.writestr("../61.png", b"no picture")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_label, ["train.zip", "60"]),
        (without_image, ["trainLabels.csv, line 62", "61"]),
        (doubled_id, ["trainLabels.csv, line 62", "60"]),
        (truncated, ["train.zip"]),
        (no_image, ["train.zip", "61.png"]),
        (climbing, ["train.zip", "../61.png"]),
    ],
)
def test_spoilt_data_are_said_and_leave_neither_cache_nor_run(
    spoil, expected, tiny_competition, tmp_path, monkeypatch, main_with
):
    folder, cache, runs = tmp_path / "data", tmp_path / "cache", tmp_path / "runs"
    shutil.copytree(tiny_competition, folder)
    spoil(folder)
    monkeypatch.setenv("PODIUM_CACHE", str(cache))
    status, message = main_with(["train", folder, *SETTINGS, "--out", runs / "run"])
    assert status == 2
    assert message.rstrip().count("\n") <= 1, message
    assert all(word in message for word in expected), message
    assert not runs.exists()
    assert not list(cache.rglob("*.npy"))


def test_an_unknown_class_in_the_form_is_said_before_anything_is_predicted(
    tiny_competition, tiny_run, tmp_path, main_with
):
    folder = tmp_path / "data"
    shutil.copytree(tiny_competition, folder)
    form = (folder / "sampleSubmission.csv").read_text().replace("8,red", "8,purple")
    (folder / "sampleSubmission.csv").write_text(form)
    status, message = main_with(["submit", tiny_run.path, "--data", folder, "-o", tmp_path / "s.csv"])
    assert status == 2
    assert "sampleSubmission.csv, line 9" in message
    assert "purple" in message
    assert not (tmp_path / "s.csv").exists()


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
        while not (run / "metrics.jsonl").exists() and process.poll() is None:
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


def test_names_are_printed_as_they_are(tiny_run, tmp_path):
    picture = tmp_path / "cat[1] [dog].png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    assert "cat[1] [dog].png" in invoke("predict", picture, "--run", tiny_run.path).replace("\n", "")


def test_a_damaged_run_hides_no_other(tiny_run, broken_run):
    (broken_run / "manifest.json").write_text("{")
    shutil.copytree(tiny_run.path, broken_run.parent / "good")
    states = {row["run"]: row["state"] for row in json.loads(invoke("runs", broken_run.parent, "--json"))}
    assert states == {str(broken_run): "damaged", str(broken_run.parent / "good"): "finished"}
    assert "damaged" in invoke("runs", broken_run.parent)
