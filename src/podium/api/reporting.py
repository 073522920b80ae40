"""report: a run becomes a page to read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.api.common import OnBatch, check_writable, open_for, opened, split
from podium.api.results import On, predict_sets, sets_to_measure
from podium.data import Dataset, Images
from podium.delivery.report import Fetch, Looked, Measured, write_report
from podium.errors import DataError, RunError
from podium.evaluation import Predictions, evaluate_predictions, pooled
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime
from podium.world import ALONE

__all__ = ["report"]


def report(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    data: Dataset | str | Path | None = None,
    on: On | None = None,
    also: Sequence[Run | str | Path] = (),
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
) -> Path:
    """Writes one HTML file that opens from disk: curves, accuracy, confusion, calibration, pictures, recipe, manifest.

    Args:
        run: a finished run.
        path: the file to write; None: report.html in the run's folder, of weights that ship
            `report-<name>.html` here.
        data: what `open` gives or takes; None: what the run was trained on. If that is gone, the page goes without
            pictures.
        on: which images to measure on, as of `evaluate`. None: the hold-out where the data are the run's own, and
            nothing if it has none; of other data as of `evaluate`.
        also: runs on the same data with other hold-outs. What they say of theirs widens the search for wrong labels.
        runtime: device and precision, should predictions be missing; None: the best there is.
        on_batch: called after each batch of these.

    Returns:
        The file.

    Raises:
        DataError: the data named can't be read, or have no evaluation set but were asked for it.
        RunError: a run isn't finished, is damaged, or doesn't fit the data.
        StorageError: the file can't be written.
    """
    run = opened(run, ALONE)
    others = [opened(other, ALONE) for other in also]
    classifier = Classifier.load(run.model_path)
    if path is None:
        path = Path(f"report-{run.path.name}.html") if run.is_builtin else run.path / "report.html"
    path = Path(path)
    check_writable(path)
    notes: list[str] = []
    dataset = _dataset(run, data, notes, needs_it=on is not None)
    source = _Source(run, dataset, runtime, on_batch, notes)
    measured = source.measured(on)
    looked = source.looked(others, measured)
    write_report(run, path, classifier, measured, looked, notes)
    return path


def _dataset(run: Run, data: Dataset | str | Path | None, notes: list[str], *, needs_it: bool) -> Dataset | None:
    """The data; None, with a note, where nobody named them and they are gone or others by now."""
    if data is not None or needs_it:
        return open_for(run, data)
    if run.is_imported or run.is_builtin:
        return None
    where = run.manifest["data"]["path"]
    try:
        dataset = open_for(run)
        if dataset.fingerprint == run.manifest["data"]["fingerprint"]:
            return dataset
    except DataError:
        pass
    notes.append(f"What it was trained on isn't at {where} any more, so there are no pictures. Name it with --data.")
    return None


class _Source:
    """Predictions of a run and the images they are of, found or made."""

    def __init__(
        self, run: Run, dataset: Dataset | None, runtime: Runtime | None, on_batch: OnBatch | None, notes: list[str]
    ) -> None:
        self._run, self._dataset, self._notes = run, dataset, notes
        self._runtime, self._on_batch = runtime, on_batch
        self._is_own = dataset is None or dataset.fingerprint == run.manifest["data"]["fingerprint"]

    def measured(self, on: On | None) -> Measured | None:
        """What the figures are of; None if nothing is there to measure on."""
        if self._is_own and on in (None, "hold-out") and (held := self._hold_out()) is not None:
            what = f"hold-out of {self._run.manifest['data']['name']}"
            return self._as_measured(held, what, self._fetch(held), is_unseen=True)
        if self._dataset is None:
            return None
        if on is None and self._is_own:
            return None  # an evaluation set that nobody asked for stays unseen
        sets, what = sets_to_measure(self._run, self._dataset, on)
        predictions = predict_sets(self._run, self._dataset, sets, self._runtime, self._on_batch)
        return self._as_measured(predictions, what, partial(_rows_of, sets), is_unseen=self._is_own)

    def looked(self, others: Sequence[Run], measured: Measured | None) -> Looked | None:
        """The labels to look through: of all hold-outs that are known, else of what was measured."""
        held = self._hold_out() if self._is_own else None
        for other in others:
            if other.manifest["data"]["fingerprint"] != self._run.manifest["data"]["fingerprint"] or not self._is_own:
                raise RunError(f"{other.path} was trained on other data than {self._run.path}: leave it out of --also.")
        more = [Predictions.load(other.hold_out_path) for other in others]
        if held is None and not more:
            if measured is None:
                return None
            return Looked(
                measured.predictions, measured.evaluation.what, measured.fetch, measured.is_unseen, is_part=False
            )
        together = pooled([*([held] if held is not None else []), *more])
        name = self._run.manifest["data"]["name"]
        whose = "hold-outs of" if more else "hold-out of"
        num_all = self._run.manifest["data"].get("num_images") or 0
        what = f"{whose} {name}"
        if len(together) < num_all:
            what += f", whose other {num_all - len(together):,} labels the network{'s'[: bool(more)]} trained on"
        return Looked(together, what, self._fetch(together), is_unseen=True, is_part=len(together) < num_all)

    def _hold_out(self) -> Predictions | None:
        """What the run kept, or else says now, of its hold-out; None if it has none or its images are gone."""
        if self._run.hold_out_path.is_file():
            return Predictions.load(self._run.hold_out_path)
        if self._dataset is None or self._run.recipe.hold_out == 0:
            return None
        held = self._dataset.train.subset(split(self._dataset.train, self._run.recipe)[1])
        return predict_sets(self._run, self._dataset, [held], self._runtime, self._on_batch)

    def _fetch(self, predictions: Predictions) -> Fetch | None:
        """The pictures of some training images, found by their ids."""
        if self._dataset is None:
            return None
        images = self._dataset.train
        order = np.argsort(images.ids)
        places = np.searchsorted(images.ids, predictions.ids, sorter=order)
        rows = order[np.minimum(places, len(images) - 1)]
        if not np.array_equal(images.ids[rows], predictions.ids):
            self._notes.append(
                "The images that the run held out aren't in its data any more, so there are no pictures."
            )
            return None
        return lambda some: images.pixels[rows[some]]

    def _as_measured(self, predictions: Predictions, what: str, fetch: Fetch | None, *, is_unseen: bool) -> Measured:
        evaluation = evaluate_predictions(predictions, what, self._run.recipe.tta)
        return Measured(predictions, evaluation, fetch, is_unseen)


def _rows_of(sets: list[Images], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Images by their place in several sets, one after the other; all of one size."""
    starts = np.cumsum([0, *map(len, sets)])
    which = np.searchsorted(starts, rows, side="right") - 1
    return np.stack([sets[number].pixels[row - starts[number]] for number, row in zip(which, rows, strict=True)])
