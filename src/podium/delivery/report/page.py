"""All of a report's parts, and the page that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium.delivery.pages import template
from podium.delivery.report import figures, gallery
from podium.delivery.report.pictures import Fetch
from podium.evaluation import Evaluation, Predictions, calibration_bins, find_label_issues
from podium.files import write_atomically
from podium.models import Classifier
from podium.recipe import Recipe
from podium.run import Run

__all__ = ["Looked", "Measured", "write_report"]


@dataclass(frozen=True)
class Measured:
    """What the run was measured on.

    Attributes:
        predictions: with labels.
        evaluation: of them.
        fetch: their images, by rows; None where these aren't at hand.
        is_unseen: whether it is known that the run wasn't trained on them.
    """

    predictions: Predictions
    evaluation: Evaluation
    fetch: Fetch | None
    is_unseen: bool


@dataclass(frozen=True)
class Looked:
    """The labels that are looked through for wrong ones.

    Attributes:
        predictions: with labels, by networks that weren't trained on these images, as far as is known.
        what: which images, in words.
        fetch: as of `Measured`.
        is_unseen: as of `Measured`.
        is_part: whether they are a part of the training set, so that more runs would see more of it.
    """

    predictions: Predictions
    what: str
    fetch: Fetch | None
    is_unseen: bool
    is_part: bool


def write_report(
    run: Run,
    path: Path,
    classifier: Classifier,
    measured: Measured | None = None,
    looked: Looked | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes the page, whole or not at all. It is smaller than 6 MB, whatever the number of images and classes.

    Args:
        run: a finished run.
        path: the HTML file to write.
        classifier: the run's, on the processor, for the heat maps.
        measured: what the figures are of; None: there are none.
        looked: the labels to look through; None: not.
        notes: what the reader should know about how it was made, a sentence each.

    Raises:
        RunError: the run's metrics are damaged.
        StorageError: the file can't be written.
    """
    values: dict[str, Any] = {
        "run": run,
        "folder": run.path.resolve().name,
        "title": f"{run.recipe.name} on {run.manifest['data']['name'] or 'unknown data'}",
        "num_parameters": sum(one.numel() for one in classifier.network.parameters()),
        "image_size": classifier.preprocessing.image_size,
        "charts": figures.curves(run),
        "manifest": figures.manifest_rows(run.manifest),
        "settings": figures.settings(run.recipe),
        "toml": run.recipe.to_toml(),
        "notes": notes,
        "measured": None,
        "looked": None,
    }
    if measured is not None:
        values |= _of_measured(measured, run.recipe, classifier)
    if looked is not None:
        values |= _of_looked(looked)
    write_atomically(path, template("page.html").render(values))


def _of_measured(measured: Measured, recipe: Recipe, classifier: Classifier) -> dict[str, Any]:
    evaluation, predictions = measured.evaluation, measured.predictions
    assert predictions.labels is not None
    return {
        "measured": evaluation,
        "is_unseen": measured.is_unseen,
        "findings": figures.findings(evaluation, predictions),
        "calibration": figures.calibration(predictions, recipe),
        "bins": calibration_bins(predictions.probabilities, predictions.labels),
        "classes": figures.class_rows(evaluation),
        "confusion": figures.confusion_rows(evaluation),
        "pairs": figures.confused_pairs(evaluation),
        "mistakes": gallery.confident_mistakes(predictions, measured.fetch),
        "hits": gallery.unsure_hits(predictions, measured.fetch),
        "heats": gallery.heat_maps(predictions, measured.fetch, classifier),
    }


def _of_looked(looked: Looked) -> dict[str, Any]:
    assert looked.predictions.labels is not None
    issues = find_label_issues(looked.predictions.probabilities, looked.predictions.labels)
    return {"looked": looked, "issues": issues, "suspects": gallery.suspects(looked.predictions, issues, looked.fetch)}
