"""Several processes train as one would."""

import pytest
from processes import answers

import podium
from podium.recipe import load_recipe

# 48 images, 3 steps an epoch; small steps, so that rounding stays rounding
CALM = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2, "learning_rate": 0.01}
NEAR = 2e-5


def train(num, data, out, recipe="sprint_small", stop_at=0, **settings):
    heard = answers(num, "train", str(data), str(out), recipe, {**CALM, **settings}, stop_at)
    assert [answer.status for answer in heard] == [0] * num, heard
    assert len({answer.value["weights"] for answer in heard}) == 1
    return [answer.value for answer in heard]


def one(data, out, recipe="sprint_small", **settings):
    run = podium.train(data, load_recipe(recipe).with_settings({**CALM, **settings}), out=out)
    return [line["loss"] for line in run.metrics() if line["kind"] == "epoch"]


TRICKS = {
    "plain": {},
    "last batch, in parts": {"batch_size": 20, "last_batch": "keep", "accumulate": 3},
    "skipping, mixing": {"skip_learned": 0.3, "skip_between": [0.3, 1.0], "mixup": 0.5, "epochs": 3, "batch_size": 8},
    "uphill, averaged": {"sam_radius": 0.05, "average": "ema", "clip_norm": 1.0},
}


@pytest.mark.parametrize("trick", TRICKS)
def test_the_losses_are_those_of_one_process(tiny_competition, tmp_path, trick):
    settings = TRICKS[trick]
    alone = one(tiny_competition, tmp_path / "one", **settings)
    first, other = train(2, tiny_competition, tmp_path / "two", **settings)
    assert first["epochs"] == pytest.approx(alone, rel=NEAR)
    # the first writes, alone
    assert [first["writes"], other["writes"]] == [True, False]
    assert {"recipe.toml", "manifest.json", "metrics.jsonl", "model.safetensors"} <= set(first["files"])
    assert first["manifest"]["hold_out"]["accuracy"] == other["manifest"]["hold_out"]["accuracy"]
    assert first["manifest"]["hardware"]["num_processes"] == 2


def test_a_batch_smaller_than_the_number_of_processes(tiny_competition, tmp_path):
    settings = {"batch_size": 23, "last_batch": "keep", "epochs": 1.0}  # 48 = 23 + 23 + 2
    alone = one(tiny_competition, tmp_path / "one", **settings)
    heard = train(3, tiny_competition, tmp_path / "three", **settings)
    assert heard[0]["epochs"] == pytest.approx(alone, rel=NEAR)


def test_without_synced_norms_the_losses_differ(tiny_competition, tmp_path):
    alone = one(tiny_competition, tmp_path / "one")
    heard = train(2, tiny_competition, tmp_path / "two", sync_norm=False)
    assert heard[0]["epochs"] != pytest.approx(alone, rel=10 * NEAR)
    assert heard[0]["epochs"] == pytest.approx(alone, rel=0.2)


def test_stopped_and_resumed_gives_the_same_bits(tiny_competition, tmp_path):
    whole = train(2, tiny_competition, tmp_path / "whole")
    again = train(2, tiny_competition, tmp_path / "again", stop_at=4)
    assert again[0]["weights"] == whole[0]["weights"]
    assert again[0]["manifest"]["resumed"][0]["differences"] == []


def test_what_two_began_one_goes_on_with_and_says_so(tiny_competition, tmp_path):
    alone = one(tiny_competition, tmp_path / "one")
    out = tmp_path / "run"
    heard = answers(2, "train", str(tiny_competition), str(out), "sprint_small", CALM, 4, False)
    assert [answer.status for answer in heard] == [0, 0], heard
    run = podium.resume(out)
    assert "num_processes 2 → 1" in run.manifest["resumed"][0]["differences"]
    assert [line["loss"] for line in run.metrics() if line["kind"] == "epoch"] == pytest.approx(alone, rel=NEAR)
