"""What is wrong or slow on a machine, in plain words, and what to do about it: from facts alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from podium.checkup.machine import Machine
from podium.checkup.packages import Package

__all__ = ["Finding", "Level", "advise"]

GIB = 2**30
LITTLE_MEMORY = 2 * GIB  # the seed's ResNet-18 trains within it; so does opening 300,000 archive members
LITTLE_SHM = GIB  # a few batches of 256 images of 224×224 (39 MB each) for each of some workers
LITTLE_DISK = 2 * GIB  # CIFAR's test set of 300,000 takes 0.9 GB as pixels


class Level(StrEnum):
    """How bad it is."""

    FAULT = "fault"
    """podium can't work."""
    SLOW = "slow"
    """It works, slower than it could, or not for everything."""
    HINT = "hint"
    """Nothing is wrong."""


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        level: how bad it is.
        what: is so.
        do: about it; empty: nothing can be done.
        host: the machine on which it is so, where there are several; None: this one, or all.
    """

    level: Level
    what: str
    do: str = ""
    host: str | None = None


def advise(machine: Machine) -> list[Finding]:
    """What there is to say of a machine, the worst first."""
    found = [*_about_packages(machine), *_about_cores(machine), *_about_gpus(machine), *_about_memory(machine)]
    found += [*_about_cache(machine), *_about_settings(machine)]
    return sorted(found, key=lambda one: list(Level).index(one.level))


def _about_packages(machine: Machine) -> Iterator[Finding]:
    if machine.torch_problem is not None:
        yield Finding(
            Level.FAULT,
            f"torch can't be imported ({machine.torch_problem}).",
            "Install it again: pip install --force-reinstall torch; for processors only, add "
            "--index-url https://download.pytorch.org/whl/cpu.",
        )
    for package in machine.packages:
        if package.extra is None and not package.is_good and (package.name != "torch" or not machine.torch_problem):
            state = f"is {package.installed}, too old" if package.installed else "is missing"
            yield Finding(Level.FAULT, f"{package.name} {state}.", f"pip install '{package.name}>={package.at_least}'")
    by_extra: dict[str, list[Package]] = {}
    for package in machine.packages:
        if package.extra is not None and package.extra != "dev" and not package.is_good:
            by_extra.setdefault(package.extra, []).append(package)
    for extra, lacking in by_extra.items():
        names = ", ".join(one.name for one in lacking)
        yield Finding(
            Level.HINT,
            f"The extra {extra} isn't installed ({names})" + (f"; it {lacking[0].gives}." if lacking[0].gives else "."),
            f"If you need it: pip install 'podium-vision[{extra}]'",
        )


def _about_cores(machine: Machine) -> Iterator[Finding]:
    if machine.core_quota is not None and machine.core_quota < machine.num_cores:
        yield Finding(
            Level.HINT,
            f"The container has {machine.core_quota:g} of {machine.num_cores} cores' time; podium computes with "
            f"{machine.num_usable_cores} threads.",
            "For more, start it with a larger quota (docker run --cpus).",
        )
    elif machine.num_usable_cores < machine.num_cores:
        yield Finding(
            Level.HINT,
            f"This process may run on cores {machine.cores} only, of {machine.num_cores}.",
            "That comes from taskset, numactl, a job scheduler or a container (docker run --cpuset-cpus).",
        )
    build = machine.torch
    if build is None:
        return
    num_threads = build.num_threads * machine.num_processes
    if machine.num_processes == 1 and num_threads > machine.num_usable_cores:
        yield Finding(
            Level.SLOW,
            f"OMP_NUM_THREADS makes {num_threads} threads, for {machine.num_usable_cores} cores, where they wait.",
            "Unset it: podium takes one a core by itself.",
        )
    elif num_threads < machine.num_usable_cores and "OMP_NUM_THREADS" in machine.settings and not machine.gpus:
        yield Finding(
            Level.SLOW,
            f"OMP_NUM_THREADS leaves {num_threads} of {machine.num_usable_cores} cores to podium.",
            "Unset it, or give --threads, unless another program needs the others.",
        )
    if machine.gpus:
        return
    if not machine.bf16:
        yield Finding(
            Level.SLOW,
            "The processor has no instructions for bf16, so podium trains in fp32, about half as fast.",
            "Processors that have them: Xeon from the 4th generation, EPYC and Ryzen from Zen 4, Arm from Neoverse V1.",
        )
    elif "AVX" in machine.bf16[0] and not build.has_onednn:
        yield Finding(
            Level.SLOW,
            "This build of torch lacks oneDNN, so it multiplies bf16 without the processor's instructions for it.",
            "Install torch from PyPI or download.pytorch.org, or set precision=fp32.",
        )
    if machine.compiler is None:
        yield Finding(
            Level.HINT,
            "There is no C++ compiler, so recipes with compile = default or max can't run here.",
            "No recipe needs it. To have it: apt install g++, or your system's like.",
        )


def _about_gpus(machine: Machine) -> Iterator[Finding]:
    if machine.gpu_problem is not None:
        yield Finding(
            Level.SLOW,
            f"The system shows signs of a GPU, which torch can't use: {machine.gpu_problem}.",
            "See https://pytorch.org/get-started/locally for the build that fits the driver (nvidia-smi names it).",
        )
    for number, gpu in enumerate(machine.gpus):
        if not gpu.has_kernels:
            yield Finding(
                Level.FAULT,
                f"GPU {number}, {gpu.name} (capability {gpu.capability}), isn't one that this build of torch "
                f"{machine.torch.version if machine.torch else ''} was made for.",
                "Install another build of torch (https://pytorch.org/get-started/locally), or compute on the processor "
                "(CUDA_VISIBLE_DEVICES= in front of the command).",
            )
        elif not gpu.has_bf16:
            yield Finding(
                Level.SLOW,
                f"GPU {number}, {gpu.name} (capability {gpu.capability}), has no bf16: podium trains in fp32 on it.",
            )
    if len(machine.gpus) > 1:
        yield Finding(
            Level.HINT,
            f"There are {len(machine.gpus)} GPUs; one process uses one.",
            f"torchrun --nproc-per-node {len(machine.gpus)} -m podium train … uses all.",
        )


def _about_memory(machine: Machine) -> Iterator[Finding]:
    if 0 < machine.available_bytes < LITTLE_MEMORY:
        limit = "" if machine.memory_limit_bytes is None else " under the container's limit"
        yield Finding(
            Level.SLOW,
            f"{machine.available_bytes / GIB:.1f} GiB of memory are left{limit}; the system may end a training.",
            "End other programs, raise the limit (docker run --memory), or train with a smaller batch "
            "(--set batch_size=…).",
        )
    if machine.shm_bytes is not None and (machine.shm_free_bytes or 0) < LITTLE_SHM:
        yield Finding(
            Level.SLOW,
            f"/dev/shm has {(machine.shm_free_bytes or 0) / 2**20:,.0f} MiB left; processes that decode large images "
            "hand them over through it, and end with a bus error where it is full.",
            "docker run --shm-size=8g, or mount -o remount,size=8g /dev/shm.",
        )
    if not machine.keeps_memory and machine.system.startswith("Linux"):
        yield Finding(
            Level.SLOW,
            f"Memory comes from {machine.allocator}, which podium can't tell to keep what is freed; on glibc that "
            "saves a tenth to a third of a training step on a processor.",
            "Leave LD_PRELOAD away, or use a system with glibc; jemalloc and its like have settings of their own.",
        )


def _about_cache(machine: Machine) -> Iterator[Finding]:
    cache = machine.cache
    if not cache.is_writable:
        yield Finding(
            Level.FAULT,
            cache.problem or f"The cache {cache.path} can't be written.",
            "Set PODIUM_CACHE to a folder that you may write to.",
        )
    elif cache.free_bytes is not None and cache.free_bytes < LITTLE_DISK:
        yield Finding(
            Level.SLOW,
            f"The disk of the cache {cache.path} has {cache.free_bytes / GIB:.1f} GiB left; a data set's pixels are "
            "kept there (CIFAR-10: 0.2 GiB, with all 300,000 test images 1.1 GiB).",
            "Make room, or set PODIUM_CACHE to a folder on another disk.",
        )


def _about_settings(machine: Machine) -> Iterator[Finding]:
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"):
        if name in machine.settings:
            yield Finding(
                Level.SLOW,
                f"{name}={machine.settings[name]} keeps torch from the processor's newer instructions.",
                "Unset it.",
            )
