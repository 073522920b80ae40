"""The study: trials that several workers share, each done by one, and by another if that one is lost."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium.errors import StudyError
from podium.files import storage_errors
from podium.tuning.rows import Row, State, Task
from podium.tuning.space import Space, Value, settings_of
from podium.tuning.storage import open_storage, shown, study_errors
from podium.tuning.workers import Worker

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

__all__ = ["MOST_ATTEMPTS", "Study", "Ticket", "check_folder"]

MOST_ATTEMPTS = 3
"""At a trial whose worker was lost: it may be the trial that kills them."""
_TASK_SECONDS = 20.0  # for whoever made the study to say what it is of
_LEAST_FOR_IMPORTANCE = 10  # finished trials


class Ticket:
    """A trial that this worker is to do.

    Attributes:
        number: from 0.
        values: what the recipe gets.
        is_lost: whether another worker took it for lost, so that nothing that is told of it counts.
    """

    def __init__(self, study: Study, trial: Trial, values: dict[str, Value]) -> None:
        self.number, self.values, self.is_lost = trial.number, values, False
        self._study, self._trial = study, trial

    def look(self, epoch: int, accuracy: float) -> bool:
        """Tells the accuracy after an epoch. Returns whether the trial isn't worth going on with. Raises StudyError."""
        with self._unless_lost():
            self._trial.report(accuracy, epoch)
            return self._trial.should_prune()
        return True

    def beat(self, number: int) -> None:
        """Shows the others that somebody works on it."""
        self._trial.set_user_attr("beat", number)

    def end(self, state: State, seconds: float, accuracy: float | None = None, note: str = "") -> None:
        """Tells what became of it; one that was stopped waits to be gone on with. Raises StudyError."""
        with self._unless_lost():
            self._trial.set_user_attr("seconds", round(seconds, 2))
            frozen = self._study.frozen(self.number)
            if frozen.state.is_finished():
                self.is_lost = True
            else:
                self._study.close_trial(frozen, state, accuracy, note)

    @contextmanager
    def _unless_lost(self) -> Iterator[None]:
        from optuna.exceptions import UpdateFinishedTrialError  # noqa: PLC0415  # an extra

        try:
            with self._study.errors():
                yield
        except StudyError as error:
            if not isinstance(error.__cause__, UpdateFinishedTrialError):
                raise
            self.is_lost = True


