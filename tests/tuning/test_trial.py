"""A trial: on which images, for how long, and what becomes of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from trials import fake_fit, peak, study_of

import podium
from podium.api.common import split
from podium.errors import StorageError
from podium.recipe import Recipe, load_recipe
from podium.runtime import prepare
from podium.tuning import Bench, num_looks, trial, trial_recipe, validation_parts

RECIPE = replace(load_recipe("sprint_small"), batch_size=16, precision="fp32", hold_out=0.2, learning_rate=0.01)


@pytest.fixture(scope="module")
def data(tiny_competition):
    return podium.open(tiny_competition)


@pytest.fixture
def study(tmp_path):
    made = study_of(tmp_path / "study", RECIPE, pruner="median")
    yield made
    made.close()


@pytest.fixture
def bench(data, tmp_path):
    """Makes a worker's bench."""

    def make(should_stop=lambda: False, recipe=RECIPE):
        parts = validation_parts(data.train, split(data.train, recipe)[0], 0.25, 1)
        return Bench(
            dataset=data,
            recipe=recipe,
            parts=parts,
            epochs=3.0,
            seed=5,
            runtime=prepare("fp32"),
            folder=tmp_path / "trials",
            should_stop=should_stop,
            on_progress=lambda *_: None,
        )

    return make


def test_trials_are_judged_on_no_image_of_the_hold_out(data):
    rest, held = split(data.train, RECIPE)
    train, judged = validation_parts(data.train, rest, 0.25, 1)
    assert not set(judged) & set(held)
    assert not set(train) & set(held)
    assert not set(train) & set(judged)
    assert sorted([*train, *judged, *held]) == list(range(len(data.train)))
    assert len(judged) == 12
    assert (np.bincount(data.train.labels[judged]) == 4).all()  # each class gives its share
    assert set(validation_parts(data.train, rest, 0.25, 2)[1]) != set(judged)


def test_what_is_trained_and_looked_at_is_that(data, bench, study, monkeypatch):
    seen = []
    monkeypatch.setattr(trial, "fit", fake_fit(seen=seen))
    one = bench()
    assert one.do(study.ask(None)) == "finished"
    _, _, images, judged = seen[0]
    held = set(data.train.ids[split(data.train, RECIPE)[1]])
    assert len(images) == 36
    assert len(judged) == 12
    assert not held & {*images.ids, *judged.ids}


def test_a_trials_recipe_is_the_shorter_one_looked_at_every_epoch():
    recipe = Recipe(epochs=100, warmup_epochs=10, evaluate_every=0)
    short = trial_recipe(recipe, 5)
    assert (short.epochs, short.warmup_epochs, short.evaluate_every) == (5, 0.5, 1)
    assert num_looks(2.5) == 3


def test_what_finishes_is_told_with_its_looks_and_leaves_nothing(bench, study, monkeypatch, tmp_path):
    monkeypatch.setattr(trial, "fit", fake_fit())
    assert bench().do(study.ask(None)) == "finished"
    row = study.rows()[0]
    assert row.curve == tuple((epoch, peak(RECIPE, epoch)) for epoch in (1, 2, 3))
    assert row.accuracy == peak(RECIPE, 3)
    assert list((tmp_path / "trials").iterdir()) == []


def test_a_hopeless_trial_really_stops_early(bench, study, monkeypatch):
    seen = []
    monkeypatch.setattr(trial, "fit", fake_fit(lambda recipe, epoch: 0.9, seen=seen))
    for _ in range(6):
        assert bench().do(study.ask(None)) == "finished"
    seen.clear()
    monkeypatch.setattr(trial, "fit", fake_fit(lambda recipe, epoch: 0.1, seen=seen, steps=4))
    assert bench().do(study.ask(None)) == "pruned"
    assert [epoch for _, epoch, *_ in seen] == [1, 1, 1, 1, 2]  # a step after the look
    row = study.rows()[-1]
    assert (row.state, row.curve, row.accuracy) == ("pruned", ((1, 0.1),), None)


def test_a_trial_that_diverges_is_no_end_of_the_study(bench, study, monkeypatch):
    monkeypatch.setattr(trial, "fit", fake_fit(lambda recipe, epoch: 0.5 if epoch == 1 else math.nan))
    assert bench().do(study.ask(None)) == "diverged"
    row = study.rows()[0]
    assert row.note == "at step 4 the loss is no finite number: the training diverged."
    assert study.ask(None) is not None


@pytest.mark.parametrize(
    ("value", "state"), [("drop", "finished"), (100_000, "impossible")], ids=["possible", "impossible"]
)
def test_values_that_no_training_can_have(bench, study, monkeypatch, value, state):
    monkeypatch.setattr(trial, "fit", fake_fit())
    ticket = study.ask(None)
    ticket.values["last_batch" if value == "drop" else "batch_size"] = value
    assert bench().do(ticket) == state


def test_too_little_memory_is_no_end_of_the_study(bench, study, monkeypatch):
    def fit(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(trial, "fit", fit)
    assert bench().do(study.ask(None)) == "impossible"
    assert "memory" in study.rows()[0].note


def test_a_stop_puts_the_trial_back(bench, study, monkeypatch):
    monkeypatch.setattr(trial, "fit", fake_fit())
    assert bench(should_stop=lambda: True).do(study.ask(None)) == "stopped"
    assert [row.state for row in study.rows()] == ["stopped", "waiting"]


def test_a_full_disk_puts_the_trial_back_and_is_said(bench, study, monkeypatch, tmp_path):
    def fit(*_, **__):
        raise StorageError("no room")

    monkeypatch.setattr(trial, "fit", fit)
    with pytest.raises(StorageError, match="no room"):
        bench().do(study.ask(None))
    assert [row.state for row in study.rows()] == ["stopped", "waiting"]
    assert list((tmp_path / "trials").iterdir()) == []


class Ticket:
    """A trial of a study that thinks nothing of it."""

    number, is_lost = 0, False

    def __init__(self, **values):
        self.values, self.looks, self.ended = values, [], None

    def look(self, epoch, accuracy):
        self.looks.append(epoch)
        return True

    def end(self, state, seconds, accuracy, note):
        self.ended = (state, note)


def test_a_real_training_stops_too_and_a_real_divergence_is_told(bench):
    steps = []
    one = bench(recipe=replace(RECIPE, batch_size=4))
    one.on_progress = lambda number, now: steps.append(now.step)
    hopeless, wild = Ticket(), Ticket(head_learning_rate=8e15)
    assert one.do(hopeless) == "pruned"
    assert steps == list(range(1, 11))  # of 27: nine an epoch, and one after the look
    assert hopeless.looks == [1]
    assert one.do(wild) == "diverged"
    assert wild.ended[1].startswith("at step ")
