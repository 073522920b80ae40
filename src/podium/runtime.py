"""The machine: device, precision, threads, allocator, seeds; and what a manifest says of it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from podium.errors import WorldError
from podium.limits import num_usable_cores
from podium.world import ALONE, World, join

__all__ = ["Runtime", "describe_hardware", "describe_versions", "prepare", "random_stream", "send", "source_commit"]

# glibc's mallopt parameters (malloc.h)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


@dataclass(frozen=True)
class Runtime:
    """Where and how to compute.

    Attributes:
        device: a CPU or a GPU.
        compute_dtype: of matrix products and convolutions: torch.bfloat16 or torch.float32.
        num_threads: that torch uses inside an operation, on a CPU.
        world: the processes that compute together with this one.
    """

    device: torch.device
    compute_dtype: torch.dtype
    num_threads: int
    world: World = ALONE

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """A context in which matrix products and convolutions run in `compute_dtype`."""
        if self.compute_dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.compute_dtype)


def prepare(
    precision: str = "auto", *, device: str = "auto", num_threads: int | None = None, keep_memory: bool = True
) -> Runtime:
    """Chooses device and precision, and sets torch's threads and the allocator for this process.

    Where a launcher started several processes, it joins them; each takes the GPU of its local rank, or its share of the
    machine's cores.

    Args:
        precision: "auto" (bf16 where the processor multiplies it natively), "bf16" or "fp32".
        device: "auto" (a GPU where there is one), or any name that torch knows.
        num_threads: within an operation; None: as many as there are cores for this process, or as OMP_NUM_THREADS says.
        keep_memory: whether freed memory stays the process's, which is faster. What runs for weeks gives it back.

    Raises:
        WorldError: the other processes can't be joined, or there are more of them on this machine than GPUs.
    """
    world = join()
    chosen = _device(device, world)
    if num_threads is None:
        num_threads = default_threads(world.local_size)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    if chosen.type == "cpu" and keep_memory:
        _keep_freed_memory()
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    native = world.tell(_has_native_bf16(chosen))
    dtype = torch.bfloat16 if precision == "bf16" or (precision == "auto" and native) else torch.float32
    return Runtime(chosen, dtype, torch.get_num_threads(), world)


def default_threads(local_size: int = 1) -> int | None:
    """Threads for one of `local_size` processes of this machine: its share of the cores.

    None: OMP_NUM_THREADS, which torch obeys, is the user's word. For several processes torchrun sets it to 1 by itself.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None and not (threads == "1" and local_size > 1):
        return None
    return max(1, num_usable_cores() // local_size)


def _device(name: str, world: World) -> torch.device:
    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    if chosen.type != "cuda" or world.size == 1:
        return chosen
    if world.local_size > torch.cuda.device_count():
        raise WorldError(
            f"{world.local_size} processes were started on {world.hosts[world.rank]}, which has "
            f"{torch.cuda.device_count()} GPU: start one for each (--nproc-per-node {torch.cuda.device_count()})."
        )
    chosen = torch.device("cuda", world.local_rank)
    torch.cuda.set_device(chosen)
    return chosen


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. A GPU takes it from locked memory, so that the CPU goes on at once."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def random_stream(*key: int | str) -> torch.Generator:
    """A CPU generator whose numbers depend on `key` alone.

    Drawing from a stream named by (seed, purpose, epoch, step), rather than from one long stream, is what makes a
    resumed training equal to an uninterrupted one.
    """
    sha = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(sha[:8], "big") >> 1)


def describe_hardware(runtime: Runtime) -> dict[str, object]:
    """Processor, cores, memory and device, for a manifest."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    found: dict[str, object] = {
        "processor": processor_name(),
        "num_cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "device": str(runtime.device),
        "precision": str(runtime.compute_dtype).removeprefix("torch."),
        "num_threads": runtime.num_threads,
    }
    if runtime.world.size > 1:
        found["num_processes"] = runtime.world.size
    if runtime.device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(runtime.device)
    return found


def describe_versions() -> dict[str, str]:
    """Versions of Python, podium and what the result depends on."""
    return {
        "python": platform.python_version(),
        "podium": metadata.version("podium-vision"),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def source_commit() -> str | None:
    """The git commit of the checkout that podium runs from (with -dirty), or None when it is installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def processor_name() -> str:
    """The processor's model, as the system calls it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def isolated_seed(*key: int | str, device: torch.device | None = None) -> Iterator[None]:
    """Seeds torch's global generator from `key` inside, the device's too, and puts both back as they were after."""
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        seed = random_stream(*key).initial_seed()
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed(seed)
        yield


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or " bf16" in flags  # the last is Arm's name


def _keep_freed_memory() -> None:
    """Tells glibc to keep freed memory: a training step allocates the same gigabytes again and again.

    Without it each activation is mapped and zeroed by the kernel anew: a tenth of a step's time at batch 500, a third
    at batch 2000. Elsewhere than on glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 64 * 2**20)
