"""What a run's manifest and metrics must be for the rooms to rely on them: they may have come from a stranger.

Imports nothing heavy, as `run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["check_manifest", "check_metrics"]

_MOST = 1 << 63


def _is_word(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and -_MOST <= value < _MOST


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and (isinstance(value, float) or _is_count(value))


def _is_finite(value: object) -> bool:
    return _is_number(value) and math.isfinite(value)  # type: ignore[arg-type]


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _list_of(is_one: Callable[[object], bool], count: int | None = None) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and count in (None, len(value)) and all(map(is_one, value))


_NEEDED: dict[str, Callable[[object], bool]] = {
    "seed": _is_count,
    "data": _is_table,
    "data.name": _is_word,
    "data.path": _is_word,
    "data.fingerprint": _is_word,
    "data.classes": _list_of(_is_word),
    "data.image_size": _list_of(_is_count, 2),
    "data.resized_to": _is_count,
    "split": _is_table,
    "split.num_train": _is_count,
    "split.num_hold_out": _is_count,
    "hardware": _is_table,
    "hardware.device": _is_word,
    "hardware.precision": _is_word,
    "hardware.num_threads": _is_count,
}
_OPTIONAL: dict[str, Callable[[object], bool]] = {
    "bad_images": _is_table,
    "budget": _is_table,
    "command": _is_word,
    "commit": _is_word,
    "created": _is_word,
    "data.evaluation": _is_word,
    "data.labels": _is_word,
    "data.num_images": _is_count,
    "hardware.gpu": _is_word,
    "hardware.processor": _is_word,
    "hold_out": _is_table,
    "imported": _is_table,
    "init": _is_table,
    "job": _is_table,
    "judge": _is_table,
    "measured": _is_table,
    "on_bad_image": lambda value: value in ("stop", "skip"),
    "resumed": _list_of(_is_table),
    "teachers": _list_of(lambda one: isinstance(one, dict) and all(_is_word(one.get(k)) for k in ("path", "sha256"))),
    "timetable": _is_table,
    "train_seconds": _is_finite,
    "versions": _is_table,
}
_PARTS: dict[str, dict[str, Callable[[object], bool]]] = {  # of an optional table that is there
    "bad_images": {"num_images": _is_count, "names": _list_of(_is_word)},
    "budget": {"minutes": _is_finite, "is_capped": _is_flag},
    "hold_out": {
        "accuracy": _is_finite,
        "interval": _list_of(_is_finite, 2),
        "num_images": _is_count,
        "tta": _is_word,
    },
    "init": {"path": _is_word, "sha256": _is_word},
    "judge": {"temperature": lambda value: _is_finite(value) and value > 0, "threshold": _is_finite},  # type: ignore[operator]
    "timetable": {"knots": _is_list, "epochs": _list_of(_is_number)},
}
_METRICS = {"kind": _is_word, **dict.fromkeys(("step", "epoch", "loss", "accuracy", "train_seconds"), _is_number)}


def check_manifest(manifest: object) -> None:
    """Raises ValueError unless everything is there that the rooms read, and of the kind that they take.

    Null stands for what isn't known, as of imported weights.
    """
    for name, is_right in _NEEDED.items():
        value: Any = manifest
        for part in name.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ValueError(f"manifest.json lacks {name}")
            value = value[part]
        _demand(is_right, value, name, may_be_null=is_right is not _is_table and name != "data.classes")
    assert isinstance(manifest, dict)
    for name, is_right in _OPTIONAL.items():
        table, _, key = name.rpartition(".")
        value = (manifest[table] if table else manifest).get(key)
        _demand(is_right, value, name, may_be_null=True)
        if value is not None and name in _PARTS:
            for part, is_part in _PARTS[name].items():
                if part not in value:
                    raise ValueError(f"manifest.json lacks {name}.{part}")
                _demand(is_part, value[part], f"{name}.{part}", may_be_null=False)


def _demand(is_right: Callable[[object], bool], value: object, name: str, *, may_be_null: bool) -> None:
    if not (value is None and may_be_null) and not is_right(value):
        raise ValueError(f"manifest.json has {name} = {str(value)[:60]!r}, which can't be")


def check_metrics(line: object) -> None:
    """Raises ValueError unless a line of metrics.jsonl has a step, and numbers where the rooms read numbers."""
    if not isinstance(line, dict) or "step" not in line:
        raise ValueError("a line of it has no step")
    for name, value in line.items():
        if name in _METRICS and not _METRICS[name](value):
            raise ValueError(f"a line of it has {name} = {str(value)[:60]!r}")
