"""What the processes of one job say of themselves, compared: which is unlike the others, and what that means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from podium import limits
from podium.checkup.advice import Finding, Level
from podium.checkup.network import is_loopback

__all__ = [
    "Clock",
    "Rank",
    "Reduction",
    "compare",
    "compare_clocks",
    "compare_reductions",
    "compare_speeds",
    "suspect_addresses",
]

CLOCK_SECONDS = 1.0
SLOW_LINK = 0.15e9  # bytes a second: what gigabit Ethernet carries, and a little
SLOW_WORD = 5e-3  # seconds; within one building it takes a tenth of that
SLOW_RANK = 0.7  # of the median
GRADIENT = 102_228_128  # bytes of resnet50's, in fp32: 25,557,032 parameters


@dataclass(frozen=True)
class Rank:
    """What one process says of itself.

    Attributes:
        rank, host, local_rank, local_size: its place, and where.
        python, torch, podium: versions.
        cores, core_quota: that it may use, as of `Machine`.
        num_threads: that it computes with.
        gpus: names of those on its machine.
        source, interface: its machine's address on the way to where they meet, and what has it.
        own_address: what its machine's own name resolves to.
        named_interface: GLOO_SOCKET_IFNAME.
        matmul_gflops, jpegs_per_second: measured while all others measured too; None: they weren't asked to.
    """

    rank: int
    host: str
    local_rank: int
    local_size: int
    python: str
    torch: str
    podium: str
    cores: str
    core_quota: float | None
    num_threads: int
    gpus: tuple[str, ...]
    source: str | None
    interface: str | None
    own_address: str | None
    named_interface: str | None
    matmul_gflops: float | None = None
    jpegs_per_second: float | None = None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Rank:
        """From JSON."""
        return cls(**{**said, "gpus": tuple(said["gpus"])})


@dataclass(frozen=True)
class Clock:
    """A machine's clock: what it shows minus what rank 0's shows, in seconds, and how exactly that is known."""

    rank: int
    host: str
    seconds: float
    uncertainty: float


@dataclass(frozen=True)
class Reduction:
    """A sum of all processes' tensors.

    Attributes:
        num_bytes: of each.
        device: cpu (gloo) or cuda (NCCL).
        size: processes.
        seconds: the median of some, of the slowest process.
        wrong: ranks that got another sum.
    """

    num_bytes: int
    device: str
    size: int
    seconds: float
    wrong: tuple[int, ...]

    @property
    def bus_bytes_per_second(self) -> float:
        """What each process sends a second, if they sum in a ring: 2(n - 1)/n of its bytes."""
        return 2 * (self.size - 1) / self.size * self.num_bytes / self.seconds


def compare(ranks: Sequence[Rank]) -> list[Finding]:
    """What is wrong with who has come; of nobody, nothing."""
    if not ranks:
        return []
    return [*_versions(ranks), *_cores(ranks), *_gpus(ranks)]


def compare_clocks(found: Iterable[Clock]) -> list[Finding]:
    """Clocks that are surely wrong by more than a second."""
    return [
        Finding(
            Level.SLOW,
            f"The clock of {one.host} (rank {one.rank}) is {abs(one.seconds):.1f} s "
            f"{'ahead of' if one.seconds > 0 else 'behind'} rank 0's.",
            "Trainings don't need it; logs and the times of files do: switch NTP on (timedatectl set-ntp true).",
        )
        for one in found
        if abs(one.seconds) - one.uncertainty > CLOCK_SECONDS
    ]


def compare_reductions(found: Sequence[Reduction], ranks: Sequence[Rank]) -> list[Finding]:
    """Sums that are wrong or slow."""
    findings = []
    wrong = sorted({rank for one in found for rank in one.wrong})
    if wrong:
        findings.append(
            Finding(
                Level.FAULT,
                f"The sum of all processes' tensors is wrong on {_named(ranks, wrong).replace('Rank', 'rank', 1)}.",
                "That is memory, a network card or its driver. Run again without that machine.",
            )
        )
    if not found or len({rank.host for rank in ranks}) == 1:
        return findings  # within one machine there is no network to mend
    word, large = found[0], found[-1]
    if word.seconds > SLOW_WORD:
        findings.append(
            Finding(
                Level.SLOW,
                f"A word between all processes takes {word.seconds * 1e3:.1f} ms; each step needs several.",
                "Put the machines into one network, or train with larger batches.",
            )
        )
    if large.bus_bytes_per_second < SLOW_LINK:
        step = GRADIENT / large.num_bytes * large.seconds
        findings.append(
            Finding(
                Level.SLOW,
                f"The network carries {large.bus_bytes_per_second / 1e6:.0f} MB/s between processes: summing "
                f"resnet50's gradient (102 MB) takes {step:.1f} s, each step.",
                "Name the fast network (GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME), or train with larger batches.",
            )
        )
    return findings


def compare_speeds(ranks: Sequence[Rank]) -> list[Finding]:
    """Processes that are much slower than the others, which wait for them at every step."""
    known = [(rank, rank.matmul_gflops) for rank in ranks if rank.matmul_gflops is not None]
    if not known:
        return []
    middle = statistics.median(speed for _, speed in known)
    return [
        Finding(
            Level.SLOW,
            f"Rank {rank.rank} on {rank.host} multiplies at {speed:g} GFLOP/s, the others at about {middle:g}: all "
            "wait for it at every step.",
            "See what else runs there, and whether it throttles.",
        )
        for rank, speed in known
        if speed < SLOW_RANK * middle
    ]


def suspect_addresses(ranks: Sequence[Rank]) -> list[Finding]:
    """Why processes that met may not have reached each other: gloo tells others its machine's own name's address."""
    if len({rank.host for rank in ranks}) == 1:
        return []
    return [
        Finding(
            Level.FAULT,
            f"{rank.host}'s own name leads to {rank.own_address or 'no address'}: other machines can't come there.",
            f"There, set GLOO_SOCKET_IFNAME={rank.interface or 'eth0'} (and NCCL_SOCKET_IFNAME), or mend /etc/hosts.",
        )
        for rank in ranks
        if rank.local_rank == 0
        and not rank.named_interface
        and (rank.own_address is None or is_loopback(rank.own_address))
    ]


def _versions(ranks: Sequence[Rank]) -> Iterator[Finding]:
    for key in ("podium", "torch", "python"):
        mine = getattr(ranks[0], key)
        for other in sorted({getattr(rank, key) for rank in ranks} - {mine}):
            having = [rank.rank for rank in ranks if getattr(rank, key) == other]
            yield Finding(
                Level.SLOW if key == "python" else Level.FAULT,
                f"{_named(ranks, having)} runs {key} {other}, rank 0 on {ranks[0].host} {mine}.",
                "podium works so, but better have one version everywhere."
                if key == "python"
                else f"Install {key} {mine} there.",
            )


def _by_host(ranks: Sequence[Rank]) -> Iterator[tuple[str, list[Rank]]]:
    for host, some in groupby(sorted(ranks, key=lambda rank: rank.host), key=lambda rank: rank.host):
        yield host, list(some)


def _cores(ranks: Sequence[Rank]) -> Iterator[Finding]:
    for host, some in _by_host(ranks):
        num_cores = len(frozenset().union(*(limits.cores_in(rank.cores) for rank in some)))
        quotas = [rank.core_quota for rank in some if rank.core_quota is not None]
        num_cores = min([num_cores, *(max(1, math.ceil(quota)) for quota in quotas)])
        num_threads = sum(rank.num_threads for rank in some)
        if num_threads > num_cores:
            yield Finding(
                Level.SLOW,
                f"{host} has {num_cores} cores for {len(some)} processes with {num_threads} threads in all: they wait "
                "for each other.",
                f"Start torchrun with --nproc-per-node {num_cores} there."
                if len(some) > num_cores
                else f"Set OMP_NUM_THREADS={num_cores // len(some)} there.",
                host=host,
            )


def _gpus(ranks: Sequence[Rank]) -> Iterator[Finding]:
    without = [rank.rank for rank in ranks if not rank.gpus]
    if without and len(without) < len(ranks):
        yield Finding(
            Level.FAULT,
            f"{_named(ranks, without)} sees no GPU, others do; they can't compute together.",
            "`podium doctor` alone says there why. Or hide all others' (CUDA_VISIBLE_DEVICES=).",
        )
    for rank in ranks:
        if 0 < len(rank.gpus) < rank.local_size and rank.local_rank == 0:
            yield Finding(
                Level.FAULT,
                f"{rank.local_size} processes were started on {rank.host}, which has {len(rank.gpus)} GPU.",
                f"Start one for each: --nproc-per-node {len(rank.gpus)}.",
                host=rank.host,
            )
    kinds = sorted({name for rank in ranks for name in rank.gpus})
    if len(kinds) > 1:
        yield Finding(Level.SLOW, f"The GPUs differ ({', '.join(kinds)}): all wait for the slowest at every step.")


def _named(ranks: Sequence[Rank], some: Sequence[int]) -> str:
    """Such as: Rank 2, 3 on b."""
    hosts = sorted({ranks[rank].host for rank in some})
    numbers = ", ".join(map(str, some[:8])) + (" …" if len(some) > 8 else "")
    return f"Rank {numbers} on {', '.join(hosts[:3])}{' …' if len(hosts) > 3 else ''}"
