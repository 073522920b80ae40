"""The processes that compute together, each with its rank; one alone, unless a launcher (torchrun) started more.

Imports no torch before there is somebody to meet.
"""

from podium.world.group import ALONE, World
from podium.world.launch import Job, Launch, launch
from podium.world.meeting import join

__all__ = ["ALONE", "Job", "Launch", "World", "join", "launch"]
