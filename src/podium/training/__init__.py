"""ROOM 4: recipe + Images → Run."""

from podium.training.loop import Progress, fit
from podium.training.setup import check

__all__ = ["Progress", "check", "fit"]
