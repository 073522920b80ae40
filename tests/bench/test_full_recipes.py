"""full_recipes: whole trainings in pieces that resume, with tiny settings."""

import json

import common
import full_recipes
import pytest


@pytest.fixture
def args(tiny_competition, tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    words = [str(tiny_competition), "--recipes", "resnet18", "seed_resnet18", "--runs", str(tmp_path / "runs")]
    words += ["--results", str(tmp_path / "results")]
    for setting in ("epochs=0.5", "batch_size=10", "precision=fp32", "hold_out=0.2", "evaluate_every=1"):
        words += ["--set", setting]
    words += ["--set", "cutout=4"]
    return full_recipes.arguments(words)


def test_pieces_make_the_whole_and_every_submission(args, tmp_path):
    times = iter(range(10**6))
    args.minutes = 1 / 60 * 8  # looks at the clock: it goes a second a look
    num_sittings = 1
    while not full_recipes.sit(args, clock=lambda: next(times)):
        num_sittings += 1
        assert num_sittings < 20
    assert num_sittings > 1
    rows = full_recipes.rows(args)
    assert [(row["recipe"], row["part"]) for row in rows] == [
        ("resnet18", "held"),
        ("resnet18", "all"),
        ("seed_resnet18", "held"),
        ("seed_resnet18", "all"),
    ]
    assert all(row["is_finished"] for row in rows)
    assert [row["accuracy"] is not None for row in rows] == [True, False, True, False]
    for name in ("resnet18", "seed_resnet18"):
        lines = (tmp_path / "results" / f"submission-{name}.csv").read_text().splitlines()
        assert len(lines) == 10
        assert (tmp_path / "runs" / f"{name}-held" / "hold_out.safetensors").exists()
    before = (tmp_path / "results" / "submission-resnet18.csv").stat().st_mtime_ns
    assert full_recipes.sit(args)  # nothing is done twice
    assert (tmp_path / "results" / "submission-resnet18.csv").stat().st_mtime_ns == before


def test_other_settings_are_not_mixed_into_a_run(args):
    assert full_recipes.sit(args)
    args.set[0] = "epochs=1"
    with pytest.raises(SystemExit, match="other settings"):
        full_recipes.sit(args)


def test_a_report_says_what_there_is(args, tmp_path, monkeypatch):
    args.recipes = ["resnet18"]
    full_recipes.sit(args)
    args.report = True
    monkeypatch.setattr(full_recipes, "arguments", lambda: args)
    full_recipes.main()
    kept = json.loads((tmp_path / "results" / "full-recipes.json").read_text())
    assert [row["part"] for row in kept["figures"]["runs"]] == ["held", "all"]