class Study:
    """A study that this worker takes part in.

    Args:
        folder: of the study; another machine's may be another one, if the storage is shared.
        task: what it is of.
        space: what is varied in its trials.
        own: the recipe's own values of these, the first trial.
        url: of the storage; None: the journal in the folder.
        num_looks: at the validation images, in a trial.

    Raises:
        StorageError: the folder can't be written to.
        StudyError: the storage can't be used, or holds a study of another task.
    """

    def __init__(
        self, folder: Path, task: Task, space: Space, own: Mapping[str, Value], url: str | None, num_looks: int
    ) -> None:
        from podium.tuning.sampler import NumberedSampler, distributions_of, new_pruner  # noqa: PLC0415  # of an extra

        self.folder, self.task, self.space = folder, task, space
        self._where = str(folder) if url is None else shown(url)
        check_folder(folder)
        self.worker = Worker(folder)
        try:
            self._storage = open_storage(url, folder / "journal.log")
            with self.errors():
                self._study = self._joined(
                    "podium" if url is None else folder.resolve().name,
                    NumberedSampler(task.seed),
                    new_pruner(task.pruner, num_looks),
                    own,
                )
                kept = self._kept_task()
        except BaseException:
            self.worker.close()
            for made in (folder / "workers", folder):  # if that is all there is
                with suppress(OSError):
                    made.rmdir()
            raise
        if kept != asdict(task):
            self.worker.close()
            raise StudyError(
                f"{self._where} holds a study of {_differing(kept, asdict(task))}.\n"
                "Start it with the same words as before to go on, or choose another --out."
            )
        self._distributions = distributions_of(space)

    def close(self) -> None:
        """Leaves it."""
        self.worker.close()

    def errors(self) -> AbstractContextManager[None]:
        """What the storage raises becomes a StudyError."""
        return study_errors(self._where)

    # ---- trials

    def ask(self, most: int | None) -> Ticket | None:
        """A trial to do; None if there is none, of `most` in all, that isn't done or under way. Raises StudyError."""
        self.reap()
        with self.errors():
            if most is not None and _num_taken(self._study.get_trials(deepcopy=False)) >= most:
                return None
            trial = self._study.ask(self._distributions)
            for name, value in self.worker.attributes.items():
                trial.set_user_attr(name, value)
            before = self._study.get_trials(deepcopy=False)[: trial.number]
            if most is not None and _num_taken(before) >= most:  # another worker was quicker
                self.close_trial(self.frozen(trial.number), "surplus", None, "")
                return None
            return Ticket(self, trial, settings_of(self.space, trial.params))

    def reap(self) -> None:
        """Gives the trials of workers that are gone to others. Raises StudyError."""
        from optuna.exceptions import UpdateFinishedTrialError  # noqa: PLC0415  # an extra

        with self.errors():
            for trial in self._study.get_trials(deepcopy=False):
                if trial.state.name != "RUNNING" or not self.worker.is_gone(trial.number, trial.user_attrs):
                    continue
                with suppress(UpdateFinishedTrialError, ValueError):  # another one was quicker
                    self.close_trial(trial, "lost", None, f"its worker on {trial.user_attrs.get('host', '?')} is gone")
                shutil.rmtree(self.folder / "trials" / str(trial.number), ignore_errors=True)
                self.worker.bury(str(trial.user_attrs.get("worker", "")))

    def close_trial(self, trial: FrozenTrial, state: State, accuracy: float | None, note: str) -> None:
        """Marks a trial that is under way as over; one that is lost or stopped is put up again."""
        from optuna.trial import TrialState  # noqa: PLC0415  # an extra

        self._storage.set_trial_user_attr(trial._trial_id, "state", state)
        self._storage.set_trial_user_attr(trial._trial_id, "note", note)
        if state == "finished":
            self._study.tell(trial.number, accuracy)
        elif state in ("pruned", "diverged", "impossible"):
            self._study.tell(trial.number, state=TrialState.PRUNED)
        else:
            self._study.tell(trial.number, state=TrialState.FAIL)
            attempt = trial.user_attrs.get("attempt", 1) + (state == "lost")
            if state != "surplus" and trial.params and attempt <= MOST_ATTEMPTS:
                kept = {"attempt": attempt, "own": trial.user_attrs.get("own", False)}
                self._study.enqueue_trial(trial.params, user_attrs=kept)

    def frozen(self, number: int) -> FrozenTrial:
        """The trial of that number, as it is kept."""
        return self._study.get_trials(deepcopy=False)[number]

    # ---- what is known

    def rows(self) -> list[Row]:
        """All trials, as they stand. Raises StudyError."""
        with self.errors():
            trials = self._study.get_trials(deepcopy=False)
            return [self._row(trial) for trial in trials if trial.user_attrs.get("state") != "surplus"]

    def importances(self) -> dict[str, float]:
        """What part of the differences in accuracy each key explains, the largest first; empty if too little is known.

        PED-ANOVA, arXiv 2304.10255.
        """
        import optuna  # noqa: PLC0415  # an extra

        if sum(row.state == "finished" for row in self.rows()) < _LEAST_FOR_IMPORTANCE:
            return {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = optuna.importance.get_param_importances(
                    self._study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
                )
        except (ValueError, RuntimeError):  # all of them alike
            return {}
        return {key: float(part) for key, part in found.items()}

    def _row(self, trial: FrozenTrial) -> Row:
        marks = trial.user_attrs
        states: dict[str, State] = {"COMPLETE": "finished", "RUNNING": "running", "WAITING": "waiting"}
        otherwise: State = "pruned" if trial.state.name == "PRUNED" else "lost"
        state = states.get(trial.state.name) or marks.get("state", otherwise)
        return Row(
            number=trial.number,
            state=state,
            values=settings_of(self.space, {key: trial.params[key] for key in self.space if key in trial.params}),
            curve=tuple(sorted(trial.intermediate_values.items())),
            seconds=marks.get("seconds"),
            note=str(marks.get("note", "")),
            is_own=bool(marks.get("own", False)),
        )

    # ---- beginning

    def _joined(self, name: str, sampler: BaseSampler, pruner: BasePruner, own: Mapping[str, Value]) -> OptunaStudy:
        """The study of that name; whoever makes it says what it is of, and puts up the recipe itself as first trial."""
        import optuna  # noqa: PLC0415  # an extra

        try:
            study = optuna.create_study(
                storage=self._storage, study_name=name, direction="maximize", sampler=sampler, pruner=pruner
            )
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(storage=self._storage, study_name=name, sampler=sampler, pruner=pruner)
            end = time.monotonic() + _TASK_SECONDS
            while "task" not in study.user_attrs and time.monotonic() < end:
                time.sleep(0.1)
            if "task" in study.user_attrs:
                return study
        if own and all(own[key] in axis for key, axis in self.space.items()):
            study.enqueue_trial(dict(own), user_attrs={"own": True}, skip_if_exists=True)
        study.set_user_attr("task", asdict(self.task))
        return study

    def _kept_task(self) -> dict[str, Any]:
        kept = self._study.user_attrs.get("task")
        if not isinstance(kept, dict):
            raise ValueError("it is another program's study")
        return kept


def check_folder(folder: Path) -> None:
    """Raises StudyError if there is something else in the folder, StorageError if that can't be known."""
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder} is a file. Choose another --out for the study's folder.")
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and not names & {"workers", "journal.log", "search.toml"}:
        raise StudyError(f"{folder} exists already, and there is no study in it. Choose another --out.")


def _num_taken(trials: Sequence[FrozenTrial]) -> int:
    """Those that are done or under way."""
    return sum(trial.state.name in ("RUNNING", "COMPLETE", "PRUNED") for trial in trials)


def _differing(kept: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What a kept study has otherwise, in words."""
    words = {"data": "other data", "recipe": "another recipe", "space": "another search space"}
    names = [key for key in ours if kept.get(key) != ours[key]]
    return " and ".join(words.get(name, f"another {name.replace('_', ' ')} ({kept.get(name)})") for name in names)
