"""compare: several runs side by side, and whether their differences are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from podium.api.common import OnBatch, open_for, opened, split
from podium.api.compared import ComparedRun, Comparison, Group, GroupPair, RunPair
from podium.api.results import predict_sets, sets_to_measure
from podium.data import Dataset
from podium.errors import RunError
from podium.evaluation import Evaluation, Predictions, evaluate_predictions
from podium.evaluation.comparison import (
    McNemar,
    SeedTest,
    common_hits,
    holm,
    images_interval,
    mcnemar,
    seed_test,
    spread,
)
from podium.files import sha256_of
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime
from podium.world import ALONE

__all__ = ["compare"]


def compare(
    runs: Sequence[Run | str | Path],
    data: Dataset | str | Path | None = None,
    *,
    runtime: Runtime | None = None,
    on_batch: OnBatch | None = None,
) -> Comparison:
    """Compares finished runs.

    Args:
        runs: two or more.
        data: what `open` gives or takes, to measure all runs on, as `evaluate` does. None: each on its own hold-out,
            with the predictions that it kept, and runs with the same hold-out image by image.
        runtime: device and precision, for predictions that aren't kept.
        on_batch: called after each batch of these.

    Raises:
        DataError: the data can't be read.
        RunError: fewer than two runs, one is named twice, isn't finished, knows other classes or has no hold-out.
    """
    known = [opened(run, ALONE) for run in runs]
    if len(known) < 2:
        raise RunError("Compare what? Name two runs or more; `podium runs` lists those there are.")
    places = [run.path.resolve() for run in known]
    if len(set(places)) < len(places):
        raise RunError(f"{next(p for p in places if places.count(p) > 1)} is named twice; a run equals itself.")
    for run in known:
        Classifier.load(run.model_path)
    classes = known[0].manifest["data"]["classes"]
    for run in known[1:]:
        if sorted(run.manifest["data"]["classes"]) != sorted(classes):
            raise RunError(f"{known[0].path} and {run.label} know different classes, so they can't be compared.")
    measured = [_measure(run, data, runtime, on_batch) for run in known]
    letters = _letters(known)
    compared = tuple(map(_compared, known, letters, [evaluation for _, evaluation in measured]))
    predictions = [one for one, _ in measured]
    sources = [run.manifest["data"]["fingerprint"] if data is None else None for run in known]
    names = [run.path for run in compared]
    return Comparison(
        runs=compared,
        recipe=_differences([run.recipe.to_dict() for run in known]),
        manifest=_differences([_flat(run.manifest) for run in known]),
        groups=_groups(compared),
        run_pairs=_run_pairs(names, sources, predictions),
        group_pairs=_group_pairs(compared, sources, predictions),
    )


def _measure(
    run: Run, data: Dataset | str | Path | None, runtime: Runtime | None, on_batch: OnBatch | None
) -> tuple[Predictions, Evaluation]:
    """Predictions with labels, and what they are worth."""
    what = f"hold-out of {run.manifest['data']['name']}"
    if data is None and run.hold_out_path.is_file():
        predictions = Predictions.load(run.hold_out_path)
    elif data is None and not run.is_imported and run.recipe.hold_out == 0:
        raise RunError(
            f"{run.label} held nothing out, so there is nothing to compare it on.\n"
            "Name data that it wasn't trained on: podium compare RUN… --data DATA."
        )
    else:
        dataset = open_for(run, data)
        if data is None:
            sets = [dataset.train.subset(split(dataset.train, run.recipe)[1])]
        else:
            sets, what = sets_to_measure(run, dataset, None)
        predictions = predict_sets(run, dataset, sets, runtime, on_batch)
    return predictions, evaluate_predictions(predictions, what, run.recipe.tta)


def _compared(run: Run, letter: str, evaluation: Evaluation) -> ComparedRun:
    seconds = run.manifest.get("train_seconds")
    return ComparedRun(
        path=str(run.path),
        recipe=run.recipe.name,
        seed=run.manifest["seed"],
        group=letter,
        what=evaluation.what,
        num_images=evaluation.num_images,
        accuracy=evaluation.accuracy,
        interval=evaluation.interval,
        cross_entropy=evaluation.cross_entropy,
        calibration_error=evaluation.calibration_error,
        train_minutes=None if seconds is None else seconds / 60,
    )


# ---- what differs


def _differences(each: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The keys whose values aren't the same everywhere."""
    keys = list(dict.fromkeys(key for one in each for key in one))
    found = {key: tuple(one.get(key) for one in each) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _flat(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What it began from and ran on: not when, where to, with what seed and what result."""
    parts = ("init", "imported", "data", "split", "hardware", "versions", "commit")
    found: dict[str, Any] = {}
    for part in parts:
        value = manifest.get(part)
        if isinstance(value, Mapping):
            found |= {f"{part}.{key}": inner for key, inner in value.items()}
        else:
            found[part] = value
    found["data.classes"] = sorted(manifest["data"]["classes"])
    return found


def _letters(runs: list[Run]) -> list[str]:
    """A letter for each run, the same for runs whose data, recipes and initial weights are the same."""
    seen: list[Any] = []
    found = []
    for run in runs:
        recipe = {key: value for key, value in run.recipe.to_dict().items() if key != "name"}
        data, init = run.manifest["data"]["fingerprint"], run.manifest.get("init")
        weights = sha256_of(run.model_path) if run.is_imported else None  # it has no seed
        key = (recipe, data, None if init is None else init.get("sha256"), weights)
        if key not in seen:
            seen.append(key)
        found.append(_letter(seen.index(key)))
    return found


def _letter(number: int) -> str:
    """A to Z, then AA, AB and so on."""
    return (_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


# ---- image by image, and seed by seed


def _run_pairs(names: list[str], sources: list[Any], predictions: list[Predictions]) -> tuple[RunPair, ...]:
    """McNemar's test of each two runs; ids of different data may be the same by chance, and aren't taken together."""
    tests: list[tuple[str, str, McNemar | None]] = []
    for i, j in combinations(range(len(names)), 2):
        both = common_hits([predictions[i], predictions[j]]) if sources[i] == sources[j] else None
        tests.append((names[i], names[j], None if both is None else mcnemar(*both)))
    adjusted = _adjusted([test for *_, test in tests])
    return tuple(RunPair(*pair, value) for pair, value in zip(tests, adjusted, strict=True))


def _groups(runs: tuple[ComparedRun, ...]) -> tuple[Group, ...]:
    members: dict[str, list[ComparedRun]] = {}
    for run in runs:
        members.setdefault(run.group, []).append(run)
    return tuple(
        Group(letter, tuple(run.path for run in some), spread([run.accuracy for run in some]))
        for letter, some in members.items()
    )


def _group_pairs(
    runs: tuple[ComparedRun, ...], sources: list[Any], predictions: list[Predictions]
) -> tuple[GroupPair, ...]:
    letters = list(dict.fromkeys(run.group for run in runs))
    members = {letter: [i for i, run in enumerate(runs) if run.group == letter] for letter in letters}
    pairs = list(combinations(letters, 2))
    tests = [seed_test(*([runs[i].accuracy for i in members[letter]] for letter in pair)) for pair in pairs]
    found = []
    for pair, test, value in zip(pairs, tests, _adjusted(tests), strict=True):
        first, second = (members[letter] for letter in pair)
        is_one = len({sources[i] for i in (*first, *second)}) == 1
        hits = common_hits([predictions[i] for i in (*first, *second)]) if is_one else None
        interval = None if hits is None else images_interval(hits[: len(first)], hits[len(first) :])
        is_same = is_one and len({tuple(sorted(predictions[i].ids)) for i in (*first, *second)}) == 1
        found.append(GroupPair(*pair, test, value, interval, is_same))
    return tuple(found)


def _adjusted(tests: Sequence[McNemar | SeedTest | None]) -> list[float | None]:
    """Holm's p-values of the tests that there are."""
    there = [None if test is None else test.p_value for test in tests]
    raised = iter(holm([value for value in there if value is not None]))
    return [None if value is None else next(raised) for value in there]
