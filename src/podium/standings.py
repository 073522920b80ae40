"""The leaderboard: all runs in a folder, the most accurate first. Imports nothing heavy, so that it comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podium.errors import RunError
from podium.run import Run

__all__ = ["Standing", "leaderboard"]

_DEPTH = 3  # of folders that are looked through for runs


@dataclass(frozen=True)
class Standing:
    """A run's line in the leaderboard; what isn't known is None.

    Attributes:
        run: its folder.
        state: finished, unfinished, imported, or damaged: then nothing else is known.
        recipe: its recipe's name.
        data: the data set's name.
        seed: of the training.
        accuracy: on the hold-out, in [0, 1].
        interval: of the accuracy at 95 %.
        num_images: held out.
        train_minutes: of computing, without the looks at the hold-out.
        machine: its GPU, or its processor and the threads used.
        created: when it began, in UTC.
    """

    run: str
    state: str
    recipe: str | None = None
    data: str | None = None
    seed: int | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    num_images: int | None = None
    train_minutes: float | None = None
    machine: str | None = None
    created: str | None = None


def leaderboard(folder: str | Path = "runs") -> list[Standing]:
    """The runs in a folder and in its folders, the most accurate first, those without accuracy last.

    Raises:
        RunError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}, so no runs. `podium train DATA` makes the first.")
    rows = [_standing(path) for path in _runs_in(folder, _DEPTH)]
    return sorted(rows, key=lambda row: -1.0 if row.accuracy is None else row.accuracy, reverse=True)


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    """Folders with a manifest; what can't be looked into is passed over. Nothing within a run is a run."""
    with suppress(OSError):
        for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            if (path / "manifest.json").is_file():
                yield path
            elif depth > 1 and not path.is_symlink():
                yield from _runs_in(path, depth - 1)


def _standing(path: Path) -> Standing:
    try:
        run = Run.open(path)
    except RunError:
        return Standing(str(path), "damaged")
    manifest = run.manifest
    hardware, figures, seconds = manifest["hardware"], manifest.get("hold_out") or {}, manifest.get("train_seconds")
    machine = hardware.get("gpu") or hardware.get("processor")
    if machine and "gpu" not in hardware:
        machine = f"{machine}, {hardware['num_threads']} thread{'s'[: hardware['num_threads'] != 1]}"
    return Standing(
        run=str(path),
        state="imported" if run.is_imported else "finished" if run.is_finished else "unfinished",
        recipe=run.recipe.name,
        data=manifest["data"]["name"],
        seed=manifest["seed"],
        accuracy=figures.get("accuracy"),
        interval=tuple(figures["interval"]) if "interval" in figures else None,
        num_images=figures.get("num_images"),
        train_minutes=None if seconds is None else seconds / 60,
        machine=machine,
        created=manifest.get("created"),
    )
