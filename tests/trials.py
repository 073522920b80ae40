"""Trainings that take no time, for tests of tuning: accuracies come from a function of the recipe."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from podium.errors import RunError
from podium.training import Progress
from podium.tuning import Study, Task, parse_space, space_to_toml

__all__ = ["fake_fit", "peak", "study_of"]


def peak(recipe, epoch):
    """An accuracy that is highest at a learning rate of 0.01, and rises from epoch to epoch."""
    return (1 - 0.2 * abs(math.log10(recipe.learning_rate / 0.01))) * (1 - 0.5**epoch)


def fake_fit(score: Callable = peak, *, seconds: float = 0.0, steps: int = 2, seen: list | None = None) -> Callable:
    """In place of `podium.training.fit`: so many steps an epoch, a look at the end of each; a score of NaN diverges."""

    def fit(run, images, hold_out, runtime, *, on_progress, should_stop, checkpoint_seconds):
        recipe, num_epochs = run.recipe, math.ceil(run.recipe.epochs)
        for step in range(1, num_epochs * steps + 1):
            time.sleep(seconds)
            epoch = (step - 1) // steps + 1
            if seen is not None:
                seen.append((run.path, epoch, images, hold_out))
            accuracy = score(recipe, epoch) if step % steps == 0 else None
            if accuracy is not None and math.isnan(accuracy):
                raise RunError(
                    f"{run.path}: at step {step} the loss is no finite number: the training diverged.\nLower."
                )
            stops = step < num_epochs * steps and should_stop()
            on_progress(
                Progress(step, num_epochs * steps, epoch, step % steps == 0, num_epochs, 1.0, 0.5, accuracy, 1, 1, 1)
            )
            if stops:
                return False
        return True

    return fit


def study_of(folder: Path, recipe, *, pruner="none", epochs=3.0, seed=0, url=None, space="learning_rate") -> Study:
    """A study of a recipe's learning rate, a thousandth to 1."""
    varied = parse_space(f"{space} = {{ low = 0.001, high = 1.0, log = true }}", "s", recipe)
    task = Task("f00d", recipe.to_toml(), space_to_toml(varied), epochs, 0.1, 1, pruner, seed)
    own = {key: getattr(recipe, key) for key in varied}
    return Study(folder, task, varied, own, url, math.ceil(epochs))
