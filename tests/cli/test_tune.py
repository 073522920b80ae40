"""podium tune, as a user meets it."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
from trials import fake_fit
from typer.testing import CliRunner

from podium import cli
from podium.cli import app, main
from podium.errors import StudyError
from podium.recipe import load_recipe
from podium.tuning import trial

DOCUMENT = Path(__file__).parents[2] / "docs" / "TUNE.md"
SETTINGS = ["--set", "batch_size=16", "--set", "hold_out=0.2", "--set", "precision=fp32"]


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    monkeypatch.setattr(trial, "fit", fake_fit())


def invoke(*words):
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def tune(data, out, *words):
    return invoke("tune", data, "--recipe", "sprint_small", *SETTINGS, "--out", out, *words)


def test_a_study_says_what_it_does_and_what_came_of_it(tiny_competition, tmp_path, read_page):
    out = tmp_path / "study"
    done = tune(tiny_competition, out, "--trials", 4)
    assert done.exit_code == 0
    assert "sprint_small on tiny: trials of 2 epochs; varied: learning_rate, bias_learning_rate" in done.stdout
    assert re.search(r"Best of 4 trials: \d\d\.\d\d% of 5 images after 2 epochs \(trial \d", done.stdout)
    assert f"Next: podium train DATA --recipe {out / 'winner.toml'}" in done.stdout
    assert "trial 3: finished" in done.stderr
    assert "4 done" in done.stderr
    assert load_recipe(out / "winner.toml").name == "sprint_small-tuned"
    assert "sprint_small tuned on tiny" in read_page(out / "study.html").text
    again = tune(tiny_competition, out, "--trials", 4)
    assert "4 of them done" in again.stdout
    assert "trial" not in again.stderr


def test_as_json(tiny_competition, tmp_path):
    done = tune(tiny_competition, tmp_path / "study", "--trials", 2, "--json")
    told = json.loads(done.stdout)
    assert told["winner"] == str(tmp_path / "study" / "winner.toml")
    assert [row["state"] for row in told["trials"]] == ["finished", "finished"]
    assert told["accuracy"] == max(row["accuracy"] for row in told["trials"])


def test_the_folder_has_the_recipes_name(tiny_competition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    invoke("tune", tiny_competition, *SETTINGS[2:], "--trials", 1)
    assert (tmp_path / "studies" / "sprint_small" / "winner.toml").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--trials 50, or --minutes 60"),
        (["--trials", "1", "--search", "nowhere.toml"], "nowhere.toml can't be read as a search space"),
        (["--trials", "1", "--storage", "here"], "it takes a URL"),
        (["--trials", "1", "--epochs", "50"], "at most the recipe's own 10"),
    ],
)
def test_what_cannot_be_is_one_or_two_lines_and_status_2(words, says, tiny_competition, tmp_path, monkeypatch, capsys):
    line = ["podium", "tune", str(tiny_competition), "--recipe", "sprint_small", *SETTINGS]
    monkeypatch.setattr(sys, "argv", [*line, "--out", str(tmp_path / "study"), *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) <= 2
    assert not (tmp_path / "study" / "winner.toml").exists()


def test_a_study_that_came_to_nothing_is_said(tiny_competition, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "fit", fake_fit(lambda recipe, epoch: float("nan")))
    with pytest.raises(StudyError, match="No trial came to its end"):
        tune(tiny_competition, tmp_path / "study", "--trials", 2)


def test_ctrl_c_puts_the_trial_back_and_says_how_to_go_on(tiny_competition, tmp_path, monkeypatch):
    stops = iter([False] * 20 + [True] * 100)
    monkeypatch.setattr("podium.cli.display.StopSignal.__call__", lambda _: next(stops))
    done = tune(tiny_competition, tmp_path / "study", "--trials", 100)
    assert done.exit_code == 130
    assert "The same command goes on." in done.stdout
    assert load_recipe(tmp_path / "study" / "winner.toml")


def commands():
    text = re.sub(r"\\\n\s*", "", DOCUMENT.read_text())
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("podium ")]


@pytest.mark.parametrize("line", commands())
def test_the_documents_commands_are_the_programs(line):
    _, verb, *words = shlex.split(line, comments=True)
    command = typer.main.get_command(cli.app).commands[verb]
    assert command.make_context(verb, words).params  # raises at an option that isn't there
