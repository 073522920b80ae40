"""What compare finds, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from podium.evaluation.comparison import McNemar, SeedTest, Spread

__all__ = ["ComparedRun", "Comparison", "Group", "GroupPair", "RunPair"]


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs.

    Attributes:
        path: its folder.
        recipe: its recipe's name.
        seed: of its training; None if it was imported.
        group: A, B, …: runs of one letter differ in their seeds only.
        what: the images that it was measured on, in words.
        num_images: how many.
        accuracy: top-1.
        interval: of the accuracy at 95 %.
        cross_entropy: in nats.
        calibration_error: expected.
        train_minutes: None if not known.
    """

    path: str
    recipe: str
    seed: int | None
    group: str
    what: str
    num_images: int
    accuracy: float
    interval: tuple[float, float]
    cross_entropy: float
    calibration_error: float
    train_minutes: float | None


@dataclass(frozen=True)
class RunPair:
    """Two networks on the images that both were measured on; None if there are no such."""

    first: str
    second: str
    test: McNemar | None
    adjusted_p_value: float | None


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds only."""

    letter: str
    runs: tuple[str, ...]
    spread: Spread


@dataclass(frozen=True)
class GroupPair:
    """Two groups: their seeds' accuracies, and the same for other images.

    Attributes:
        first: a letter.
        second: another.
        test: over seeds, on these images.
        adjusted_p_value: Holm's, for as many pairs of groups as there are; None without a test.
        images_interval: of the difference of accuracies at 95 %, over other images and with these networks; None if
            they have no images in common.
        is_same_images: whether all runs of both were measured on the same images. If not, a part of the difference is
            that of the images.
    """

    first: str
    second: str
    test: SeedTest
    adjusted_p_value: float | None
    images_interval: tuple[float, float] | None
    is_same_images: bool


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: in the order given.
        recipe: the keys in which the recipes differ, with a value for each run.
        manifest: likewise of data, split, machine and versions.
        groups: the runs by what they have in common.
        run_pairs: each two runs.
        group_pairs: each two groups.
    """

    runs: tuple[ComparedRun, ...]
    recipe: Mapping[str, tuple[Any, ...]]
    manifest: Mapping[str, tuple[Any, ...]]
    groups: tuple[Group, ...]
    run_pairs: tuple[RunPair, ...]
    group_pairs: tuple[GroupPair, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
