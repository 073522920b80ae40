"""How much memory there is, and whether images as pixels would take too much of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["memory_bytes", "too_large"]

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of versions 2 and 1


def memory_bytes() -> int | None:
    """What this machine, or the container that this process runs in, has in all; None if that isn't known.

    In all, and not just now: what is decided by it should be decided alike tomorrow.
    """
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max": no limit
            total = min(total, int(Path(name).read_text()))
    return total


def too_large(num_images: int, size: tuple[int, int]) -> bool:
    """Whether so many images of that height and width, uint8 RGB, would take more than half of the memory."""
    total = memory_bytes()
    return total is not None and num_images * size[0] * size[1] * 3 * 2 > total
