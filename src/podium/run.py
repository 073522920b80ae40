"""Run: the folder that a training leaves, opened and read in one place.

    runs/<time>-<recipe>/
        recipe.toml             the resolved recipe
        manifest.json           data fingerprint, split, seed, versions, hardware, command, commit, results
        metrics.jsonl           a line now and then within an epoch, and one at its end
        model.safetensors       weights and preprocessing, written when the training is finished
        checkpoint              everything needed to go on, until then
        hold_out.safetensors    logits on the hold-out

Nothing in it is executed when read: TOML, JSON and safetensors only.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from podium.errors import RecipeError, RunError
from podium.files import storage_errors, write_atomically
from podium.recipe import Recipe

__all__ = ["Run"]


class Run:
    """A training's folder.

    Attributes:
        path: the folder.
        recipe: as resolved when the training began.
        manifest: what is known of data, machine and results; plain JSON values.
    """

    def __init__(self, path: Path, recipe: Recipe, manifest: dict[str, Any]) -> None:
        self.path = path
        self.recipe = recipe
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    # ---- making and opening

    @staticmethod
    def create(folder: Path | None, recipe: Recipe, manifest: dict[str, Any]) -> Run:
        """Makes a new run folder: `folder` itself, or `runs/<time>-<recipe>` if it is None.

        Raises:
            RunError: `folder` exists and isn't empty.
            StorageError: it can't be written.
        """
        if folder is None:
            folder = _new_name(Path("runs"), recipe.name)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists already. Choose another --out, or go on there with --resume {folder}.")
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        run = Run(folder, recipe, manifest)
        write_atomically(folder / "recipe.toml", recipe.to_toml())
        run.write_manifest()
        return run

    @staticmethod
    def open(path: str | Path) -> Run:
        """Opens the folder that a training made.

        Raises:
            RunError: there is none at `path`, or it is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"There is no run at {path}. `podium runs` lists those there are.")
        missing = [name for name in ("recipe.toml", "manifest.json") if not (path / name).is_file()]
        if missing:
            raise RunError(f"{path} is no run: {' and '.join(missing)} missing. `podium runs` lists those there are.")
        try:
            recipe = Recipe.from_toml((path / "recipe.toml").read_text(encoding="utf-8"), str(path / "recipe.toml"))
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not {"seed", "data", "split"} <= manifest.keys():
                raise ValueError("manifest.json lacks seed, data or split")
        except RecipeError as error:
            raise RunError(f"{error}\nThe run is damaged, or of another version of podium.") from error
        except (OSError, ValueError) as error:
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
        return self.model_path.is_file()

    def write_manifest(self, **changes: object) -> None:
        """Sets some keys of the manifest and writes it. Raises StorageError."""
        self.manifest.update(changes)
        write_atomically(self.path / "manifest.json", json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n")

    def append_metrics(self, **values: object) -> None:
        """Adds a line to the metrics. Raises StorageError."""
        with storage_errors(self.metrics_path), self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; a last line that a crash cut short is left out."""
        if not self.metrics_path.is_file():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def rewind_metrics(self, step: int) -> None:
        """Drops the lines after `step`, which a resumed training writes again. Raises StorageError."""
        kept = [line for line in self.metrics() if line["step"] <= step]
        write_atomically(self.metrics_path, "".join(json.dumps(line) + "\n" for line in kept))


def _new_name(folder: Path, recipe_name: str) -> Path:
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{recipe_name}"
    path, number = folder / stem, 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}"
    return path
