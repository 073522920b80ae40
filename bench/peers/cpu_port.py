"""airbench94_muon.py on a processor.

The same text with the substitutions below, and two things done from outside: the net's forward runs in bf16 autocast
where the processor multiplies bf16 natively, in fp32 elsewhere, and gives its logits in fp32; and the process keeps
freed memory (podium.runtime.prepare), which helps this training as much as podium's. Compilation is off: in eager mode
with that allocator the net is faster on a processor. Epochs, batches, augmentation, optimizers, rates, initialisation
and evaluation are the script's own text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from peers import source
from peers.drivers import Airbench94
from peers.source import Substitution
from podium.runtime import Runtime

__all__ = ["NO_BF16", "SUBSTITUTIONS", "TINY", "Airbench94OnCpu"]

SUBSTITUTIONS = (
    Substitution(
        'map_location=torch.device("cuda")',
        'map_location=torch.device("cpu")',
        "device: the data are read onto the GPU",
    ),
    Substitution("torch.cuda.Event(enable_timing=True)", "Clock()", "device: the GPU's clock", count=2),
    Substitution("torch.cuda.synchronize()", "pass", "device: a processor has nothing to wait for"),
    Substitution(
        "@torch.compile\ndef zeropower_via_newtonschulz5", "def zeropower_via_newtonschulz5", "compilation is off"
    ),
    Substitution("mod.half()", "mod.float()", "precision: weights in fp32, products in bf16 by autocast"),
)
"""All that is changed in the text."""

NO_BF16 = (Substitution("X = G.bfloat16()", "X = G.float()", "precision: no native bf16 on this processor"),)
"""Besides, where a processor has no native bf16."""

TINY = (
    Substitution("batch_size = 2000\n", "batch_size = 64\n", "tiny: few images"),
    Substitution("ceil(8 * len(train_loader))", "ceil(1 * len(train_loader))", "tiny: one epoch"),
)
"""For trying the bench out with a few hundred images; never for a figure."""


class Clock:
    """Stands in for torch.cuda.Event."""

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, end: Clock) -> float:
        """Milliseconds from this record to that one."""
        return 1e3 * (end.at - self.at)


class Airbench94OnCpu(Airbench94):
    """airbench94_muon.py on a processor.

    Args:
        path: of the script.
        data: folder with cifar10/train.pt and cifar10/test.pt, which becomes the working folder.
        runtime: gives the precision.
        is_tiny: one epoch of small batches.
    """

    def __init__(self, path: Path, data: Path, runtime: Runtime, *, is_tiny: bool = False) -> None:
        self.runtime = runtime
        self.is_tiny = is_tiny
        super().__init__(path, data)

    def load(self, path: Path) -> ModuleType:
        """The script with the substitutions, its net in autocast."""
        substitutions = [*SUBSTITUTIONS, *(TINY if self.is_tiny else ())]
        if self.runtime.compute_dtype != torch.bfloat16:
            substitutions += NO_BF16
        module = source.load(path, self.needed, substitutions, {"Clock": Clock})
        module.CifarNet.forward = self._in_autocast(module.CifarNet.forward)
        return module

    def warm_up(self) -> None:
        """Builds. There is nothing to compile, so no run is made for that."""
        self.model = self.module.CifarNet().to(memory_format=torch.channels_last)

    def _in_autocast(self, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def inner(net: nn.Module, images: Tensor, **options: Any) -> Tensor:
            if self.runtime.compute_dtype == torch.float32:
                images = images.float()  # the script keeps them in half precision, which autocast would see to
            with self.runtime.autocast():
                return forward(net, images, **options).float()

        return inner
