"""Plan: how many steps a training has, which epoch each belongs to, and how large its images are shown.

All of it follows from the recipe and the number of images before the first step, so that the schedule's end is known
and a resumed training goes on just where it was. A time limit may stretch it: timetable.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate

from podium.errors import RecipeError
from podium.recipe import Recipe

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """The steps of a training.

    Attributes:
        num_images: shown in each epoch, the last one included, though it may end early.
        ends: the step at which each epoch ends, counted from the training's first.
        steps_per_epoch: where every image is shown.
        num_steps: of the whole training.
        scales: the part of their size at which images are shown up to each of `scale_ends`; full size from then on.
        scale_ends: the step at which each of `scales` ends.
    """

    num_images: tuple[int, ...]
    ends: tuple[int, ...]
    steps_per_epoch: int
    num_steps: int
    scales: tuple[float, ...] = ()
    scale_ends: tuple[int, ...] = ()

    @staticmethod
    def from_recipe(recipe: Recipe, num_images: int) -> Plan:
        """The plan for `num_images` training images. Raises RecipeError if they make no step."""
        first, last = recipe.skip_between or (0.0, 0.0)
        fewer = num_images - round(recipe.skip_learned * num_images)
        later = range(1, math.ceil(recipe.epochs))  # nothing is learned before the first epoch
        each = [num_images, *(fewer if first <= epoch / recipe.epochs < last else num_images for epoch in later)]
        steps = [_num_steps(recipe, some) for some in each]
        ends = tuple(accumulate(steps))
        plan = Plan(tuple(each), ends, _num_steps(recipe, num_images), ends[-1], recipe.grow_scales)
        scale_ends = tuple(plan.step_of(part * recipe.epochs) for part in recipe.grow_until)
        return replace(plan, num_steps=plan.step_of(recipe.epochs), scale_ends=scale_ends)

    @property
    def full_steps(self) -> float:
        """Steps at full size that would take as long as all of them, a step's time being that of its pixels."""
        bounds = [0, *(min(end, self.num_steps) for end in self.scale_ends), self.num_steps]
        parts = zip(bounds[:-1], bounds[1:], (*self.scales, 1.0), strict=True)
        return sum((until - begin) * scale**2 for begin, until, scale in parts)

    def epoch_of(self, num_done: float) -> float:
        """Epochs that `num_done` steps, or a part of one more, make."""
        epoch = min(bisect_right(self.ends, num_done), len(self.ends) - 1)
        start = self._start(epoch)
        return epoch + (num_done - start) / (self.ends[epoch] - start)

    def step_of(self, epochs: float) -> int:
        """Steps that make at least `epochs`; of the whole plan if there are fewer epochs in it."""
        whole = min(int(epochs), len(self.ends))
        if whole == len(self.ends):
            return self.ends[-1]
        start = self._start(whole)
        return start + math.ceil((epochs - whole) * (self.ends[whole] - start) - 1e-9)

    def scale(self, step: float) -> float:
        """The part of their own size at which images are shown after so many steps."""
        phase = bisect_right(self.scale_ends, step)
        return self.scales[phase] if phase < len(self.scales) else 1.0

    def _start(self, epoch: int) -> int:
        return self.ends[epoch - 1] if epoch else 0


def _num_steps(recipe: Recipe, num_images: int) -> int:
    """How many batches `num_images` make; a last batch of one image, which BN can't take, isn't kept."""
    if min(num_images, recipe.batch_size) < 2:
        raise RecipeError(
            f"A batch of one image can't be: batch_size is {recipe.batch_size}, of {num_images:,} images."
        )
    if recipe.last_batch == "keep":
        return num_images // recipe.batch_size + (num_images % recipe.batch_size > 1)
    if num_images < recipe.batch_size:
        raise RecipeError(
            f"batch_size {recipe.batch_size:,} is larger than the {num_images:,} training images, and "
            f"last_batch = 'drop' leaves none.\n"
            f"Make it smaller, such as --set batch_size={max(1, num_images // 10)}, or take --recipe sprint_small."
        )
    return num_images // recipe.batch_size
