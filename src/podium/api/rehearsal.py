"""A run's recipe trained for a few steps, twice: once through, and once stopped and gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from podium.api.training import resume, train
from podium.data import Dataset, Images
from podium.data.images import SampleSubmission, digest
from podium.recipe import Recipe
from podium.run import Run
from podium.runtime import prepare
from podium.training.plan import Plan

__all__ = ["ImagesAlone", "rehearse", "shortened"]

_NUM_STEPS = 8
_MOST_IN_A_BATCH = 16


class ImagesAlone(Dataset):
    """A data set of labelled images in memory.

    Args:
        images: with labels.
        name: for people.
    """

    kind = "memory"

    def __init__(self, images: Images, name: str) -> None:
        self.name = name
        self.path = Path(name)
        self._images = images

    @property
    def reference(self) -> str:
        """Nothing opens it again."""
        return self.name

    @property
    def train(self) -> Images:
        """The images."""
        return self._images

    @property
    def test(self) -> None:
        """There is none."""

    @property
    def sample_submission(self) -> SampleSubmission | None:
        """There is none."""
        return None

    @property
    def fingerprint(self) -> str:
        """Of pixels and labels."""
        assert self._images.labels is not None
        return digest(self._images.resident.tobytes(), self._images.labels.tobytes(), *self._images.classes)


def shortened(recipe: Recipe, num_images: int) -> Recipe:
    """The same recipe in a few steps of small batches of so many images: two epochs, or the beginning of the second.

    What counts in epochs is shortened in proportion, and the rate falls with the batch. Nothing is held out.
    """
    batch_size = min(recipe.batch_size, _MOST_IN_A_BATCH, max(2, num_images // 4))
    epochs = min(2.0, _NUM_STEPS / max(1, num_images // batch_size))
    factor = epochs / recipe.epochs
    return replace(
        recipe,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=recipe.learning_rate * batch_size / recipe.batch_size,
        warmup_epochs=recipe.warmup_epochs * factor,
        whiten_bias_epochs=recipe.whiten_bias_epochs * factor,
        schedule_period=recipe.schedule_period * factor,
        schedule_milestones=tuple(end * factor for end in recipe.schedule_milestones),
        hold_out=0.0,
        evaluate_every=0,
        compile="none",
    )


def rehearse(run: Run, images: Images, num_threads: int, folder: Path) -> tuple[Run, Run]:
    """Trains the run's recipe for a few steps on a processor, twice.

    Args:
        run: whose recipe, precision and seed are taken.
        images: some of each class, in memory.
        num_threads: of both trainings.
        folder: an empty one, for both.

    Returns:
        The training that ran through, and the one that was stopped half way and gone on with.

    Raises:
        PodiumError: as `train` does.
    """
    dataset, recipe = ImagesAlone(images, "rehearsal"), shortened(run.recipe, len(images))
    runtime = prepare(recipe.precision, device="cpu", num_threads=num_threads)
    through, stopped = (
        train(dataset, recipe, seed=run.manifest["seed"] or 0, out=folder / name, runtime=runtime, should_stop=until)
        for name, until in (("through", _never), ("stopped", _After(_half(recipe, len(images)))))
    )
    assert not stopped.is_finished
    return through, resume(Run.open(stopped.path), dataset, runtime=runtime)


def _half(recipe: Recipe, num_images: int) -> int:
    """About half of the steps: not at an epoch's end, where less is to be kept, if that can be."""
    plan = Plan.from_recipe(recipe, num_images)
    half = max(1, plan.num_steps // 2)
    return half + 1 if half in plan.ends and half + 1 < plan.num_steps else half


class _After:
    """Says stop when it is asked for the nth time: after the nth step."""

    def __init__(self, num_steps: int) -> None:
        self._left = num_steps

    def __call__(self) -> bool:
        self._left -= 1
        return self._left <= 0


def _never() -> bool:
    return False
