"""podium report, compare and runs, as a user meets them."""

import json
import shutil

import pytest
from typer.testing import CliRunner

import podium
from podium.cli import app
from podium.errors import RunError

SETTINGS = ["--set", "epochs=1", "--set", "batch_size=16", "--set", "hold_out=0.2", "--set", "precision=fp32"]


def invoke(*words):
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def two_runs(tiny_competition, tmp_path_factory):
    """A run of each of two recipes, made by the command."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rate in (("slow", "0.0001"), ("fast", "0.05")):
        words = [*SETTINGS, "--set", f"learning_rate={rate}", "--recipe", "sprint_small", "--out", folder / name]
        said = invoke("train", tiny_competition, *words)
        assert str(folder / name / "report.html") in said.replace("\n", "")
    return folder


def test_training_leaves_a_page(two_runs, read_page):
    page = read_page(two_runs / "fast" / "report.html")
    assert "How it learned" in page.text
    assert page.named("img")


def test_a_page_that_can_not_be_written_costs_no_run(tiny_competition, tmp_path, monkeypatch):
    def full(*_, **__):
        raise podium.errors.StorageError("The disk is full.")

    monkeypatch.setattr("podium.api.report", full)
    result = CliRunner().invoke(
        app,
        list(map(str, ["train", tiny_competition, "--recipe", "sprint_small", *SETTINGS, "--out", tmp_path / "run"])),
    )
    assert result.exit_code == 0
    assert "No report was written: The disk is full." in result.output
    assert podium.Run.open(tmp_path / "run").is_finished


def test_report_writes_where_it_is_told(two_runs, read_page, tmp_path):
    said = invoke("report", two_runs / "fast", "-o", tmp_path / "page.html", "--also", two_runs / "slow")
    assert "page.html" in said
    assert read_page(tmp_path / "page.html").text


def test_compare_says_it_in_words_and_in_json(two_runs):
    said = " ".join(invoke("compare", two_runs / "slow", two_runs / "fast").split())
    assert "learning_rate 0.0001 0.05" in said
    assert "McNemar's exact p" in said
    assert "three seeds or more" in said
    found = json.loads(invoke("compare", two_runs / "slow", two_runs / "fast", "--json"))
    assert [run["accuracy"] for run in found["runs"]] == [
        podium.Run.open(two_runs / name).manifest["hold_out"]["accuracy"] for name in ("slow", "fast")
    ]
    assert found["run_pairs"][0]["test"]["num_images"] == 12
    assert any("McNemar" in sentence for sentence in found["verdicts"])


def test_compare_with_seeds(two_runs, tmp_path):
    for name, seed in (("fast", 1), ("slow", 1), ("slow", 2)):
        run = podium.Run.open(shutil.copytree(two_runs / name, tmp_path / f"{name}{seed}"))
        run.write_manifest(seed=seed)
    runs = [two_runs / "fast", two_runs / "slow", *(tmp_path / name for name in ("fast1", "slow1", "slow2"))]
    said = " ".join(invoke("compare", *runs).split())
    assert "Runs of one letter differ in their seeds only." in said
    assert "Recipe B over 3 seeds" in said
    assert "p, as one of 10 tests" in said


def test_runs_is_sorted_as_asked(two_runs):
    rows = json.loads(invoke("runs", two_runs, "--json"))
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    assert set(rows[0]) >= {"run", "recipe", "data", "accuracy", "interval", "train_minutes", "machine"}
    by_time = json.loads(invoke("runs", two_runs, "--sort", "minutes", "--json"))
    assert [row["train_minutes"] for row in by_time] == sorted(row["train_minutes"] for row in rows)
    latest = json.loads(invoke("runs", two_runs, "--sort", "created", "--json"))
    assert [row["created"] for row in latest] == sorted((row["created"] for row in rows), reverse=True)
    assert "sprint_small" in invoke("runs", two_runs)


def test_one_run_is_no_comparison(two_runs):
    with pytest.raises(RunError, match="two runs"):
        invoke("compare", two_runs / "fast")
