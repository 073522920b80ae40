"""Since when a command runs: --minutes count from there, loading torch included."""

import time

__all__ = ["since_start"]

_BEGAN = time.monotonic()


def since_start() -> float:
    """Seconds."""
    return time.monotonic() - _BEGAN
