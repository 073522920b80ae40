"""What a report says in figures: curves, classes, confusion, calibration, recipe, manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from podium.delivery.rates import Rates
from podium.delivery.report.charts import Line, calibration_chart, line_chart, percent
from podium.errors import RunError
from podium.evaluation import Evaluation, Predictions, calibration_bins
from podium.evaluation.metrics import ClassResult
from podium.recipe import Recipe
from podium.run import Run

__all__ = [
    "Chart",
    "Pair",
    "calibration",
    "class_rows",
    "confused_pairs",
    "confusion_rows",
    "curves",
    "findings",
    "manifest_rows",
    "settings",
]

MOST_MATRIX_CLASSES = 25
"""With more the confusion matrix would be too wide to read, and the most confused pairs say more."""
_WITH_MATRIX, _WITHOUT_MATRIX = 10, 50  # pairs shown
_STRONG = 0.05  # of a class's images: taken for one other class, always a strong colour
_LONGEST_VALUE = 2000  # characters


@dataclass(frozen=True)
class Chart:
    """A chart with its heading, its lines' names in their order, and what must be known to read it."""

    heading: str
    names: tuple[str, ...]
    svg: Markup
    about: str


@dataclass(frozen=True)
class Pair:
    """Images of one class that were taken for another: how many, and what part of theirs."""

    right: str
    guess: str
    count: int
    share: float


# ---- learning


def curves(run: Run) -> list[Chart]:
    """Accuracy, loss, learning rate and speed, as far as the run knows them. Raises RunError."""
    try:
        return _curves(run, run.metrics())
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.metrics_path} is damaged: {error!r}. Take it out; the report does without.") from error


def _curves(run: Run, lines: list[dict[str, Any]]) -> list[Chart]:
    trained = [line for line in lines if line["kind"] == "epoch"]
    if len(trained) < 4:  # then what is between says more
        trained = [line for line in lines if line["kind"] in ("step", "epoch")]
    found = []
    if trained:
        epochs = {line["step"]: line["epoch"] for line in lines if "epoch" in line}
        held = [(epochs[line["step"]], line["accuracy"]) for line in lines if line["kind"] == "hold-out"]
        found.append(_accuracy_chart([(line["epoch"], line["accuracy"]) for line in trained], held))
        about = "Mean over the epoch so far, of the images as they are shown: augmented, with the recipe's targets."
        losses = [(line["epoch"], line["loss"]) for line in trained]
        found.append(_chart("Loss", [Line("training", losses)], about, "{:.3g}".format))
    if rates := _learning_rates(run):
        about = "Computed from the recipe's schedule."
        if run.recipe.optimizer == "muon":
            about += " Of the filters; biases and head have rates of their own, which fall alike."
        found.append(_chart("Learning rate", [Line("learning rate", rates)], about, "{:.2g}".format, True))
    if speeds := _speeds(run, trained):
        about = "Training only, without the looks at the hold-out."
        found.append(_chart("Images a second", [Line("images a second", speeds)], about, "{:,.0f}".format, True))
    return found


def _accuracy_chart(trained: list[tuple[float, float]], held: list[tuple[float, float]]) -> Chart:
    lines = [Line("training", trained), *([Line("hold-out", held)] if held else [])]
    about = "Training: of augmented images, while the network still learns, so it may lie below the hold-out."
    return _chart("Accuracy", lines, about, percent)


def _chart(heading: str, lines: list[Line], about: str, form: Callable[[float], str], from_zero: bool = False) -> Chart:
    names = tuple(line.name for line in lines)
    ends = "; ".join(f"{line.name} ends at {form(line.points[-1][1])}" for line in lines)
    said = f"{heading} over epochs: {ends}."
    svg = line_chart(lines, title=heading, about=said, x_label="epoch", form=form, from_zero=from_zero)
    return Chart(heading, names, svg, about)


def _learning_rates(run: Run) -> list[tuple[float, float]]:
    """(epoch, rate) as the recipe's schedule gives them; none of an imported run."""
    if (rates := Rates.of(run)) is None:
        return []
    steps = sorted({round(step) for step in np.linspace(0, rates.timetable.num_steps - 1, 240)})
    return [(rates.timetable.epoch_of(step), rates.at(step)) for step in steps]


