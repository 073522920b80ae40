"""Predictions → submission.csv, checked before anything is written."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data import SampleSubmission
from podium.errors import DataError
from podium.evaluation import Predictions
from podium.files import write_atomically

__all__ = ["class_counts", "write_submission"]


def write_submission(predictions: Predictions, sample: SampleSubmission | None, path: Path) -> None:
    """Writes one row an image, id and class, in the sample submission's order.

    Args:
        predictions: of the test images.
        sample: the form that the competition asks for; None: columns id and label, in the predictions' order.
        path: the CSV to write; written whole or not at all.

    Raises:
        DataError: an id of the form has no prediction, one is there twice, or a prediction has no row.
        StorageError: the disk is full or not writable.
    """
    columns = sample.columns if sample is not None else ("id", "label")
    ids = sample.ids if sample is not None else predictions.ids
    places = _places(predictions.ids, ids, str(sample.path) if sample is not None else "the test set")
    names = np.array(predictions.classes)[predictions.guesses[places]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(ids.tolist(), names.tolist(), strict=True))
    write_atomically(path, text.getvalue())


def class_counts(predictions: Predictions) -> dict[str, int]:
    """How many images were taken for each class."""
    counts = np.bincount(predictions.guesses, minlength=len(predictions.classes))
    return dict(zip(predictions.classes, counts.tolist(), strict=True))


def _places(there: npt.NDArray[np.str_], wanted: npt.NDArray[np.str_], where: str) -> npt.NDArray[np.int64]:
    """For each wanted id its place in `there`; both must hold the same ids, once each."""
    for ids, what in ((there, "the predictions"), (wanted, where)):
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) != len(ids):
            raise DataError(f"Id '{unique[counts > 1][0]}' is in {what} twice; every image has one row.")
    order = np.argsort(there)
    found = np.searchsorted(there, wanted, sorter=order)
    places = order[np.minimum(found, len(there) - 1)]
    missing = wanted[there[places] != wanted]
    if len(missing):
        raise DataError(
            f"{where} asks for id '{missing[0]}', of which there is no test image ({len(missing):,} such ids)."
        )
    if len(wanted) != len(there):
        extra = np.setdiff1d(there, wanted)
        raise DataError(f"Test image '{extra[0]}' has no row in {where} ({len(extra):,} such images).")
    return np.asarray(places)
