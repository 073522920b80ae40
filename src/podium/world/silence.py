"""When a process waits for others in vain: which of them don't answer, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.world.group import World

__all__ = ["explained", "is_its_sign"]

_ROLL_SECONDS = 10.0  # in which a process that lives notices that another one is silent, too
_SIGNS = ("gloo", "nccl", "connection", "timed out", "timeout", "store", "socket", "broken pipe", "distributed")


def is_its_sign(error: RuntimeError) -> bool:
    """Whether torch says so of what goes between processes. It has no class of errors for that."""
    return any(sign in str(error).lower() for sign in _SIGNS)


def explained(world: World) -> str:
    """Calls the roll: whoever doesn't answer is gone, or hangs."""
    me = world.name(world.rank).capitalize()
    assert world.store is not None
    try:
        world.store.set(f"roll/{world.rank}", "")
        others = [rank for rank in range(world.size) if rank != world.rank]
        end = time.monotonic() + _ROLL_SECONDS
        while missing := [rank for rank in others if not world.store.check([f"roll/{rank}"])]:
            if time.monotonic() > end:
                break
            time.sleep(0.1)
    except RuntimeError:
        return (
            f"{me} lost the place where the processes meet, the launcher's machine: it ended, or the network is "
            "cut.\nSee what the launcher says there; torchrun with --max-restarts goes on from the last checkpoint."
        )
    if not missing:
        return (
            f"{me}: the connection between processes broke, though all are alive: the network was away for more "
            f"than {world.timeout:g} s.\nGive them longer (PODIUM_TIMEOUT, in seconds), or look at the network "
            "(`podium doctor` under the same torchrun)."
        )
    names = " and ".join(world.name(rank) for rank in missing)
    return (
        f"{me} waited up to {world.timeout:g} s for {names}: ended, hanging, or cut off.\n"
        "Look there first; torchrun with --max-restarts goes on from the last checkpoint. PODIUM_TIMEOUT sets the "
        "seconds."
    )
