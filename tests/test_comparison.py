"""compare and leaderboard: runs side by side."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import podium
from podium.errors import RunError


@pytest.fixture
def made(tiny_run, tmp_path):
    """Makes a run like another, with these hits on its hold-out; its recipe and seed as said."""

    def make(name, hits, seed=0, ids=None, fingerprint=None, **settings):
        path = shutil.copytree(tiny_run.path, tmp_path / "runs" / name)
        run = podium.Run.open(path)
        (path / "recipe.toml").write_text(replace(run.recipe, **settings).to_toml())
        hits = np.array(hits, bool)
        labels = np.arange(len(hits)) % 3
        logits = np.eye(3, dtype=np.float32)[np.where(hits, labels, (labels + 1) % 3)]
        ids = np.array(ids or [f"i{n}" for n in range(len(hits))])
        podium.Predictions(ids, ("blue", "green", "red"), logits, labels).save(run.hold_out_path)
        manifest = run.manifest | {"seed": seed, "train_seconds": 60.0 * (seed + 1)}
        manifest["hold_out"] = {"accuracy": hits.mean(), "interval": [0.1, 0.9], "num_images": len(hits), "tta": "none"}
        if fingerprint:
            manifest["data"] = manifest["data"] | {"fingerprint": fingerprint}
        (path / "manifest.json").write_text(json.dumps(manifest))
        return podium.Run.open(path)

    return make


def hits(num_right, num_all=100, start=0):
    return [(number - start) % num_all < num_right for number in range(num_all)]


def test_two_networks_on_the_same_images(made):
    first, second = made("a", hits(90)), made("b", hits(80), learning_rate=0.5)
    found = podium.compare([first, second])
    assert [run.accuracy for run in found.runs] == [0.9, 0.8]
    assert [run.group for run in found.runs] == ["A", "B"]
    (pair,) = found.run_pairs
    assert (pair.test.only_first, pair.test.only_second, pair.test.num_images) == (10, 0, 100)
    assert pair.test.p_value == pair.adjusted_p_value == pytest.approx(2 / 2**10)
    assert list(found.recipe) == ["learning_rate"]
    assert found.recipe["learning_rate"] == (first.recipe.learning_rate, 0.5)
    (groups,) = found.group_pairs
    assert groups.test.p_value is None  # a seed each says nothing of seeds
    assert groups.is_same_images
    assert groups.images_interval == pytest.approx((0.1 - 0.0588, 0.1 + 0.0588), abs=1e-3)


def test_seeds_of_two_recipes(made):
    good = [made(f"a{seed}", hits(num), seed) for seed, num in enumerate((90, 92, 91))]
    bad = [made(f"b{seed}", hits(num), seed, learning_rate=0.5) for seed, num in enumerate((85, 84, 88))]
    found = podium.compare([*good, *bad])
    assert [run.group for run in found.runs] == list("AAABBB")
    assert [group.spread.mean for group in found.groups] == pytest.approx([0.91, 0.85667], abs=1e-4)
    (pair,) = found.group_pairs
    assert pair.test.p_value == pytest.approx(stats.ttest_ind([90, 92, 91], [85, 84, 88], equal_var=False).pvalue)
    assert len(found.run_pairs) == 15
    assert all(one.adjusted_p_value >= one.test.p_value for one in found.run_pairs)
    assert json.loads(json.dumps(found.to_dict()))["groups"][0]["spread"]["num_runs"] == 3


def test_only_images_that_both_held_out_are_paired(made):
    first = made("a", [1, 1, 0, 0], ids=["1", "2", "3", "4"])
    second = made("b", [1, 1, 1, 0], ids=["5", "8", "3", "6"], hold_out_seed=1)
    found = podium.compare([first, second])
    assert found.run_pairs[0].test.num_images == 1
    assert found.run_pairs[0].test.only_second == 1
    assert not found.group_pairs[0].is_same_images


def test_equal_ids_of_other_data_are_no_pair(made):
    found = podium.compare([made("a", hits(90)), made("b", hits(80), fingerprint="another")])
    assert found.run_pairs[0].test is None
    assert found.group_pairs[0].images_interval is None
    assert found.manifest["data.fingerprint"][1] == "another"


def test_on_named_data_all_runs_see_the_same(tiny_run, tiny_competition, tmp_path):
    copy = podium.Run.open(shutil.copytree(tiny_run.path, tmp_path / "copy"))
    copy.hold_out_path.unlink()
    assert podium.compare([tiny_run, copy]).runs[1].accuracy == 1.0  # made anew
    other = shutil.copytree(tiny_competition, tmp_path / "other")
    rows = (other / "trainLabels.csv").read_text().splitlines()
    (other / "trainLabels.csv").write_text("\n".join([*rows[:-1], "60,green"]) + "\n")
    found = podium.compare([tiny_run, copy], other)
    assert [run.num_images for run in found.runs] == [60, 60]
    assert "other data" in found.runs[0].what
    assert found.run_pairs[0].test.p_value == 1.0


def test_what_can_not_be_compared(made, tiny_run, tmp_path):
    first = made("a", hits(90))
    with pytest.raises(RunError, match="two runs"):
        podium.compare([first])
    with pytest.raises(RunError, match="twice"):
        podium.compare([first, first.path])
    other = made("b", hits(90))
    other.manifest["data"]["classes"] = ["x", "y", "z"]
    with pytest.raises(RunError, match="different classes"):
        podium.compare([first, other])
    whole = made("c", hits(90), hold_out=0.0)
    whole.hold_out_path.unlink()
    with pytest.raises(RunError, match="--data"):
        podium.compare([first, whole])


def test_the_leaderboard_looks_into_folders_and_not_into_runs(made, tmp_path):
    made("good", hits(90))
    made("deep/er/best", hits(95), seed=3)
    made("good/within", hits(99))
    made(".hidden", hits(99))
    made("a/b/c/toodeep", hits(99))
    unmeasured = made("unmeasured", hits(99))
    del unmeasured.manifest["hold_out"]
    unmeasured.write_manifest()
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "manifest.json").write_text("{")
    found = podium.leaderboard(tmp_path / "runs")
    assert [row.run.removeprefix(f"{tmp_path}/runs/") for row in found[:2]] == ["deep/er/best", "good"]
    assert {row.run.rpartition("/")[2]: row.state for row in found[2:]} == {
        "unmeasured": "finished",
        "damaged": "damaged",
    }
    best = found[0]
    assert (best.accuracy, best.interval, best.seed, best.train_minutes) == (0.95, (0.1, 0.9), 3, 4.0)
    assert (best.recipe, best.data) == ("sprint_small", "tiny")
    assert "thread" in best.machine
