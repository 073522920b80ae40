"""Figures of many runs, and the table that shows them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["figures", "mean_and_error", "table"]


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and its standard error if there are two values at least."""
    mean = statistics.fmean(values)
    return mean, statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def figures(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one competitor's runs, each with accuracy and seconds."""
    accuracies, seconds = [run["accuracy"] for run in runs], [run["seconds"] for run in runs]
    mean, error = mean_and_error(accuracies)
    return {
        "n": len(runs),
        "accuracy_mean": round(mean, 6),
        "accuracy_error": None if error is None else round(error, 6),
        "accuracy_std": round(statistics.stdev(accuracies), 6) if len(runs) > 1 else None,
        "seconds_median": round(statistics.median(seconds), 4),
        "seconds_min": round(min(seconds), 4),
        "seconds_max": round(max(seconds), 4),
    }


def table(groups: Mapping[str, Mapping[str, dict[str, Any]]], ours: Sequence[str]) -> str:
    """The lines of a table: a block a group, a row a competitor, the fastest first.

    Args:
        groups: title → competitor → what `figures` gives.
        ours: the competitors that are no peers; ratios are to the fastest peer of a group.
    """
    lines = [f"{'':<16}{'n':>4}  {'accuracy, mean':>18}  {'seconds, median (range)':>28}  ratio to the fastest peer"]
    for title, rows in groups.items():
        lines.append(title)
        fastest = min((row["seconds_median"] for name, row in rows.items() if name not in ours), default=None)
        for name, row in sorted(rows.items(), key=lambda item: item[1]["seconds_median"]):
            error = "" if row["accuracy_error"] is None else f" ± {100 * row['accuracy_error']:.3f}"
            accuracy = f"{100 * row['accuracy_mean']:.3f}{error} %"
            seconds = f"{row['seconds_median']:.3f} ({row['seconds_min']:.3f} – {row['seconds_max']:.3f})"
            ratio = "–" if fastest is None else f"{row['seconds_median'] / fastest:.3f}"
            lines.append(f"  {name:<14}{row['n']:>4}  {accuracy:>18}  {seconds:>28}  {ratio}")
    return "\n".join(lines)
