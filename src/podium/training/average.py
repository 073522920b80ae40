"""Average: a second copy of the network whose weights are the mean of those along the way.

Source: arXiv 1803.05407 (SWA) and, for the exponential one, Polyak & Juditsky (1992). torch.optim.swa_utils does it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn, update_bn

from podium.models import Classifier
from podium.recipe import Recipe
from podium.runtime import Runtime
from podium.training.timetable import Timetable

__all__ = ["Average"]

_WARMUP = 10  # steps after which the moving average begins to keep its full part


class Average:
    """The averaged weights.

    Args:
        classifier: the one that is trained.
        recipe: average, ema_decay, swa_from.
        timetable: the training's steps.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe, timetable: Timetable) -> None:
        self._classifier = classifier
        self._is_ema = recipe.average == "ema"
        self._decay = recipe.ema_decay
        self._first_end = timetable.plan.step_of(recipe.swa_from * recipe.epochs)
        self._timetable = timetable
        function = self._blend if self._is_ema else get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(classifier.network, multi_avg_fn=function)  # type: ignore[arg-type]

    def update(self, num_done: int) -> None:
        """Takes in the weights after `num_done` steps, if they belong to the mean."""
        is_end = self._timetable.ends_epoch(num_done) and self._timetable.position(num_done) >= self._first_end
        if self._is_ema or is_end:
            self._averaged.update_parameters(self._classifier.network)

    def classifier(self, batches: Iterator[Tensor], runtime: Runtime) -> Classifier:
        """The classifier with the averaged weights.

        Its BN's statistics are measured anew on `batches`, uint8 (N, 3, H, W); before the first average it is the one
        that is trained, as it stands.
        """
        if not int(self._averaged.n_averaged):
            return self._classifier
        now = self._classifier
        averaged = Classifier(now.model_name, self._averaged.module, now.preprocessing, now.form)
        averaged.to(runtime.device)
        with runtime.autocast():
            update_bn(batches, averaged)
        return averaged

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        return dict(self._averaged.state_dict())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave. Raises RuntimeError if it is another network's."""
        self._averaged.load_state_dict(state)

    def _blend(self, averages: list[Tensor], weights: list[Tensor], _: Tensor | int) -> None:
        """Keeps `ema_decay` of the average, at first less: it would remember the initial weights for too long."""
        count = int(self._averaged.n_averaged)  # on the CPU, so that no GPU is waited for
        decay = min(self._decay, (1 + count) / (_WARMUP + count))
        with torch.no_grad():
            torch._foreach_lerp_(averages, weights, 1 - decay)
