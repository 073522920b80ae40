"""TensorBoard's event files say what the metrics say: after a training, a stop, a resumption, and afterwards."""

import json
import sys

import pytest
from processes import answers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

import podium
from podium.cli import app
from podium.delivery.tensorboard import EventLog
from podium.errors import RunError, StorageError

SETTINGS = {"epochs": 3.0, "batch_size": 8, "precision": "fp32", "hold_out": 0.2}


def events(run):
    """(step, value, time) of each scalar, as a TensorBoard reads them that begins now."""
    assert len(list((run.path / "tensorboard").iterdir())) <= 2
    found = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(one.step, one.value, one.wall_time) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def lines(run, *kinds):
    return [line for line in run.metrics() if line["kind"] in kinds]


def check(run):
    """All that the metrics have is there once, in order, and nothing else."""
    found = events(run)
    trained, held = lines(run, "step", "epoch"), lines(run, "hold-out")
    for name in ("loss", "accuracy", "epoch"):
        told = found[f"train/{name}"]
        assert [step for step, *_ in told] == [line["step"] for line in trained]
        assert [value for _, value, _ in told] == pytest.approx([line[name] for line in trained])
    assert [(step, pytest.approx(value)) for step, value, _ in found["hold_out/accuracy"]] == [
        (line["step"], line["accuracy"]) for line in held
    ]
    times = [time for *_, time in found["train/loss"]]
    since = [line["train_seconds"] for line in trained]
    assert [time - times[0] for time in times] == pytest.approx([one - since[0] for one in since], abs=1e-3)
    return found


@pytest.fixture
def train(tiny_competition, tmp_path):
    def make(**options):
        options = {"settings": SETTINGS, "tensorboard": True, "out": tmp_path / "run", **options}
        return podium.train(tiny_competition, "sprint_small", **options)

    return make


def stop_at(num_steps):
    asked = iter(range(1, 10**6))
    return lambda: next(asked) == num_steps


def test_they_hold_what_the_metrics_hold(train):
    run = train()
    found = check(run)
    assert set(found) == {
        *(f"train/{name}" for name in ("loss", "accuracy", "epoch", "learning_rate", "images_per_second")),
        "hold_out/accuracy",
    }
    rates = [value for _, value, _ in found["train/learning_rate"]]
    assert rates[0] == pytest.approx(run.recipe.learning_rate)
    assert rates == sorted(rates, reverse=True)
    trained = lines(run, "step", "epoch")
    first, second = trained[:2]
    speed = (second["step"] - first["step"]) * 8 / (second["train_seconds"] - first["train_seconds"])
    assert found["train/images_per_second"][0][:2] == (second["step"], pytest.approx(speed))


def test_a_resumed_training_takes_back_what_its_metrics_take_back(train):
    run = train(should_stop=stop_at(9))
    assert not run.is_finished
    before = events(run)["train/loss"]
    # killed a while after the checkpoint: lines and events of steps that the resumed training makes again
    for step in (10, 11):
        run.append_metrics(kind="step", step=step, epoch=step / 6, loss=99.0, accuracy=0.0, train_seconds=50.0 + step)
    log = EventLog(run)
    log(None)
    log.close()
    watching = EventAccumulator(str(run.path / "tensorboard")).Reload()  # a TensorBoard that runs meanwhile
    assert max(one.value for one in watching.Scalars("train/loss")) == 99
    again = podium.resume(run.path)
    found = check(again)["train/loss"]
    assert found[: len(before)] == before
    assert max(value for _, value, _ in found) < 99
    watching.Reload()
    assert [(one.step, one.value) for one in watching.Scalars("train/loss")] == [one[:2] for one in found]


def test_what_was_not_flushed_before_a_kill_is_there_after_resuming(train):
    run = train(should_stop=stop_at(9))
    (path,) = (run.path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-40])  # cut within an event
    check(podium.resume(run.path))


def test_a_finished_run_gets_them_afterwards(train):
    run = train(tensorboard=False)
    assert not (run.path / "tensorboard").exists()
    before = run.model_path.read_bytes()
    result = CliRunner().invoke(app, ["train", "--resume", str(run.path), "--tensorboard"], catch_exceptions=False)
    assert result.exit_code == 0
    check(run)
    assert run.model_path.read_bytes() == before
    for _ in range(3):
        podium.resume(run.path)
        check(run)  # once each


def test_a_file_of_a_clock_that_went_ahead_does_not_hide_the_new_one(train):
    run = train(should_stop=stop_at(9))
    (path,) = (run.path / "tensorboard").iterdir()
    path.rename(path.with_name("events.out.tfevents.9999999999.there.1.0"))
    check(podium.resume(run.path))


def test_a_training_within_minutes_has_no_rate_that_would_be_wrong(train):
    run = train(minutes=0.05, settings={"batch_size": 8, "precision": "fp32", "hold_out": 0.2})
    assert "train/learning_rate" not in check(run)


def test_the_recipe_is_there_to_read(train):
    run = train()
    (path,) = (run.path / "tensorboard").iterdir()
    (text,) = EventAccumulator(str(path)).Reload().Tensors("recipe/text_summary")
    assert 'name = "sprint_small"' in text.tensor_proto.string_val[0].decode()


def test_of_several_processes_one_writes(tiny_competition, tmp_path):
    words = ["train", str(tiny_competition), "--recipe", "sprint_small", "--out", "run", "--tensorboard"]
    words += [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    assert {answer.status for answer in answers(2, "command", words, str(tmp_path))} == {0}
    check(podium.Run.open(tmp_path / "run"))


def test_without_the_package_one_line_says_what_to_install(train, tiny_competition, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RunError, match=r"pip install 'podium-vision\[tensorboard\]'") as found:
        train()
    assert "\n" not in str(found.value)
    with pytest.raises(RunError, match="podium-vision"):  # before data are read
        CliRunner().invoke(app, ["train", "nowhere", "--tensorboard"], catch_exceptions=False)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_can_not_be_written_is_a_storage_error(train):
    run = train(should_stop=stop_at(3))
    for path in (run.path / "tensorboard").iterdir():
        path.unlink()
    (run.path / "tensorboard").rmdir()
    (run.path / "tensorboard").write_text("a file")
    with pytest.raises(StorageError, match="tensorboard"):
        podium.resume(run.path, tensorboard=True)
