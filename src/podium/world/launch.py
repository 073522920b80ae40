"""What a launcher says to each process it starts, in environment variables: torchrun's names, which others use too."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from podium.errors import WorldError

__all__ = ["DEFAULT_TIMEOUT", "Job", "Launch", "is_first", "launch", "timeout_seconds"]

DEFAULT_TIMEOUT = 600.0
"""Seconds for which a process waits for the others, if PODIUM_TIMEOUT doesn't say otherwise."""


@dataclass(frozen=True)
class Job:
    """What several starts of the same processes have in common.

    Attributes:
        id: torchrun's --rdzv-id; where none was given, one made of torchrun's own process.
        num_restarts: so many times torchrun has started the processes anew.
    """

    id: str
    num_restarts: int


@dataclass(frozen=True)
class Launch:
    """One process's place among those that were started together.

    Attributes:
        rank: 0 … size - 1, over all machines.
        size: processes on all machines.
        local_rank: 0 … local_size - 1, on this machine.
        local_size: processes on this machine.
        address, port: where they meet.
        is_hosted: whether the launcher serves that place; else rank 0 does.
        job: None: the launcher starts nothing anew.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int
    is_hosted: bool
    job: Job | None


def launch() -> Launch | None:
    """What the launcher said; None: there was none. Raises WorldError if it makes no sense."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    if size > 1 and not (os.environ.get("MASTER_ADDR") and os.environ.get("MASTER_PORT")):
        raise WorldError("RANK and WORLD_SIZE are set, MASTER_ADDR and MASTER_PORT aren't: start podium with torchrun.")
    local_rank, local_size = _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)
    if not (0 <= rank < size and 0 <= local_rank < local_size):
        raise WorldError(f"RANK = {rank} of WORLD_SIZE = {size} can't be: start podium with torchrun.")
    port = _number("MASTER_PORT", 0)
    if size > 1 and not 0 < port < 65536:
        raise WorldError(f"MASTER_PORT = {port} can't be: ports are 1 … 65535. Start podium with torchrun.")
    return Launch(
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        address=os.environ.get("MASTER_ADDR", ""),
        port=port,
        is_hosted=os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        job=_job(),
    )


def is_first() -> bool:
    """Whether this process is the one that speaks: rank 0, or alone."""
    return os.environ.get("RANK", "0") == "0" or "WORLD_SIZE" not in os.environ


def timeout_seconds() -> float:
    """How long to wait for the others: $PODIUM_TIMEOUT, or ten minutes. Raises WorldError."""
    text = os.environ.get("PODIUM_TIMEOUT", "")
    try:
        seconds = float(text) if text else DEFAULT_TIMEOUT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise WorldError(f"PODIUM_TIMEOUT = {text!r} can't be: it takes seconds, a number above 0.")
    return seconds


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise WorldError(f"{name} = {text!r} can't be: it takes a whole number. Start podium with torchrun.") from None


def _job() -> Job | None:
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return None
    if name == "none":  # torchrun's word for: nobody gave one
        name = f"{socket.gethostname()}-{os.getppid()}-{_birth(os.getppid())}"
    return Job(name, _number("TORCHELASTIC_RESTART_COUNT", 0))


def _birth(pid: int) -> str:
    """When a process began, in the kernel's ticks: numbers of processes are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
