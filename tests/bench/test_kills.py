"""The kills in small; and that a scene notices what it is there for."""

import os

import kills
import pytest
from killing.scenes import Opening, Submission
from killing.victim import killed_after, killed_at_change, lived


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))


SIZES = {
    "training": {"num_images": 60, "epochs": 1.0},
    "opening": {"num_images": 1500, "kind": "zip"},
    "submission": {"num_test": 20},
}


@pytest.mark.parametrize("name", list(kills.SCENES))
def test_a_few_kills_do_no_harm(name, monkeypatch):
    figures = kills.run([name], 2, 2, 0, **SIZES)[name]
    assert figures["failures"] == 0, figures["failures_in_words"]
    assert figures["kills_at_moments"] == 2
    assert figures["kills_at_changes"] >= 1


def test_a_victim_tells_how_it_died(tmp_path):
    def writes():
        for name in "abc":
            (tmp_path / name).write_text("x")

    death = lived(writes, tmp_path)
    assert (death.was_killed, death.num_changes, death.error) == (False, 3, "")
    (tmp_path / "c").unlink()
    assert killed_at_change(writes, tmp_path, 3).was_killed
    assert not (tmp_path / "c").exists()
    assert killed_after(lambda: os.read(os.pipe()[0], 1), tmp_path, 0.05).was_killed
    assert "ZeroDivisionError" in lived(lambda: 1 // 0, tmp_path).error


def test_a_half_written_submission_is_noticed(tmp_path):
    scene = Submission(tmp_path, 4)
    scene._new = "id,label\n1,red\n"
    scene.begin_anew()
    scene._path.write_text("id,lab")
    scene.check(killed_after(lambda: os.read(os.pipe()[0], 1), tmp_path, 0.0))
    assert scene.failures == ["submission.csv is neither the former nor the new one: 'id,lab'"]


def test_other_images_and_leftovers_are_noticed(tmp_path):
    scene = Opening(tmp_path, 20, "zip")
    scene.learn()
    scene._expected = "others"
    (scene.watched / "packs" / ".x.half").mkdir(parents=True)
    scene.check(killed_after(lambda: os.read(os.pipe()[0], 1), tmp_path, 0.0))
    assert scene.failures[0] == "other images after a kill than without"
    assert scene.failures[1].startswith("left in the cache: ['packs/.x.half'")
