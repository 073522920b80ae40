"""reproduce: a finished run is trained again from its manifest, and both are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.numpy

from podium.api.again import differences, runtime_of
from podium.api.common import OnBatch, check_alone, open_for, split
from podium.api.sitting import sit, tolerated
from podium.api.teaching import teachers_of
from podium.data import Dataset
from podium.errors import RunError
from podium.evaluation import Predictions
from podium.evaluation.comparison import LEVEL, McNemar, common_hits, mcnemar
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Progress, check, new_manifest
from podium.training.setup import fingerprint_of
from podium.world import join

__all__ = ["Reproduction", "Verdict", "compare_with_original", "reproduce"]

Verdict = Literal["identical", "within noise", "different", "unknown"]


@dataclass(frozen=True)
class Reproduction:
    """What came of training a run again.

    Attributes:
        run: the new one.
        verdict: "identical": all weights and BN's statistics are the same bits. "within noise": the weights aren't, but
            McNemar's test finds no difference on the hold-out, as between networks that are equally good. "different":
            it finds one. "unknown": there is no hold-out to tell by.
        differences: what isn't as it was that decides the bits: processor, threads, versions, podium's commit.
        accuracies: of the original and of the new run, on the same hold-out; None without one.
        same_answers: part of the hold-out's images to which both give the same class; None without one.
        test: McNemar's, the original first; None without a hold-out.
    """

    run: Run
    verdict: Verdict
    differences: tuple[str, ...]
    accuracies: tuple[float, float] | None
    same_answers: float | None
    test: McNemar | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "run": str(self.run.path),
            "verdict": self.verdict,
            "differences": list(self.differences),
            "accuracies": None if self.accuracies is None else list(self.accuracies),
            "same_answers": self.same_answers,
            "p_value": None if self.test is None else self.test.p_value,
        }


def reproduce(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    out: str | Path | None = None,
    runtime: Runtime | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_note: Callable[[str], None] | None = None,
) -> Reproduction | None:
    """Trains a finished run again: same data, split, recipe, seed and steps; then says what came of it.

    A run that --minutes stretched or shortened on its way is repeated step by step, whatever time that takes.

    Args:
        run: the finished one.
        data: what it was trained on; None: the path in its manifest. Its fingerprint must be the same.
        out: the new run's folder; None: `runs/<time>-<recipe>`.
        runtime: device and precision; None: as the run had, where this machine has that.
        on_begin: as of `train`.
        on_progress: as of `train`.
        on_batch: as of `train`.
        should_stop: as of `train`.
        on_note: as of `train`.

    Returns:
        None if `should_stop` ended it: `resume` goes on with the new run.

    Raises:
        RunError: the run isn't finished or was imported, the data are others, or its first weights are gone;
            or torchrun started several processes.
        DataError, RecipeError, StorageError: as of `train`.
    """
    check_alone("reproduce")
    original = run if isinstance(run, Run) else Run.open(run)
    _check(original)
    folder = None if out is None else Path(out)
    if folder is not None:
        Run.check_new(folder)
    dataset = open_for(original, data)
    if dataset.fingerprint != original.manifest["data"]["fingerprint"]:
        raise RunError(
            f"{dataset.path} isn't what {original.path} was trained on (fingerprint {dataset.fingerprint}, not "
            f"{original.manifest['data']['fingerprint']}). Name the same data: --data DATA."
        )
    recipe, images, initial = original.recipe, dataset.train, _initial(original)
    parts = split(images, recipe)
    check(recipe, images, parts, initial)
    teachers_of(original, join())  # they must still be what they were
    runtime = runtime or runtime_of(original)
    manifest = new_manifest(dataset, recipe, parts, runtime, original.manifest["seed"], None, initial)
    manifest["reproduces"] = {"path": str(original.path.resolve()), "created": original.manifest.get("created")}
    manifest |= {key: original.manifest[key] for key in ("timetable", "teachers") if key in original.manifest}
    again = Run.create(folder, recipe, manifest)
    images = tolerated(again, images, original.manifest.get("on_bad_image", "stop"), on_note)
    sit(again, images, parts, runtime, on_begin, on_progress, on_batch, should_stop, 60.0)
    return compare_with_original(original, again, runtime) if again.is_finished else None


def compare_with_original(original: Run, again: Run, runtime: Runtime) -> Reproduction:
    """Two finished runs of the same recipe, data and seed. Raises RunError: a file is damaged."""
    changes = differences(original, runtime)
    commits = original.manifest.get("commit"), again.manifest.get("commit")
    if commits[0] != commits[1]:
        changes.append(f"podium's commit {commits[0]} → {commits[1]}")
    accuracies = same = test = None
    if original.hold_out_path.is_file() and again.hold_out_path.is_file():
        each = [Predictions.load(one.hold_out_path) for one in (original, again)]
        if (hits := common_hits(each)) is not None:
            test = mcnemar(*hits)
            accuracies = float(hits[0].mean()), float(hits[1].mean())
            same = float((each[0].guesses == each[1].guesses).mean())
    verdict: Verdict = "unknown"
    if _tensors(original) == _tensors(again):
        verdict = "identical"
    elif test is not None:
        verdict = "within noise" if test.p_value >= LEVEL else "different"
    return Reproduction(again, verdict, tuple(changes), accuracies, same, test)


def _check(run: Run) -> None:
    if run.is_imported:
        raise RunError(f"{run.label} was imported: how it was trained isn't known, so it can't be trained again.")
    if not run.is_finished:
        raise RunError(f"{run.label} isn't finished. Go on with it first: podium train --resume {run.label}")


def _initial(run: Run) -> Path | None:
    """The file of weights that the run began with. Raises RunError if it is gone or another one now."""
    if (init := run.manifest.get("init")) is None:
        return None
    path = Path(init["path"])
    if not path.is_file():
        raise RunError(f"{run.label} began with the weights {path}, which aren't there any more. Put them back.")
    if fingerprint_of(path) != init["sha256"]:
        raise RunError(f"{run.label} began with the weights {path}, which are others now. Put the old ones back.")
    return path


def _tensors(run: Run) -> dict[str, bytes]:
    """All of the model's tensors by name, with type and shape. Raises RunError."""
    try:
        found = safetensors.numpy.load_file(run.model_path)
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{run.model_path} can't be read: {error}.") from error
    return {name: f"{one.dtype} {one.shape} ".encode() + one.tobytes() for name, one in found.items()}
