"""What a machine has, what is wrong or slow there, and whether several machines can compute together.

Imports no torch: that it can't be imported is one of the things to find.
"""

from podium.checkup.advice import Finding, Level, advise
from podium.checkup.machine import Machine, look
from podium.checkup.preflight import Preflight, fly
from podium.checkup.timing import Speeds, measure
from podium.checkup.whole import DEFAULT_WAIT, Checkup, doctor

__all__ = [
    "DEFAULT_WAIT",
    "Checkup",
    "Finding",
    "Level",
    "Machine",
    "Preflight",
    "Speeds",
    "advise",
    "doctor",
    "fly",
    "look",
    "measure",
]
