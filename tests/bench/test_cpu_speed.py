"""cpu_speed: pairs are made in turn, kept at once, and counted only if they can be compared."""

import json
from pathlib import Path

import cpu_speed
import pytest
from fakes import AIRBENCH94

SPLIT = Path("split")


@pytest.fixture
def args(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "airbench94_muon.py").write_text(AIRBENCH94)
    words = ["DATA", "--airbench94", str(tmp_path / "airbench94_muon.py"), "--kept", str(tmp_path / "kept")]
    return cpu_speed.arguments([*words, "--tiny", "--threads", "1"])


@pytest.fixture
def made(monkeypatch):
    """The runs that were made, in order; each took as many seconds as its place, and 2 of them end in an interrupt."""
    runs = []

    def measured(competitor, seed, split, args):
        runs.append((competitor, seed))
        seconds = {"sprint": 40.0, "airbench94": 100.0}[competitor] + seed
        return {"accuracy": 0.93, "seconds": seconds, "train_seconds": seconds - 1, "hardware": {}}

    monkeypatch.setattr(cpu_speed, "measured", measured)
    return runs


def test_who_begins_changes_from_pair_to_pair(args, made):
    cpu_speed.fill(args, SPLIT)
    assert made == [
        ("sprint", 0),
        ("airbench94", 0),
        ("airbench94", 1),
        ("sprint", 1),
        ("sprint", 2),
        ("airbench94", 2),
    ]


def test_a_bench_that_was_interrupted_goes_on(args, made, monkeypatch):
    whole = cpu_speed.measured

    def interrupted(competitor, seed, split, args):
        if len(made) == 3:
            raise KeyboardInterrupt
        return whole(competitor, seed, split, args)

    monkeypatch.setattr(cpu_speed, "measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cpu_speed.fill(args, SPLIT)
    assert len(cpu_speed.kept_rows(args)) == 3
    del made[:]
    monkeypatch.setattr(cpu_speed, "measured", whole)
    cpu_speed.fill(args, SPLIT)
    assert made == [("sprint", 1), ("sprint", 2), ("airbench94", 2)]
    cpu_speed.fill(args, SPLIT)
    assert len(made) == 3


def test_only_runs_of_one_processor_make_a_pair(args, made, monkeypatch):
    args.seeds = [0]
    cpu_speed.fill(args, SPLIT)
    path = next(args.kept.glob("sprint-*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "processor": "another"}))
    assert cpu_speed.pairs(cpu_speed.kept_rows(args), args) == []
    monkeypatch.setattr(cpu_speed, "processor", lambda: "another")
    cpu_speed.fill(args, SPLIT)
    assert made[2:] == [("airbench94", 0)]
    ((ours, peer),) = cpu_speed.pairs(cpu_speed.kept_rows(args), args)
    assert ours["processor"] == peer["processor"] == "another"


@pytest.mark.parametrize("change", ["script", "recipe", "threads"])
def test_what_was_measured_otherwise_does_not_count(args, made, change):
    cpu_speed.fill(args, SPLIT)
    if change == "script":
        args.airbench94.write_text(AIRBENCH94 + "\n# another version\n")
    elif change == "recipe":
        args.recipe = "sprint_small"
    else:
        args.threads = 2
    assert cpu_speed.pairs(cpu_speed.kept_rows(args), args) == []


def test_figures(args, made, capsys):
    cpu_speed.fill(args, SPLIT)
    figures = cpu_speed.report(cpu_speed.pairs(cpu_speed.kept_rows(args), args), args)
    assert figures["seconds_ratio"] == {"median": round(41 / 101, 4), "min": 0.4, "max": round(42 / 102, 4), "n": 3}
    assert figures["accuracy_difference"] == 0
    assert figures["competitors"]["airbench94"]["seconds_median"] == 101
    assert "0.406" in capsys.readouterr().out


@pytest.mark.slow
def test_a_tiny_bench_from_end_to_end(args, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["cpu_speed.py", "DATA", "--airbench94", "airbench94_muon.py", "--kept", str(args.kept), "--tiny"]
    monkeypatch.setattr("sys.argv", [*words, "--threads", "1", "--seeds", "7"])
    cpu_speed.main()
    rows = [json.loads(path.read_text()) for path in args.kept.glob("*.json")]
    assert sorted((row["competitor"], row["seed"]) for row in rows) == [("airbench94", 7), ("sprint", 7)]
    assert all(0 < row["train_seconds"] < row["seconds"] for row in rows)
    assert json.loads((args.kept / "tiny.result").read_text())["num_pairs"] == 1
    assert "1 pairs" in capsys.readouterr().out


def test_a_run_that_fails_ends_the_bench(args, tmp_path):
    args.airbench94.write_text("raise RuntimeError('no')")
    with pytest.raises(SystemExit, match="airbench94, seed 0: ended with status 1"):
        cpu_speed.measured("airbench94", 0, tmp_path, args)
    assert cpu_speed.kept_rows(args) == []
