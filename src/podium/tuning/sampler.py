"""The sampler: TPE whose draws depend on the study's seed and the trial's number: no two workers draw alike."""

from __future__ import annotations

import warnings
from typing import Any

from optuna import distributions
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from podium.tuning.space import Space

__all__ = ["NumberedSampler", "distributions_of", "new_pruner"]

NUM_RANDOM = 10
"""Trials drawn at random, before TPE has something to go by."""


class NumberedSampler(BaseSampler):
    """Multivariate TPE (arXiv 2304.11127), seeded anew for each trial."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._number = -1
        self._sampler: BaseSampler | None = None

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._sampler is None or self._number != trial.number:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._sampler = TPESampler(
                    seed=(self._seed * 1_000_003 + trial.number) % 2**32,
                    n_startup_trials=NUM_RANDOM,
                    multivariate=True,
                    constant_liar=True,
                )
            self._number = trial.number
        return self._sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As of TPE."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As of TPE."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As of TPE."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


def new_pruner(name: str, num_looks: int) -> BasePruner:
    """The pruner of that name, for trials that are looked at so many times.

    median: a trial ends whose best look so far is below the median of the others' at that epoch, once five are whole.
    hyperband: only the best third of those at an epoch go on, in several brackets (arXiv 1603.06560). none: never.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=5)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(2, num_looks), reduction_factor=3)
    return NopPruner()


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """A space in Optuna's words."""
    found: dict[str, BaseDistribution] = {}
    for key, axis in space.items():
        if axis.choices:
            found[key] = distributions.CategoricalDistribution(axis.choices)
        elif isinstance(axis.low, int) and isinstance(axis.high, int):
            found[key] = distributions.IntDistribution(axis.low, axis.high, log=axis.log)
        else:
            assert axis.low is not None
            assert axis.high is not None
            found[key] = distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
    return found
