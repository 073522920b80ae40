"""What this machine has, as facts; what they mean is said in `advice`.

Nothing here raises: a machine on which something is broken is just what is looked at.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podium import limits
from podium.checkup.gpus import GPU, look_for_gpus
from podium.checkup.packages import Package, look_for_packages
from podium.data.cache import cache_root
from podium.errors import StorageError

__all__ = ["Cache", "Machine", "Torch", "look"]

ROOT = Path("/")
_BF16 = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX", "bf16": "Arm BF16", "svebf16": "SVE BF16"}
_LIMITS_OF_KERNELS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


@dataclass(frozen=True)
class Torch:
    """The build of torch.

    Attributes:
        version: such as 2.13.0+cpu.
        cuda: the version of CUDA, or ROCm's, that it was built with; None: for processors only.
        has_onednn: whether it has the library that multiplies bf16 on x86.
        instructions: the widest that its own kernels use here, such as AVX512.
        num_threads: that podium computes with, in one process.
    """

    version: str
    cuda: str | None
    has_onednn: bool
    instructions: str
    num_threads: int


@dataclass(frozen=True)
class Cache:
    """The folder that read archives are kept in.

    Attributes:
        path: the folder; None: there is no place for one.
        is_writable: whether podium may write there.
        free_bytes: room on its disk; None: unknown.
        problem: why there is no place, in words.
    """

    path: str | None
    is_writable: bool
    free_bytes: int | None
    problem: str | None = None


@dataclass(frozen=True)
class Machine:
    """What a machine has for this process. Sizes are bytes.

    Attributes:
        host: the machine's name.
        system: operating system, kernel and processor's kind.
        processor: its model.
        num_cores: of the machine.
        cores: those that this process may run on, such as "0-3".
        core_quota: cores' worth of time that its container has; None: no limit.
        num_usable_cores: what both leave.
        num_processes: of podium's that share them: as many as a launcher started here.
        bf16: instructions that multiply bf16, in words; empty: the processor has none.
        memory_bytes, available_bytes, memory_limit_bytes: in all, left, and the container's limit, if there is one.
        shm_bytes, shm_free_bytes: /dev/shm, through which processes hand images over; None: there is none.
        gpus: that torch can use.
        gpu_problem: why torch can't use those that the system has, in words; None: no sign of any.
        torch: None: it can't be imported.
        torch_problem: why.
        compiler: the C++ compiler that torch.compile would call; None: none.
        allocator: who hands out memory: glibc, musl, jemalloc, …
        keeps_memory: whether it follows when podium asks it to keep freed memory.
        settings: environment variables that are set and bear on speed.
        cache: where read archives are kept.
        python: its version.
        packages: those that podium needs or could use.
    """

    host: str
    system: str
    processor: str
    num_cores: int
    cores: str
    core_quota: float | None
    num_usable_cores: int
    num_processes: int
    bf16: tuple[str, ...]
    memory_bytes: int
    available_bytes: int
    memory_limit_bytes: int | None
    shm_bytes: int | None
    shm_free_bytes: int | None
    gpus: tuple[GPU, ...]
    gpu_problem: str | None
    torch: Torch | None
    torch_problem: str | None
    compiler: str | None
    allocator: str
    keeps_memory: bool
    settings: dict[str, str]
    cache: Cache
    python: str
    packages: tuple[Package, ...]


def look(num_processes: int = 1) -> Machine:
    """What this machine has, for one of so many processes of podium on it."""
    build, torch_problem = _torch(num_processes)
    gpus, gpu_problem = look_for_gpus() if build else ((), None)
    memory = limits.memory()
    shm, shm_free = _shared_memory()
    allocator, keeps_memory = _allocator()
    names = (
        *_LIMITS_OF_KERNELS,
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "PYTORCH_CUDA_ALLOC_CONF",
    )
    return Machine(
        host=platform.node(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=_processor(),
        num_cores=os.cpu_count() or 1,
        cores=limits.core_ranges(limits.allowed_cores()),
        core_quota=limits.core_quota(),
        num_usable_cores=limits.num_usable_cores(),
        num_processes=num_processes,
        bf16=bf16_instructions(),
        memory_bytes=memory.total,
        available_bytes=memory.available,
        memory_limit_bytes=memory.limit,
        shm_bytes=shm,
        shm_free_bytes=shm_free,
        gpus=gpus,
        gpu_problem=gpu_problem,
        torch=build,
        torch_problem=torch_problem,
        compiler=_compiler(),
        allocator=allocator,
        keeps_memory=keeps_memory,
        settings={name: os.environ[name] for name in names if name in os.environ},
        cache=_cache(),
        python=platform.python_version(),
        packages=look_for_packages(),
    )


def bf16_instructions(root: Path = ROOT) -> tuple[str, ...]:
    """The processor's instructions that multiply bf16, by their makers' names."""
    with suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() in ("flags", "Features"):
                found = set(flags.split())
                return tuple(words for flag, words in _BF16.items() if flag in found)
    return ()


def _processor() -> str:
    with suppress(Exception):  # it stands beside what needs torch
        from podium.runtime import processor_name  # noqa: PLC0415

        return processor_name()
    return platform.processor() or platform.machine()


def _torch(num_processes: int) -> tuple[Torch | None, str | None]:
    try:
        import torch  # noqa: PLC0415

        from podium.runtime import default_threads  # noqa: PLC0415

        build = Torch(
            version=str(torch.__version__),
            cuda=torch.version.cuda or torch.version.hip,
            has_onednn=bool(torch.backends.mkldnn.is_available()),  # type: ignore[no-untyped-call]
            instructions=torch.backends.cpu.get_cpu_capability(),
            num_threads=default_threads(num_processes) or torch.get_num_threads(),
        )
    except Exception as error:  # a broken build raises nearly anything
        return None, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else '?'}"
    return build, None


def _shared_memory(folder: Path = Path("/dev/shm")) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free


def _compiler() -> str | None:
    chosen = os.environ.get("CXX")
    names = [chosen] if chosen else ["g++", "clang++", "c++", "cl"]
    return next((found for name in names if (found := shutil.which(name))), None)


def _allocator() -> tuple[str, bool]:
    """Who hands out memory, and whether `runtime`'s mallopt reaches it: others take malloc over, and ignore it."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    for name in ("jemalloc", "tcmalloc", "mimalloc"):
        if name in preloaded:
            return name, False
    if sys.platform != "linux":
        return f"{platform.system()}'s own", False
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version.restype = ctypes.c_char_p
        return f"glibc {libc.gnu_get_libc_version().decode()}", hasattr(libc, "mallopt")
    return "not glibc (musl?)", False


def _cache() -> Cache:
    try:
        path = cache_root()
    except StorageError as error:
        return Cache(None, is_writable=False, free_bytes=None, problem=str(error))
    with suppress(OSError):
        folder = next(parent for parent in (path, *path.parents) if parent.exists())
        return Cache(str(path), _may_write(folder, is_cache=folder == path), shutil.disk_usage(folder).free)
    return Cache(str(path), is_writable=False, free_bytes=None)


def _may_write(folder: Path, *, is_cache: bool) -> bool:
    """Tried out in the cache itself; a folder that it would be made in is only asked."""
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return False
    if is_cache:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"podium")
                file.flush()
        except OSError:
            return False
    return True
