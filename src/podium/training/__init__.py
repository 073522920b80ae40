"""ROOM 4: recipe + Images → Run."""

from podium.training.loop import Progress, fit

__all__ = ["Progress", "fit"]
