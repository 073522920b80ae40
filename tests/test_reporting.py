"""report: from a run's folder to the page."""

import shutil

import numpy as np
import pytest

import podium
from podium.errors import DataError, RunError, StorageError
from podium.evaluation import find_label_issues

TINY = {"epochs": 1.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}


def shown(share, digits=2):
    return f"{100 * share:.{digits}f} %"


@pytest.fixture(scope="module")
def poor_run(tiny_competition, tmp_path_factory):
    """Hardly trained, so that it errs."""
    settings = TINY | {"epochs": 0.25, "learning_rate": 0.001, "hold_out": 0.5}
    run = podium.train(tiny_competition, "sprint_small", settings=settings, out=tmp_path_factory.mktemp("poor") / "run")
    assert run.manifest["hold_out"]["accuracy"] < 1
    return run


def test_the_page_has_the_figures_that_evaluate_gives(poor_run, tiny_competition, read_page, tmp_path):
    page = read_page(podium.report(poor_run, tmp_path / "page.html"))
    evaluation = podium.evaluate(poor_run, tiny_competition)
    assert f"{shown(evaluation.accuracy)} right, of 30 images that it wasn't trained on" in page.text
    assert f"{shown(evaluation.interval[0])} to {shown(evaluation.interval[1])}" in page.text
    assert f"{evaluation.calibration_error:.4f} expected" in page.text
    for result in evaluation.per_class:
        assert f"{result.name} {result.num_images} {shown(result.recall, 1)}" in page.text
    num_wrong = round(30 * (1 - evaluation.accuracy))
    assert sum(tag.get("alt", "").startswith("Image ") for tag in page.named("img")) >= num_wrong


def test_pictures_are_found_by_their_ids(poor_run, tiny_competition, read_page, tmp_path, monkeypatch):
    """Also where the hold-out's rows are others than when the predictions were kept."""
    images = podium.open(tiny_competition).train
    seen = {}

    def note(predictions, rows, guesses, fetch, heats=None):
        seen.update(zip(predictions.ids[rows].tolist(), fetch(rows), strict=True))
        return []

    monkeypatch.setattr("podium.delivery.report.gallery._tiles", note)
    copy = podium.Run.open(shutil.copytree(poor_run.path, tmp_path / "copy"))
    held = podium.Predictions.load(copy.hold_out_path)
    turned = podium.Predictions(held.ids[::-1], held.classes, held.logits[::-1].copy(), held.labels[::-1].copy())
    turned.save(copy.hold_out_path)
    podium.report(copy)
    assert len(seen) > 10
    for image_id, pixels in seen.items():
        assert np.array_equal(pixels, images.pixels[images.ids.tolist().index(image_id)])


def test_predictions_that_were_not_kept_are_made(poor_run, read_page, tmp_path):
    copy = podium.Run.open(shutil.copytree(poor_run.path, tmp_path / "copy"))
    before = read_page(podium.report(copy)).text
    copy.hold_out_path.unlink()
    assert read_page(podium.report(copy)).text == before


def test_without_its_data_the_page_goes_without_pictures(tiny_competition, read_page, tmp_path):
    data = shutil.copytree(tiny_competition, tmp_path / "data")
    run = podium.train(data, "sprint_small", settings=TINY, out=tmp_path / "run")
    shutil.rmtree(data)
    page = read_page(podium.report(run))
    assert "isn't at" in page.text
    assert shown(run.manifest["hold_out"]["accuracy"]) in page.text
    assert not page.named("img")
    with pytest.raises(DataError):
        podium.report(run, data=data)  # named, so it must be there


def test_without_a_hold_out_nothing_is_measured(tiny_competition, read_page, tmp_path):
    run = podium.train(tiny_competition, "sprint_small", settings=TINY | {"hold_out": 0}, out=tmp_path / "run")
    assert "No figures of accuracy" in read_page(podium.report(run)).text
    with pytest.raises(RunError, match="every labelled image"):
        podium.report(run, on="hold-out")


def test_runs_with_other_hold_outs_widen_the_search_for_wrong_labels(poor_run, tiny_competition, read_page, tmp_path):
    settings = poor_run.recipe.to_dict() | {"hold_out_seed": 1}
    del settings["name"]
    other = podium.train(tiny_competition, podium.Recipe(**settings), out=tmp_path / "other")
    ids = [set(podium.Predictions.load(run.hold_out_path).ids.tolist()) for run in (poor_run, other)]
    assert ids[0] != ids[1]
    text = read_page(podium.report(poor_run, tmp_path / "page.html", also=[other])).text
    num_all = len(ids[0] | ids[1])
    assert f"{num_all} labels were looked through: hold-outs of tiny" in text
    alone = podium.Predictions.load(poor_run.hold_out_path)
    num_issues = len(find_label_issues(alone.probabilities, alone.labels))
    text = read_page(podium.report(poor_run, tmp_path / "page.html")).text
    assert (
        f"30 labels were looked through: hold-out of tiny, whose other 30 labels the network trained on. {num_issues} "
        in text
    )


def test_runs_on_other_data_can_not_join(poor_run, tmp_path):
    other = podium.Run.open(shutil.copytree(poor_run.path, tmp_path / "other"))
    other.manifest["data"]["fingerprint"] = "another"
    with pytest.raises(RunError, match="other data"):
        podium.report(poor_run, tmp_path / "page.html", also=[other])
    assert not (tmp_path / "page.html").exists()


def test_what_can_not_be_written_or_isnt_finished_is_said(poor_run, tmp_path):
    with pytest.raises(StorageError, match="doesn't exist"):
        podium.report(poor_run, tmp_path / "no" / "page.html")
    copy = podium.Run.open(shutil.copytree(poor_run.path, tmp_path / "copy"))
    copy.model_path.unlink()
    with pytest.raises(RunError, match="not finished"):
        podium.report(copy)
