"""gpu_speed: blocks in rotation, a line a run, one table; tried out on a processor."""

import json
import sys
from typing import ClassVar

import gpu_speed
import pytest
from fakes import AIRBENCH94, AIRBENCH96, HIVERGE, without_gpu
from peers import tables
from peers.drivers import Outcome
from peers.worker import Worker, WorkerError


@pytest.fixture
def args(tmp_path):
    """A bench of three competitors to 94 % and one to 96 %."""
    words = ["DATA", "--out", str(tmp_path / "out"), "--device", "cpu", "--tiny", "200"]
    words += ["--runs", "4", "--runs96", "2", "--block", "2"]
    for name, text in (("airbench94", AIRBENCH94), ("airbench96", AIRBENCH96), ("hiverge", HIVERGE)):
        (tmp_path / f"{name}.py").write_text(without_gpu(text))
        words += [f"--{name}", str(tmp_path / f"{name}.py")]
    args = gpu_speed.arguments(words)
    args.out.mkdir()
    return args


class FakeWorker:
    """Answers at once; those in `gone` end at their first run."""

    made: ClassVar[list[tuple[str, int]]] = []
    gone: ClassVar[set[str]] = set()
    log = "a log"

    def __init__(self, competitor):
        self.name = competitor.name

    def wait_ready(self):
        return {"warm_up_seconds": 1.0}

    def run(self, seed):
        if self.name in self.gone:
            raise WorkerError("ended with status 1: CUDA out of memory")
        self.made.append((self.name, seed))
        return Outcome(0.94, {"sprint": 2.0, "airbench94": 4.0}.get(self.name, 5.0) + seed / 10, 1.0)

    def close(self):
        pass


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(FakeWorker, "made", [])
    monkeypatch.setattr(FakeWorker, "gone", set())
    monkeypatch.setattr(gpu_speed, "start", lambda competitor, split, args: FakeWorker(competitor))
    return FakeWorker.made


def test_blocks_in_rotation_and_the_order_turns(args, made, tmp_path):
    gpu_speed.sit(args, tmp_path)
    names = ["sprint", "airbench94", "hiverge", "airbench96"]
    first = [(name, seed) for name in names for seed in (0, 1)]
    second = [(name, seed) for name in names[-2::-1] for seed in (2, 3)]
    assert made == first + second


def test_a_second_sitting_goes_on_with_new_seeds(args, made, tmp_path):
    args.runs = args.runs96 = 1
    gpu_speed.sit(args, tmp_path)
    args.runs = 2
    gpu_speed.sit(args, tmp_path)
    assert made[4:] == [("sprint", 1), ("airbench94", 1), ("hiverge", 1)]
    assert len(gpu_speed.lines_of(args.out)) == 7
    gpu_speed.sit(args, tmp_path)
    assert len(made) == 7


def test_another_version_begins_anew(args, made, tmp_path):
    args.only = ["hiverge"]
    gpu_speed.sit(args, tmp_path)
    args.hiverge.write_text(HIVERGE + "\n# changed\n")
    args.runs = 1
    gpu_speed.sit(args, tmp_path)
    assert made[4:] == [("hiverge", 0)]
    groups = gpu_speed.summed_up(gpu_speed.lines_of(args.out))[0]["groups"]["to 94 %"]
    assert sorted(row["n"] for row in groups.values()) == [1, 4]


def test_the_time_ends_the_sitting_between_two_rounds(args, made, tmp_path, capsys):
    args.minutes = 0
    gpu_speed.sit(args, tmp_path)
    assert made == []
    assert "The time is over" in capsys.readouterr().out


def test_one_that_fails_is_out_and_the_others_go_on(args, made, tmp_path, capsys):
    FakeWorker.gone.add("airbench94")
    gpu_speed.sit(args, tmp_path)
    assert "airbench94 is out: ended with status 1: CUDA out of memory" in capsys.readouterr().err
    assert {name for name, _ in made} == {"sprint", "hiverge", "airbench96"}


def test_only_takes_names_that_there_are(args):
    args.only = ["sprint", "airbench95"]
    with pytest.raises(SystemExit, match="--only airbench95: there is sprint, airbench94, hiverge, airbench96"):
        gpu_speed.competitors(args)


def test_the_table_compares_with_the_fastest_peer(args, made, tmp_path, capsys):
    gpu_speed.sit(args, tmp_path)
    gpu_speed.show(args)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines[-4:]] == ["sprint", "airbench94", "hiverge", "airbench96"]
    assert lines[-4].endswith(f"{2.15 / 4.15:.3f}")
    assert lines[-3].endswith("1.000")
    kept = json.loads((args.out / "gpu-speed.json").read_text())
    assert len(kept["runs"]) == 14


def test_mean_and_error():
    mean, error = tables.mean_and_error([0.93, 0.94, 0.95])
    assert mean == pytest.approx(0.94)
    assert error == pytest.approx(0.01 / 3**0.5)
    assert tables.mean_and_error([0.9]) == (0.9, None)


@pytest.mark.slow
def test_a_tiny_bench_from_end_to_end(args, tmp_path, capsys, monkeypatch):
    words = ["gpu_speed.py", "DATA", "--out", str(args.out), "--device", "cpu", "--tiny", "100"]
    words += ["--runs", "1", "--set", "epochs=1", "--set", "batch_size=90"]
    for name in ("airbench94", "hiverge"):
        words += [f"--{name}", str(tmp_path / f"{name}.py")]
    monkeypatch.setattr("sys.argv", words)
    gpu_speed.main()
    rows = {row["competitor"]: row for row in gpu_speed.lines_of(args.out)}
    assert rows.keys() == {"sprint", "airbench94", "hiverge"}
    assert rows["hiverge"]["accuracy"] == 0.1  # 10 images are held out of 100
    assert rows["airbench94"]["seconds"] == 1.0
    assert rows["sprint"]["seconds"] > rows["sprint"]["train_seconds"] > 0
    assert "sprint" in capsys.readouterr().out


def test_a_worker_that_ends_says_its_last_word(args):
    gone = gpu_speed.Competitor("hiverge", "94", 1, args.hiverge.with_name("nowhere.py"))
    worker = gpu_speed.start(gone, args.out, args)
    with pytest.raises(WorkerError, match=r"ended with status 1: .*nowhere.py can't be read"):
        worker.wait_ready()


def test_worker_is_closed_by_the_end_of_its_input(tmp_path):
    worker = Worker(
        [sys.executable, "-c", "import sys; print('{\"ready\": 1}', flush=True); sys.stdin.read()"], tmp_path / "log"
    )
    assert worker.wait_ready() == {"ready": 1}
    worker.close()
    assert worker._process.returncode == 0
