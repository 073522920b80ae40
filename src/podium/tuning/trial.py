"""One trial: the recipe with other values, trained on a part of the training images and judged on the rest."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from podium.data import Dataset, Images, hold_out
from podium.errors import RecipeError, RunError
from podium.recipe import Recipe, stretched
from podium.run import Run
from podium.runtime import Runtime
from podium.training import Parts, Progress, check, fit, new_manifest
from podium.tuning.rows import State
from podium.tuning.study import Ticket

__all__ = ["Bench", "num_looks", "trial_recipe", "validation_parts"]


def validation_parts(images: Images, rest: np.ndarray, fraction: float, seed: int) -> Parts:
    """Splits the images that a training of the recipe would have, so that trials are judged on none of its hold-out.

    Args:
        images: all labelled ones.
        rest: indices of those that aren't held out, int64.
        fraction: of them to judge on.
        seed: chooses these.

    Returns:
        Indices to train on and to judge on, int64, each sorted.
    """
    assert images.labels is not None
    train, judged = hold_out(images.labels[rest], fraction, seed=seed)
    return rest[train], rest[judged]


def trial_recipe(recipe: Recipe, epochs: float) -> Recipe:
    """The recipe in a trial's epochs, looked at after each. Raises RecipeError."""
    return replace(stretched(recipe, epochs), evaluate_every=1)


def num_looks(epochs: float) -> int:
    """At the validation images, in a trial of so many epochs."""
    return math.ceil(epochs)


@dataclass
class Bench:
    """Where a worker does its trials, one after the other.

    Attributes:
        dataset: what is trained on.
        recipe: that is to be bettered.
        parts: indices to train on, and to judge on.
        epochs: of a trial.
        seed: of every trial.
        runtime: device and precision.
        folder: for the runs of the trials under way.
        should_stop: asked after each step; True gives the trial back.
        on_progress: called with the trial's number after each step.
    """

    dataset: Dataset
    recipe: Recipe
    parts: Parts
    epochs: float
    seed: int
    runtime: Runtime
    folder: Path
    should_stop: Callable[[], bool]
    on_progress: Callable[[int, Progress], None]

    def __post_init__(self) -> None:
        images = self.dataset.train
        self._train, self._judged = (images.subset(part) for part in self.parts)

    def do(self, ticket: Ticket) -> State:
        """Does a trial, and tells the study what became of it. Its run is gone afterwards.

        Raises:
            DataError, StorageError, StudyError: as their names say; the trial is given back.
        """
        folder, began = self.folder / str(ticket.number), time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        state: State = "stopped"
        accuracy, note = None, ""
        try:
            state, accuracy = self._trained(ticket, folder)
        except RecipeError as error:
            state, note = "impossible", str(error)
        except RunError as error:  # it diverged
            state, note = "diverged", str(error).splitlines()[0].replace(f"{folder}: ", "")
        except torch.OutOfMemoryError:
            state, note = "impossible", "it needs more memory than there is"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if not ticket.is_lost:
                ticket.end(state, time.monotonic() - began, accuracy, note)
        return "lost" if ticket.is_lost else state

    def _trained(self, ticket: Ticket, folder: Path) -> tuple[State, float | None]:
        recipe = trial_recipe(replace(self.recipe, **ticket.values), self.epochs)  # type: ignore[arg-type]
        check(recipe, self.dataset.train, self.parts, None, self.runtime.world)
        manifest = new_manifest(self.dataset, recipe, self.parts, self.runtime, self.seed, None)
        run = Run.create(folder, recipe, manifest)
        is_hopeless, accuracy = False, None

        def on_progress(now: Progress) -> None:
            nonlocal is_hopeless, accuracy
            if now.hold_out_accuracy is not None:
                accuracy = now.hold_out_accuracy
                is_hopeless = ticket.look(now.epoch, accuracy)
            self.on_progress(ticket.number, now)

        is_whole = fit(
            run,
            self._train,
            self._judged,
            self.runtime,
            on_progress=on_progress,
            should_stop=lambda: is_hopeless or self.should_stop(),
            checkpoint_seconds=math.inf,
        )
        if is_whole:
            return "finished", accuracy
        return ("pruned" if is_hopeless else "stopped"), None
