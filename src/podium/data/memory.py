"""Whether images as pixels would take too much of the memory that there is."""

from __future__ import annotations

from podium import limits

__all__ = ["memory_bytes", "too_large"]


def memory_bytes() -> int | None:
    """What this machine, or the container that this process runs in, has in all; None if that isn't known.

    In all, and not just now: what is decided by it should be decided alike tomorrow.
    """
    found = limits.memory()
    return found.limit or found.total or None


def too_large(num_images: int, size: tuple[int, int]) -> bool:
    """Whether so many images of that height and width, uint8 RGB, would take more than half of the memory."""
    total = memory_bytes()
    return total is not None and num_images * size[0] * size[1] * 3 * 2 > total
