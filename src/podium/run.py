"""Run: the folder that a training leaves, opened and read in one place.

    runs/<time>-<recipe>/
        recipe.toml             the resolved recipe
        manifest.json           data fingerprint, split, seed, versions, hardware, command, commit, results
        metrics.jsonl           a line now and then within an epoch, and one at its end
        model.safetensors       weights and preprocessing, written when the training is finished
        checkpoint              everything needed to go on, until then
        hold_out.safetensors    logits on the hold-out
        report.html             all of it as a page to read
        tensorboard/            the metrics as TensorBoard's event files, if asked for

Nothing in it is executed when read: TOML, JSON and safetensors only.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from podium import builtin
from podium.errors import RecipeError, RunError
from podium.files import storage_errors, write_atomically
from podium.manifest import check_manifest, check_metrics
from podium.recipe import Recipe

__all__ = ["Run"]

_BUILDING, _STALE_SECONDS = ".new-run-", 24 * 3600.0


class Run:
    """A training's folder.

    Attributes:
        path: the folder.
        recipe: as resolved when the training began.
        manifest: what is known of data, machine and results; plain JSON values.
        writes: whether this process writes into the folder; of several that train together only the first does, and the
            others need not even see it.
        on_metrics: called with each line that the metrics get, and with None when they lost some.
    """

    def __init__(self, path: Path, recipe: Recipe, manifest: dict[str, Any], *, writes: bool = True) -> None:
        self.path = path
        self.recipe = recipe
        self.manifest = manifest
        self.writes = writes
        self.on_metrics: Callable[[dict[str, Any] | None], None] | None = None
        self._is_finished: bool | None = None

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    # ---- making and opening

    @staticmethod
    def create(
        folder: Path | None,
        recipe: Recipe,
        manifest: dict[str, Any],
        fill: Callable[[Run], None] | None = None,
    ) -> Run:
        """Makes a new run folder: `folder` itself, or `runs/<time>-<recipe>` if it is None.

        What `fill` writes into the run is there from the start: the folder has its name only when all of it is done.

        Raises:
            RunError: `folder` exists and isn't empty.
            StorageError: it can't be written.
        """
        if folder is not None:
            Run.check_new(folder)
        parent = folder.parent if folder is not None else Path("runs")
        with storage_errors(folder or parent):
            parent.mkdir(parents=True, exist_ok=True)
            _sweep(parent)
            building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=parent))
            try:
                building.chmod(0o755)
                run = Run(building, recipe, manifest)
                write_atomically(building / "recipe.toml", recipe.to_toml())
                run.write_manifest()
                if fill is not None:
                    fill(run)
                run.path = _rename(building, folder) if folder is not None else _rename_to_new(building, recipe.name)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
        return run

    @staticmethod
    def check_new(folder: Path) -> None:
        """Raises RunError if `folder` exists and isn't an empty folder, StorageError if that can't be known."""
        with storage_errors(folder):
            taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if taken:
            raise RunError(f"{folder} exists already. Choose another --out, or go on there with --resume {folder}.")

    @staticmethod
    def open(path: str | Path) -> Run:
        """Opens the folder that a training made, or weights that ship: `builtin:cifar10`.

        Raises:
            RunError: there is none at `path`, or it is damaged.
        """
        path = builtin.folder_of(path) or Path(path)
        try:
            there = path.is_dir()
            missing = [name for name in ("recipe.toml", "manifest.json") if not (path / name).is_file()]
        except OSError as error:
            raise RunError(f"{path} can't be opened: {error.strerror}.") from error
        if not there:
            raise RunError(f"There is no run at {path}. `podium runs` lists those there are.")
        if missing:
            raise RunError(f"{path} is no run: {' and '.join(missing)} missing. `podium runs` lists those there are.")
        try:
            recipe = Recipe.from_toml((path / "recipe.toml").read_text(encoding="utf-8"), str(path / "recipe.toml"))
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            check_manifest(manifest)
        except RecipeError as error:
            raise RunError(f"{error}\nThe run is damaged, or of another version of podium.") from error
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path} is damaged: {error}. Copy the run anew, or train again.") from error
        return Run(path, recipe, manifest)

    # ---- its files

    @property
    def model_path(self) -> Path:
        """The trained classifier."""
        return self.path / "model.safetensors"

    @property
    def checkpoint_path(self) -> Path:
        """What an unfinished training goes on from."""
        return self.path / "checkpoint"

    @property
    def hold_out_path(self) -> Path:
        """Predictions on the hold-out."""
        return self.path / "hold_out.safetensors"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its end."""
        return self.model_path.is_file() if self._is_finished is None else self._is_finished

    @is_finished.setter
    def is_finished(self, value: bool) -> None:
        """Where the folder can't be seen: what the process says that sees it."""
        self._is_finished = value

    @property
    def is_builtin(self) -> bool:
        """Whether it ships with podium; nothing is written into such a run."""
        return builtin.is_builtin(self.path)

    @property
    def label(self) -> str:
        """What a person calls it: its path, or `builtin:<name>`."""
        return f"{builtin.PREFIX}{self.path.name}" if self.is_builtin else str(self.path)

    @property
    def is_imported(self) -> bool:
        """Whether its weights came from elsewhere, so that its data, seed and machine aren't known."""
        return "imported" in self.manifest

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for this process, if it writes; what a killed one left half-written is cleared away.

        Raises:
            RunError: another process trains it.
        """
        if not self.writes:
            yield
            return
        with storage_errors(self.path):
            lock = FileLock(self.path / ".lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise RunError(f"{self.path} is being trained by another process.") from None
        with lock:
            for leftover in self.path.glob(".*.part"):
                leftover.unlink()
            yield

    def write_manifest(self, **changes: object) -> None:
        """Sets some keys of the manifest and writes it. Raises StorageError."""
        self.manifest.update(changes)
        if self.writes:
            write_atomically(
                self.path / "manifest.json", json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n"
            )

    def append_metrics(self, **values: object) -> None:
        """Adds a line to the metrics. Raises StorageError."""
        if not self.writes:
            return
        with storage_errors(self.metrics_path), self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        if self.on_metrics is not None:
            self.on_metrics(values)

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; a last line that a crash cut short is left out. Raises RunError."""
        if not self.metrics_path.is_file():
            return []
        try:
            lines = self.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
            found = [json.loads(line) for line in lines if line.endswith("\n")]
            for line in found:
                check_metrics(line)
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.metrics_path} is damaged: {error}. Take it out; the run does without.") from error
        return found

    def rewind_metrics(self, step: int) -> None:
        """Drops the lines after `step`, which a resumed training writes again. Raises StorageError."""
        if not self.writes:
            return
        kept = [line for line in self.metrics() if line["step"] <= step]
        write_atomically(self.metrics_path, "".join(json.dumps(line) + "\n" for line in kept))
        if self.on_metrics is not None:
            self.on_metrics(None)


def _sweep(parent: Path) -> None:
    """Takes away runs that killed processes had begun to make, and no running one can still be making."""
    for folder in parent.glob(f"{_BUILDING}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _rename(building: Path, folder: Path) -> Path:
    if folder.is_dir():
        folder.rmdir()  # an empty one; not every system renames onto it
    return building.rename(folder)


def _rename_to_new(building: Path, recipe_name: str) -> Path:
    """Two trainings may begin in the same second: the first to rename has the name."""
    stem = building.parent / f"{datetime.now():%Y%m%d-%H%M%S}-{recipe_name}"
    for number in itertools.count(1):
        folder = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        if not folder.exists():
            with suppress(OSError):
                return building.rename(folder)
            if not folder.exists():  # it was no clash of names
                return building.rename(folder)
    raise AssertionError
