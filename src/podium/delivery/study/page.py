"""A study's charts and tables, and the page that they become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from podium.delivery.pages import template
from podium.delivery.report.charts import Dot, scatter_chart
from podium.delivery.report.figures import Chart
from podium.files import write_atomically
from podium.recipe import Recipe
from podium.tuning.rows import Row, Task, num_done, own_accuracy
from podium.tuning.space import Axis, Space, Value

__all__ = ["StudyFacts", "write_study"]

MOST_ROWS = 1000
"""Of the table; the best come first."""
_WORDS = {
    "finished": "came to its end",
    "pruned": "stopped early",
    "diverged": "diverged",
    "impossible": "can't be trained",
    "lost": "its worker is gone",
    "stopped": "stopped, put up again",
    "running": "under way",
    "waiting": "waits",
}


@dataclass(frozen=True)
class StudyFacts:
    """What the page tells.

    Attributes:
        recipe: that was to be bettered.
        data: their name.
        task: what the study is of.
        space: what was varied.
        rows: all trials.
        best: of them.
        num_judged: images that trials are judged on.
        importances: what part of the differences each key explains; empty: not known.
        winner: the winning recipe's file.
    """

    recipe: Recipe
    data: str
    task: Task
    space: Space
    rows: tuple[Row, ...]
    best: Row
    num_judged: int
    importances: Mapping[str, float]
    winner: str


def write_study(path: Path, facts: StudyFacts) -> None:
    """Writes the page, whole or not at all. It fetches and executes nothing.

    Raises:
        StorageError: the file can't be written.
    """
    counts = Counter[str](row.state for row in facts.rows)
    values = {
        "facts": facts,
        "title": f"{facts.recipe.name} tuned on {facts.data}",
        "own": own_accuracy(facts.rows),
        "counts": [(_WORDS[state], counts[state]) for state in _WORDS if counts[state]],
        "num_done": num_done(facts.rows),
        "history": _history(facts),
        "slices": [_slice(facts, key, axis) for key, axis in facts.space.items()],
        "importances": sorted(facts.importances.items(), key=lambda item: -item[1]),
        "chosen": [
            (key, _plain(getattr(facts.recipe, key)), _plain(value), _span(facts.space[key]))
            for key, value in facts.best.values.items()
        ],
        "table": _table(facts),
        "seconds": sum(row.seconds or 0.0 for row in facts.rows),
    }
    write_atomically(path, template("study.html").render(values))


def _history(facts: StudyFacts) -> Chart:
    """Each trial's last accuracy, and the best until then."""
    highest, line = 0.0, []
    for row in facts.rows:
        if row.accuracy is not None:
            highest = max(highest, row.accuracy)
            line.append((float(row.number), highest))
    svg = scatter_chart(
        _dots(facts, lambda row: float(row.number)),
        title="Accuracy of each trial",
        about=f"The best of {len(facts.rows)} trials is number {facts.best.number}.",
        x_label="trial",
        form=_percent,
        line=line,
    )
    about = "Grey: trials that were stopped early, at their last look. The line: the best until then."
    return Chart("Trials", ("a trial", "the best until then"), svg, about)


def _slice(facts: StudyFacts, key: str, axis: Axis) -> Chart:
    """Accuracy over one key's values."""
    places: dict[Value, float] = {choice: float(number) for number, choice in enumerate(axis.choices)}

    def place(row: Row) -> float | None:
        value = row.values.get(key)
        if value is None:
            return None
        return places[value] if axis.choices else float(value)

    svg = scatter_chart(
        _dots(facts, place),
        title=f"Accuracy over {key}",
        about=f"The best trial has {key} = {_plain(facts.best.values[key])}.",
        x_label=f"{key}{' (log scale)' if axis.log else ''}",
        x_form="{:.3g}".format,
        form=_percent,
        log_x=axis.log,
        x_names=[str(choice) for choice in axis.choices],
    )
    return Chart(key, (), svg, f"The best: {_plain(facts.best.values[key])}.")


def _dots(facts: StudyFacts, place: Callable[[Row], float | None]) -> list[Dot]:
    found = []
    for row in facts.rows:
        if row.state not in ("finished", "pruned") or not row.curve or (x := place(row)) is None:
            continue
        epoch, accuracy = row.curve[-1]
        says = f"trial {row.number}: {accuracy:.2%} after epoch {epoch}"
        kind = 1 if row.number == facts.best.number else 0 if row.state == "finished" else 2
        found.append(Dot(x, accuracy, says, kind))
    return found


def _table(facts: StudyFacts) -> list[tuple[Row, str, float | None, list[str]]]:
    """Trials with their state in words, last accuracy and values, the best first."""
    rows = sorted(
        facts.rows, key=lambda row: (row.state != "finished", -(row.curve[-1][1] if row.curve else 0.0), row.number)
    )
    return [
        (
            row,
            f"{_WORDS[row.state]}{f': {row.note}' if row.note else ''}",
            row.curve[-1][1] if row.curve else None,
            [_plain(row.values[key]) if key in row.values else "–" for key in facts.space],
        )
        for row in rows[:MOST_ROWS]
    ]


def _span(axis: Axis) -> str:
    if axis.choices:
        return ", ".join(map(str, axis.choices))
    return f"{_plain(axis.low)} to {_plain(axis.high)}{', log scale' if axis.log else ''}"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.4g}\u202f%"
