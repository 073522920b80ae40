"""What every benchmark shares: how figures are summed up, and the file that they are kept in."""

import json
import os
import platform
import statistics
import sys
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import podium
from podium import api, runtime
from podium.data import Dataset
from podium.recipe import Recipe
from podium.run import Run
from podium.training import Progress

__all__ = ["show_progress", "summary", "train_or_resume", "write_result"]

OnProgress = Callable[[Progress], None]

RESULTS = Path(__file__).parent / "results"


def summary(values: Sequence[float], digits: int = 0) -> dict[str, float]:
    """Median, smallest and largest of the repetitions, and how many there were."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) if digits else round(value) for name, value in figures.items()} | {
        "n": len(values)
    }


def show_progress(now: Progress) -> None:
    """A line every twenty steps and at the end of an epoch."""
    if now.step % 20 == 0 or now.ends_epoch:
        print(
            f"  step {now.step}  loss {now.loss:.4f}  accuracy {now.accuracy:.4f}"
            f"  {now.images_per_second:.0f} images/s",
            flush=True,
        )


def train_or_resume(
    folder: Path, data: Dataset, recipe: Recipe, seed: int, on_progress: OnProgress, teachers: Sequence[Run] = ()
) -> Run:
    """A finished run of just this recipe and seed in `folder`, from where an interrupted one came to.

    Raises:
        SystemExit: what is there is of another recipe, seed, machine or version: its figures would pass for new ones.
    """
    if not (folder / "manifest.json").exists():
        return podium.train(data, recipe, seed=seed, teachers=teachers, out=folder, on_progress=on_progress)
    run = Run.open(folder)
    changes = api.differences(run, api.runtime_of(run))
    if run.recipe != recipe or run.manifest["seed"] != seed or changes:
        sys.exit(f"{folder} holds another recipe's, seed's or machine's run ({', '.join(changes)}): remove it first.")
    return podium.resume(run, data, on_progress=on_progress)


def write_result(name: str, command: str, figures: dict[str, Any]) -> Path:
    """Writes bench/results/<name>.json: the figures, and what they were measured with.

    Args:
        name: of the file, without the ending.
        command: that makes the same measurement again.
        figures: plain JSON values.
    """
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": {
            "processor": runtime.processor_name(),
            "num_cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        },
        "versions": _versions(),
        "commit": runtime.source_commit(),
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _versions() -> dict[str, str]:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "python": platform.python_version(),
        "podium": project["version"],
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
