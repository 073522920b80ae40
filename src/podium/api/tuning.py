"""tune: trials of a recipe with other values become a better recipe."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from podium import tuning
from podium.api.common import open, split
from podium.data import Dataset
from podium.delivery.study import StudyFacts, write_study
from podium.errors import StudyError
from podium.files import write_atomically
from podium.recipe import Recipe, default_recipe, load_recipe, search_text
from podium.runtime import Runtime, prepare
from podium.training import Progress, check
from podium.tuning import Row, Space, Study, Task
from podium.world import join

__all__ = ["Tuned", "check_tunable", "tune"]

PRUNERS = ("median", "hyperband", "none")
_POLL_SECONDS = 0.5  # between two looks at what other workers do
_SPARE_SECONDS = 2.0  # of the minutes, for the page


@dataclass(frozen=True)
class Tuned:
    """What a study has come to.

    Attributes:
        folder: of the study.
        epochs: of a trial.
        num_judged: images that trials are judged on.
        rows: all trials.
        best: of the finished ones; None: there is none yet.
        recipe: the best one's, at the recipe's own number of epochs; None as `best`.
        changes: what it has otherwise than the recipe that it began with, a line each.
        winner: the file with that recipe; None as `best`.
        page: the page of plots; None as `best`.
    """

    folder: Path
    epochs: float
    num_judged: int
    rows: tuple[Row, ...]
    best: Row | None
    recipe: Recipe | None
    changes: tuple[str, ...]
    winner: Path | None
    page: Path | None

    @property
    def num_done(self) -> int:
        """Trials that came to an end that counts."""
        return tuning.num_done(self.rows)

    @property
    def own_accuracy(self) -> float | None:
        """Of the recipe that it began with; None: it wasn't tried, or didn't come to its end."""
        return tuning.own_accuracy(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "study": str(self.folder),
            "winner": None if self.winner is None else str(self.winner),
            "page": None if self.page is None else str(self.page),
            "best": None if self.best is None else self.best.number,
            "accuracy": None if self.best is None else self.best.accuracy,
            "own_accuracy": self.own_accuracy,
            "epochs": self.epochs,
            "num_judged": self.num_judged,
            "changes": list(self.changes),
            "trials": [{**asdict(row), "accuracy": row.accuracy} for row in self.rows],
        }


def check_tunable(trials: int | None, minutes: float | None, pruner: str = "median", validation: float = 0.1) -> None:
    """Raises StudyError unless tuning can begin: its package is there, and the arguments make sense."""
    tuning.check_installed()
    if trials is None and minutes is None:
        raise StudyError("How long? Give --trials, --minutes, or both: --trials 50, or --minutes 60.")
    if (trials is not None and trials < 1) or (minutes is not None and not (minutes > 0 and math.isfinite(minutes))):
        raise StudyError("--trials and --minutes must be above 0.")
    if pruner not in PRUNERS:
        raise StudyError(f"--pruner {pruner} can't be: it takes {', '.join(PRUNERS)}.")
    if not 0 < validation < 1:
        raise StudyError(f"--validation {validation:g} can't be: it is a part, above 0 and below 1.")


def tune(
    data: Dataset | str | Path,
    recipe: Recipe | str | Path | None = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    settings: Mapping[str, object] | None = None,
    search: str | Path | None = None,
    epochs: float | None = None,
    pruner: str = "median",
    validation: float = 0.1,
    validation_seed: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
    storage: str | None = None,
    runtime: Runtime | None = None,
    on_begin: Callable[[Study, int], None] | None = None,
    on_trial: Callable[[Row, int], None] | None = None,
    on_progress: Callable[[int, Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tuned:
    """Searches for better values of a recipe's keys, and writes the best as a recipe file.

    Started again with the same folder it goes on; several at once share the trials. No trial sees the recipe's
    hold-out: they are judged on a part of the other images.

    Args:
        data: what `open` gives, or what it takes.
        recipe: a Recipe, a shipped one's name, or a TOML file's path; None: as `train`.
        trials: that the study is to have in all, over all workers and sittings.
        minutes: that this call may take; no trial is begun that would take longer.
        settings: keys of the recipe to set anew.
        search: the file that declares the search space; None: R.search.toml beside a recipe R.toml, or else what
            `podium.tuning.default_space` derives.
        epochs: of a trial; None: a quarter of the recipe's, 2 at least.
        pruner: "median", "hyperband" or "none": when a trial isn't worth going on with.
        validation: part of the images without the hold-out that trials are judged on.
        validation_seed: which of them.
        seed: of every trial's weights and order, and of the draws.
        out: the study's folder; None: studies/<recipe>.
        storage: URL of a database or gRPC proxy (grpc://host:port) for the trials; None: a journal in the folder.
        runtime: device and precision; None: the best there is.
        on_begin: called with the study, and the number of its trials that are done.
        on_trial: called with each trial that this worker did, and the number of those that are done.
        on_progress: called with the trial's number after each step.
        should_stop: asked after each step; True puts the trial back.

    Raises:
        DataError, RecipeError, StorageError: as their names say.
        StudyError: optuna is missing, the search space is wrong, the folder holds another study, or the storage can't
            be reached.
    """
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes - _SPARE_SECONDS
    check_tunable(trials, minutes, pruner, validation)
    if join().size > 1:
        raise StudyError("podium tune isn't for torchrun: start it several times with the same --out instead.")
    dataset = data if isinstance(data, Dataset) else open(data)
    images = dataset.train
    named = recipe
    if not isinstance(recipe, Recipe):
        recipe = default_recipe(len(images), min(images.size)) if recipe is None else load_recipe(recipe)
        named = recipe.name if named is None else named
    recipe = recipe.with_settings(settings or {})
    epochs = _epochs(recipe, epochs)
    space = tuning.narrowed(_space(recipe, named, search), is_whole=epochs >= recipe.epochs)
    if not space:
        raise StudyError(f"Every key is for trials as long as the recipe only: give --epochs {recipe.epochs:g}.")
    parts = tuning.validation_parts(images, split(images, recipe)[0], validation, validation_seed)
    runtime = runtime or prepare(recipe.precision)
    check(tuning.trial_recipe(recipe, epochs), images, parts, None, runtime.world)
    task = Task(
        data=dataset.fingerprint,
        recipe=recipe.to_toml(),
        space=tuning.space_to_toml(space),
        epochs=epochs,
        validation=validation,
        validation_seed=validation_seed,
        pruner=pruner,
        seed=operator.index(seed),
    )
    folder = Path("studies") / recipe.name if out is None else Path(out)
    own = {key: getattr(recipe, key) for key in space}
    study = Study(folder, task, space, own, storage, tuning.num_looks(epochs))
    try:
        _declare(folder, recipe, space)
        bench = tuning.Bench(
            dataset=dataset,
            recipe=recipe,
            parts=parts,
            epochs=epochs,
            seed=task.seed,
            runtime=runtime,
            folder=folder / "trials",
            should_stop=lambda: should_stop() or time.monotonic() >= end,
            on_progress=on_progress or (lambda *_: None),
        )
        result = _Result(study, recipe, dataset.name, len(parts[1]))
        if on_begin is not None:
            on_begin(study, tuning.num_done(study.rows()))
        _work(study, bench, result, trials, end, on_trial)
        return result.written()
    finally:
        with suppress(OSError):
            (folder / "trials").rmdir()
        study.close()


def _work(
    study: Study,
    bench: tuning.Bench,
    result: _Result,
    trials: int | None,
    end: float,
    on_trial: Callable[[Row, int], None] | None,
) -> None:
    """Does trials until there are enough, those of others included, the time is over, or it is stopped."""
    while not bench.should_stop():
        rows = study.rows()
        if trials is not None and tuning.num_done(rows) >= trials:
            return
        taken = [row.seconds for row in rows if row.state == "finished" and row.seconds is not None]
        if taken and time.monotonic() + median(taken) > end:
            return
        ticket = study.ask(trials)
        if ticket is None:
            time.sleep(_POLL_SECONDS)
            continue
        with study.worker.beating(ticket.beat):
            bench.do(ticket)
        rows = study.rows()
        row = next(row for row in rows if row.number == ticket.number)
        result.note(row)
        if on_trial is not None:
            on_trial(row, tuning.num_done(rows))


class _Result:
    """The study's winner and page, as files."""

    def __init__(self, study: Study, recipe: Recipe, data: str, num_judged: int) -> None:
        self._study, self._recipe = study, recipe
        self._judged = (num_judged, study.task.epochs, data)

    def note(self, row: Row) -> None:
        """Writes the winner anew if a trial is the best so far: a kill must not cost it."""
        rows = self._study.rows()
        if (best := tuning.best_of(rows)) is not None and best.number == row.number:
            tuning.write_winner(self._study.folder / "winner.toml", self._recipe, rows, best, self._judged)

    def written(self) -> Tuned:
        """Writes winner and page, if there is something to write."""
        study, (num_judged, epochs, data) = self._study, self._judged
        rows = study.rows()
        best = tuning.best_of(rows)
        winner = page = recipe = None
        changes: list[str] = []
        if best is not None:
            winner, page = study.folder / "winner.toml", study.folder / "study.html"
            recipe = tuning.write_winner(winner, self._recipe, rows, best, self._judged)
            changes = tuning.changes(self._recipe, best)
            facts = StudyFacts(
                recipe=self._recipe,
                data=data,
                task=study.task,
                space=study.space,
                rows=tuple(rows),
                best=best,
                num_judged=num_judged,
                importances=study.importances(),
                winner=winner.read_text(encoding="utf-8"),
            )
            write_study(page, facts)
        return Tuned(study.folder, epochs, num_judged, tuple(rows), best, recipe, tuple(changes), winner, page)


def _epochs(recipe: Recipe, epochs: float | None) -> float:
    """Of a trial."""
    if epochs is None:
        return max(min(recipe.epochs, 2.0), float(round(recipe.epochs / 4)))
    if not 0 < epochs <= recipe.epochs:
        raise StudyError(
            f"Trials of {epochs:g} epochs can't be: it takes more than 0, at most the recipe's own {recipe.epochs:g}."
        )
    return float(epochs)


def _space(recipe: Recipe, named: Recipe | str | Path | None, search: str | Path | None) -> Space:
    """What is varied: as a file says, or what lies beside the recipe, or as the recipe's own fields suggest."""
    if search is not None:
        try:
            return tuning.parse_space(Path(search).read_text(encoding="utf-8"), str(search), recipe)
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{search} can't be read as a search space: {error}.") from None
    beside = None if named is None or isinstance(named, Recipe) else search_text(named)
    return tuning.default_space(recipe) if beside is None else tuning.parse_space(*beside, recipe)


def _declare(folder: Path, recipe: Recipe, space: Space) -> None:
    """Says in the study's folder what is tuned, and what is varied: a file to begin one's own from."""
    for name, text in (("recipe.toml", recipe.to_toml()), ("search.toml", tuning.space_to_toml(space))):
        if not (folder / name).is_file():
            write_atomically(folder / name, text)
