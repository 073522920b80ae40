"""What this process may use of the machine: cores and memory, as affinity and control groups (containers) allow.

Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "allowed_cores", "core_quota", "core_ranges", "cores_in", "memory", "num_usable_cores"]

ROOT = Path("/")


@dataclass(frozen=True)
class Memory:
    """Main memory, in bytes; 0 where the system doesn't say.

    Attributes:
        total: the machine's.
        available: what a new program can take without swapping, in the machine and under the limit.
        limit: the control group's; None: none below the machine's.
    """

    total: int
    available: int
    limit: int | None


def num_usable_cores(root: Path = ROOT) -> int:
    """Cores that this process may keep busy: those it may run on, or fewer if its group has a quota of time."""
    allowed, quota = len(allowed_cores()), core_quota(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def allowed_cores() -> frozenset[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def core_quota(root: Path = ROOT) -> float | None:
    """Cores' worth of time that its control group gives this process (docker's --cpus); None: no limit."""
    quotas = []
    for folder in _groups(root, "cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory(root: Path = ROOT) -> Memory:
    """The machine's memory, and what is left of it to this process."""
    total, available = _meminfo(root)
    limit: int | None = None
    for folder in _groups(root, "memory"):
        with suppress(OSError, ValueError):
            is_new = (folder / "memory.max").exists()
            text = (folder / ("memory.max" if is_new else "memory.limit_in_bytes")).read_text().strip()
            if text == "max" or int(text) >= total > 0:
                continue
            used = int((folder / ("memory.current" if is_new else "memory.usage_in_bytes")).read_text())
            free = int(text) - used + _reclaimable(folder)
            limit = min(int(text), limit or int(text))
            available = max(0, min(available or free, free))
    return Memory(total, available, limit)


def core_ranges(cores: frozenset[int]) -> str:
    """{0, 1, 2, 5} as "0-2,5", the kernel's way."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][1] + 1:
            parts[-1][1] = core
        else:
            parts.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def cores_in(ranges: str) -> frozenset[int]:
    """What `core_ranges` made a text of. Raises ValueError."""
    found: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's control group, then those that it lies in; some may not be there.

    In a container the path may be the host's, and what is mounted is the group itself.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        names, _, path = line.partition(":")[2].partition(":")
        if names and controller not in names.split(","):
            continue
        for base in (mounts / names, mounts / controller) if names else (mounts, mounts / "unified"):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for length in range(len(parts), -1, -1):
                yield base.joinpath(*parts[:length])


def _meminfo(root: Path) -> tuple[int, int]:
    found = {}
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(rest.split()[0]) * 1024
    if "MemTotal" not in found:
        with suppress(OSError, ValueError, AttributeError):
            found["MemTotal"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return found.get("MemTotal", 0), found.get("MemAvailable", 0)


def _reclaimable(folder: Path) -> int:
    """Bytes of files that the group counts as its memory, and that the kernel lets go of when it is short."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    return 0
