"""Runs of several processes: rank 0 makes and opens their folders, and a job that was started anew finds its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from podium.errors import PodiumError, RunError
from podium.recipe import Recipe
from podium.run import Run
from podium.world import World

__all__ = ["begun", "open_run", "same_everywhere", "settle", "shared"]


def shared(world: World, make: Callable[[], Run]) -> Run:
    """The run that rank 0 makes or opens, in every process. Raises what `make` raises, in all of them."""
    if world.size == 1:
        return make()
    mine: list[Run] = []

    def tell() -> dict[str, Any]:
        mine.append(make())
        return {"path": str(mine[0].path), "recipe": mine[0].recipe.to_dict(), "manifest": mine[0].manifest}

    told = world.first(tell)
    if mine:
        return mine[0]
    return Run(Path(told["path"]), Recipe(**told["recipe"]), told["manifest"], writes=False)


def open_run(world: World, path: str | Path) -> Run:
    """The run in a folder that rank 0 sees. Raises RunError."""
    return settle(world, shared(world, lambda: Run.open(path)))


def settle(world: World, run: Run) -> Run:
    """Tells the processes that can't see the run's folder whether it is finished."""
    is_finished = world.tell(run.is_finished)
    if not run.writes:
        run.is_finished = is_finished
    return run


def same_everywhere(world: World, what: str, value: str) -> None:
    """Raises RunError in every process unless all have the same `value`."""
    for rank, other in enumerate(each := world.each(value)):
        if other != each[0]:
            raise RunError(
                f"{world.name(rank).capitalize()} has another {what} ({other}) than rank 0 ({each[0]}).\n"
                "All processes need the same data and the same command."
            )


def begun(world: World, out: Path | None, recipe: Recipe | None, seed: int, fingerprint: str) -> Run | None:
    """The run that this job began before it was started anew; None: it begins now.

    Args:
        world: its job tells its runs from others'.
        out: where it was to be; None: in `runs`.
        recipe: that must be its, or it is another training's; None: one that was chosen for a time limit.
        seed: likewise.
        fingerprint: of the data, likewise.
    """
    if world.job is None:
        return None
    for run in _runs_of(world.job.id, out):
        is_it = run.recipe == recipe if recipe is not None else "budget" in run.manifest
        known = (is_it, run.manifest["seed"], run.manifest["data"]["fingerprint"])
        # a whole one is this start's only if torchrun says that it starts anew: a name may be given twice
        if known == (True, seed, fingerprint) and (not _is_whole(run) or world.job.num_restarts):
            return run
    return None


def _runs_of(job: str, out: Path | None) -> Iterator[Run]:
    """The job's runs, the last first. What is no run, or damaged, isn't one."""
    folders = [out] if out is not None else sorted(Path("runs").glob("*/"), reverse=True)
    for folder in folders:
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
            if json.loads(text).get("job", {}).get("id") == job:
                yield Run.open(folder)
        except (OSError, ValueError, AttributeError, PodiumError):
            continue


def _is_whole(run: Run) -> bool:
    return run.is_finished and (run.recipe.hold_out == 0 or "hold_out" in run.manifest)
