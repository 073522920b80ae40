"""The study: trials shared by workers, none done twice, none lost."""

import pytest
from trials import study_of

from podium.errors import StudyError
from podium.recipe import Recipe, load_recipe
from podium.tuning import Study, best_of, check_folder
from podium.tuning.sampler import NumberedSampler, new_pruner
from podium.tuning.study import MOST_ATTEMPTS

RECIPE = Recipe(learning_rate=0.1)


@pytest.fixture
def two(tmp_path):
    """Two workers of one study."""
    both = study_of(tmp_path, RECIPE), study_of(tmp_path, RECIPE)
    yield both
    for one in both:
        one.close()


def states(study: Study) -> list[str]:
    return [row.state for row in study.rows()]


def die(study: Study) -> None:
    """What is left of a worker that was killed."""
    study.worker._lock.release()


def test_the_recipe_itself_is_the_first_trial_and_only_once(two):
    one, other = two
    first, second = one.ask(None), other.ask(None)
    assert first.values == {"learning_rate": 0.1}
    assert second.values != {"learning_rate": 0.1}
    assert [row.is_own for row in one.rows()] == [True, False]


def test_a_recipe_outside_of_its_space_is_no_trial(tmp_path):
    study = study_of(tmp_path, Recipe(learning_rate=5.0))
    assert study.ask(None).values["learning_rate"] <= 1.0
    assert [row.is_own for row in study.rows()] == [False]
    study.close()


def test_workers_never_draw_alike_and_a_seed_draws_the_same_again(tmp_path):
    def drawn(folder, seed):
        one, other = study_of(folder, RECIPE, seed=seed), study_of(folder, RECIPE, seed=seed)
        found = [study.ask(None).values["learning_rate"] for study in (one, other, one, other, one)]
        one.close()
        other.close()
        return found

    first = drawn(tmp_path / "a", 0)
    assert len(set(first)) == 5
    assert drawn(tmp_path / "b", 0) == first
    assert drawn(tmp_path / "c", 1)[1:] != first[1:]


def test_there_are_as_many_trials_as_were_asked_for(two):
    one, other = two
    tickets = [one.ask(3), other.ask(3), one.ask(3)]
    assert other.ask(3) is None
    for ticket in tickets:
        ticket.end("finished", 1.0, 0.5)
    assert one.ask(3) is None
    assert one.ask(4) is not None  # more of them were wanted later


def test_of_two_that_ask_at_once_one_is_turned_away(two, monkeypatch):
    one, other = two
    told = one._study.ask

    def late(distributions):
        ticket = other.ask(1)  # it comes between the count and the trial
        assert ticket is not None
        return told(distributions)

    monkeypatch.setattr(one._study, "ask", late)
    assert one.ask(1) is None
    assert states(other) == ["running"]


def test_a_killed_workers_trial_is_failed_and_done_by_another(two):
    one, other = two
    one.ask(None).end("finished", 1.0, 0.5)
    lost = one.ask(None)
    lost.look(1, 0.3)
    other.ask(None)
    assert states(other) == ["finished", "running", "running"]
    die(one)
    again = other.ask(None)
    assert again.values == lost.values
    assert states(other) == ["finished", "lost", "running", "running"]
    assert "is gone" in other.rows()[1].note
    assert other.ask(None).values != lost.values  # once is enough


def test_what_a_worker_says_of_a_trial_that_was_given_away_does_not_count(two):
    one, other = two
    ticket = one.ask(None)
    one.worker._lock.release()
    other.reap()
    assert ticket.look(1, 0.9)
    assert ticket.is_lost
    ticket.end("finished", 1.0, 0.9)
    assert states(other) == ["lost", "waiting"]


def test_one_that_hears_of_it_only_at_its_end(two):
    one, other = two
    ticket = one.ask(None)
    one.worker._lock.release()
    other.reap()
    ticket.end("finished", 1.0, 0.9)
    assert ticket.is_lost
    assert best_of(other.rows()) is None


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path):
    seen = []
    for _ in range(MOST_ATTEMPTS + 1):
        study = study_of(tmp_path, RECIPE)
        seen.append(study.ask(None).values["learning_rate"])
        die(study)
    assert seen[:MOST_ATTEMPTS] == [0.1] * MOST_ATTEMPTS
    assert seen[MOST_ATTEMPTS] != 0.1