def _speeds(run: Run, trained: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """(epoch, images a second) between one line of the metrics and the next."""
    size = min(run.recipe.batch_size, run.manifest["split"]["num_train"] or run.recipe.batch_size)
    found = []
    for before, line in pairwise(trained):
        seconds = line["train_seconds"] - before["train_seconds"]
        if seconds > 0:
            found.append((line["epoch"], (line["step"] - before["step"]) * size / seconds))
    return found


# ---- how good it is


def findings(evaluation: Evaluation, predictions: Predictions) -> list[str]:
    """What stands out, a sentence each."""
    found = []
    known = [(one.recall, one.name) for one in evaluation.per_class if one.recall is not None]
    if known and evaluation.accuracy < 1:
        (least, worst), (most, best) = min(known), max(known)
        found.append(f"Finds {best} best ({100 * most:.1f}\u202f%), {worst} least ({100 * least:.1f}\u202f%).")
    if pairs := confused_pairs(evaluation):
        if pairs[0].count == 1:
            found.append("Takes no class for the same other one more than once.")
        else:
            found.append(f"Most often takes {pairs[0].right} for {pairs[0].guess}: {pairs[0].count:,} times.")
    gap = float(predictions.probabilities.max(1).mean()) - evaluation.accuracy
    if abs(gap) < 0.01:
        found.append("Its confidence is, on average, what its accuracy is.")
    else:
        way = "high" if gap > 0 else "low"
        found.append(f"Its confidence is, on average, {100 * abs(gap):.1f} points too {way}.")
    return found


def calibration(predictions: Predictions, recipe: Recipe) -> Chart:
    """The calibration curve."""
    assert predictions.labels is not None
    bins = calibration_bins(predictions.probabilities, predictions.labels)
    said = "; ".join(f"at confidence {one.confidence:.0%} right {one.accuracy:.0%}" for one in bins)
    svg = calibration_chart(bins, len(predictions), title="Calibration", about=f"{said}.")
    about = (
        "How often it is right, by how sure it is, with 95 % intervals: on the dashed line both agree; above it the "
        "network is better than it believes. Below: how many images there are of each confidence."
    )
    if recipe.label_smoothing or recipe.mixup or recipe.cutmix:
        about += (
            " The recipe's soft targets (label smoothing, mixup, cutmix) teach it to be less sure than it is right."
        )
    return Chart("Calibration", (), svg, about)


def class_rows(evaluation: Evaluation) -> list[tuple[ClassResult, str | None]]:
    """Each class, the least found first, and what it is most often taken for."""
    confusion = np.array(evaluation.confusion)
    np.fill_diagonal(confusion, 0)
    names = [one.name for one in evaluation.per_class]
    taken = [names[row.argmax()] if row.any() else None for row in confusion]
    rows = list(zip(evaluation.per_class, taken, strict=True))
    return sorted(rows, key=lambda row: 2.0 if row[0].recall is None else row[0].recall)


def confusion_rows(evaluation: Evaluation) -> list[tuple[str, list[tuple[int, str, float]]]] | None:
    """A row a class: for each guess how many, whether a hit or a miss, and how strongly to colour it, in [0, 1].

    None if there are too many classes for a table.
    """
    confusion = np.array(evaluation.confusion, np.float64)
    if len(confusion) > MOST_MATRIX_CLASSES:
        return None
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    off = shares.copy()
    np.fill_diagonal(off, 0)
    highest = max(off.max(), _STRONG)  # so that a single mistake among many images isn't glaring
    found = []
    for i, result in enumerate(evaluation.per_class):
        cells = []
        for j, count in enumerate(evaluation.confusion[i]):
            strength = shares[i, j] * 0.55 if i == j else 0.7 * off[i, j] / highest
            cells.append((count, "hit" if i == j else "miss", round(float(strength), 3)))
        found.append((result.name, cells))
    return found


def confused_pairs(evaluation: Evaluation) -> list[Pair]:
    """The classes most often taken for another, the most often first; more of them where there is no matrix."""
    confusion = np.array(evaluation.confusion)
    sizes = confusion.sum(1)
    np.fill_diagonal(confusion, 0)
    most = _WITH_MATRIX if len(confusion) <= MOST_MATRIX_CLASSES else _WITHOUT_MATRIX
    names = [one.name for one in evaluation.per_class]
    found = []
    for place in np.argsort(-confusion, axis=None, kind="stable")[:most].tolist():
        i, j = divmod(place, len(names))
        if confusion[i, j]:
            found.append(Pair(names[i], names[j], int(confusion[i, j]), float(confusion[i, j] / sizes[i])))
    return found


# ---- how it was made


def settings(recipe: Recipe) -> list[tuple[str, str]]:
    """The keys that a recipe sets otherwise than plain SGD has them."""
    plain = Recipe().to_dict()
    own = recipe.to_dict()
    names = [field.name for field in fields(Recipe) if field.name != "name"]
    return [(name, _written(own[name])) for name in names if own[name] != plain[name] or name == "model"]


def manifest_rows(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys, those within others behind a dot, and values as text. Long values are cut."""
    found: list[tuple[str, str]] = []
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            found += [(f"{key}.{inner}", text) for inner, text in manifest_rows(value)]
        else:
            found.append((str(key), _written(value)))
    return found


def _written(value: object) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} …"
