"""The GPUs that torch can use, and why it can't use others that the system has."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GPU", "has_kernels", "look_for_gpus"]

ROOT = Path("/")
_SIGNS = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvidia0", "dev/kfd", "dev/dxg")


@dataclass(frozen=True)
class GPU:
    """One GPU.

    Attributes:
        name: its model.
        memory_bytes: its own.
        capability: CUDA's compute capability, such as 9.0.
        has_kernels: whether this build of torch was made for it.
    """

    name: str
    memory_bytes: int
    capability: str
    has_kernels: bool

    @property
    def has_bf16(self) -> bool:
        """Whether it multiplies bf16 in hardware: from capability 8.0 on."""
        return int(self.capability.partition(".")[0]) >= 8


def look_for_gpus(root: Path = ROOT) -> tuple[tuple[GPU, ...], str | None]:
    """The GPUs, and what keeps torch from those that the system shows signs of; None: nothing."""
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        built_for = torch.cuda.get_arch_list()
        found = []
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            good = bool(torch.version.hip) or has_kernels((facts.major, facts.minor), built_for)
            found.append(GPU(facts.name, facts.total_memory, f"{facts.major}.{facts.minor}", good))
        return tuple(found), None
    if not any((root / sign).exists() for sign in _SIGNS):
        return (), None
    if not (torch.version.cuda or torch.version.hip):
        return (), "torch was built for processors only"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return (), "CUDA_VISIBLE_DEVICES hides them"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return (), str(error).strip().splitlines()[0]
    return (), "CUDA finds none that it can use"


def has_kernels(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a build runs on such a GPU: machine code runs on later minor versions, PTX on all later ones.

    Args:
        capability: major and minor.
        built_for: such as ["sm_80", "sm_90", "compute_90"].
    """
    for name in built_for:
        match = re.match(r"(sm|compute)_(\d+)(\d)([af]?)$", name)
        if match is None:
            continue
        kind, major, minor, tied = match.group(1), int(match.group(2)), int(match.group(3)), match.group(4)
        if tied == "a":
            fits = capability == (major, minor)
        elif kind == "sm" or tied:
            fits = capability[0] == major and capability[1] >= minor
        else:
            fits = capability >= (major, minor)
        if fits:
            return True
    return False