def test_a_stopped_trial_waits_and_counts_as_no_attempt(tmp_path):
    study = study_of(tmp_path, RECIPE)
    for _ in range(MOST_ATTEMPTS + 2):
        ticket = study.ask(1)
        assert ticket.values == {"learning_rate": 0.1}
        ticket.end("stopped", 1.0)
    assert states(study) == ["stopped"] * (MOST_ATTEMPTS + 2) + ["waiting"]
    assert study.rows()[-1].is_own is True
    study.close()


def test_a_study_of_something_else_is_said(tmp_path):
    study_of(tmp_path, RECIPE).close()
    with pytest.raises(StudyError, match=r"another recipe and another epochs \(3.0\)"):
        study_of(tmp_path, Recipe(learning_rate=0.2), epochs=2.0)
    with pytest.raises(StudyError, match="another search space"):
        study_of(tmp_path, RECIPE, space="weight_decay")
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, tiny_run):
    check_folder(tmp_path / "new")
    check_folder(tmp_path)
    with pytest.raises(StudyError, match="no study in it"):
        check_folder(tiny_run.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="is a file"):
        check_folder(tmp_path / "file")


def test_what_became_of_each_trial_is_kept(tmp_path):
    study = study_of(tmp_path, RECIPE)
    for state, note in (("finished", ""), ("pruned", ""), ("diverged", "at step 3"), ("impossible", "too large")):
        ticket = study.ask(None)
        if state != "impossible":
            ticket.look(1, 0.25)
        ticket.end(state, 1.234, 0.25 if state == "finished" else None, note)
    study.close()
    rows = study_of(tmp_path, RECIPE).rows()
    assert [(row.state, row.note) for row in rows] == [
        ("finished", ""),
        ("pruned", ""),
        ("diverged", "at step 3"),
        ("impossible", "too large"),
    ]
    assert rows[0].curve == ((1, 0.25),)
    assert [row.accuracy for row in rows] == [0.25, None, None, None]
    assert rows[0].seconds == 1.23


def test_what_mattered_is_said_once_enough_is_known(tmp_path):
    study = study_of(tmp_path, RECIPE)
    assert study.importances() == {}
    for number in range(12):
        ticket = study.ask(None)
        ticket.end("finished", 1.0, 0.9 - abs(ticket.values["learning_rate"] - 0.01) + number * 1e-4)
    assert study.importances() == {"learning_rate": pytest.approx(1.0)}
    study.close()


def test_the_search_finds_what_is_better(tmp_path):
    study = study_of(tmp_path, RECIPE)
    for _ in range(30):
        ticket = study.ask(None)
        accuracy = 1 - abs(ticket.values["learning_rate"] - 0.01)
        ticket.look(1, accuracy)
        ticket.end("finished", 1.0, accuracy)
    best = best_of(study.rows())
    assert 0.005 < best.values["learning_rate"] < 0.02
    study.close()


def test_the_median_and_hyperband_end_what_lies_behind(tmp_path):
    for name in ("median", "hyperband"):
        study = study_of(tmp_path / name, RECIPE, pruner=name)
        for _ in range(9):
            ticket = study.ask(None)
            ticket.look(1, 0.8)
            ticket.look(2, 0.85)
            ticket.end("finished", 1.0, 0.9)
        ticket = study.ask(None)
        assert ticket.look(1, 0.2), name
        assert not study.ask(None).look(1, 0.95), name
        study.close()
    assert type(new_pruner("none", 3)).__name__ == "NopPruner"


def test_a_shipped_recipe_has_a_study(tmp_path):
    study = study_of(tmp_path, load_recipe("sprint"))
    assert isinstance(study._study.sampler, NumberedSampler)
    study.close()
