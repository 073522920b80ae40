"""Looking at the machine, or at all machines of one job."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from podium.checkup.advice import Finding, Level, advise
from podium.checkup.machine import Machine, look
from podium.checkup.preflight import Preflight, fly
from podium.checkup.timing import Speeds, advise_on_speed, measure
from podium.errors import WorldError
from podium.world import Launch, launch
from podium.world.launch import timeout_seconds

__all__ = ["DEFAULT_WAIT", "Checkup", "doctor"]

DEFAULT_WAIT = 60.0
"""Seconds for which `doctor` waits for other processes: less than a training, which may find one busy."""


@dataclass(frozen=True)
class Checkup:
    """What `doctor` found.

    Attributes:
        machine: what it has.
        speeds: measured, if that was asked for.
        preflight: what was found of several processes; None: there is one, or they didn't come together.
        findings: what there is to say, the worst first.
    """

    machine: Machine
    speeds: Speeds | None
    preflight: Preflight | None
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether podium can work: here, and with all other processes."""
        is_well = not any(one.level == Level.FAULT for one in self.findings)
        return is_well and (self.preflight is None or self.preflight.works)

    def to_dict(self) -> dict[str, Any]:
        """As JSON's kinds."""
        facts = asdict(self)
        if facts["preflight"] is not None:
            del facts["preflight"]["findings"]  # they are among all
        return {"works": self.works, **facts}


def doctor(*, time: bool = False, wait: float | None = None) -> Checkup:
    """Looks at this machine, and tries out whether the processes that a launcher started can compute together.

    Args:
        time: measure too, for some seconds.
        wait: seconds to wait for other processes, at each step; None: $PODIUM_TIMEOUT, or `DEFAULT_WAIT`.

    Raises:
        WorldError: on other ranks than 0, if they can't meet the others. Rank 0 has that among its findings.
    """
    place = launch()
    if wait is None:
        wait = timeout_seconds() if os.environ.get("PODIUM_TIMEOUT") else DEFAULT_WAIT
    machine = look(place.local_size if place else 1)
    threads = machine.torch.num_threads if machine.torch else None
    device = f"cuda:{place.local_rank}" if place and machine.gpus and place.local_rank < len(machine.gpus) else "auto"
    speeds = measure(device, num_threads=threads) if time and machine.torch else None
    findings = advise(machine)
    if speeds is not None:
        findings += advise_on_speed(speeds, machine)
    preflight = None
    if place is not None and place.size > 1 and machine.torch is not None:
        preflight, more = _flown(place, machine, speeds, wait)
        findings += more
    findings.sort(key=lambda one: list(Level).index(one.level))
    return Checkup(machine, speeds, preflight, tuple(findings))


def _flown(
    place: Launch, machine: Machine, speeds: Speeds | None, wait: float
) -> tuple[Preflight | None, tuple[Finding, ...]]:
    try:
        preflight = fly(place, machine, speeds, wait)
    except WorldError as error:
        if place.rank:
            raise
        what, _, do = str(error).partition("\n")
        return None, (Finding(Level.FAULT, what, do),)
    return preflight, preflight.findings
