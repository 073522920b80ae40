"""Whether processes that a launcher started can compute together, tried out step by step before a training is.

They meet, rank 0 compares what each says of itself, clocks are set against its own, and all sum tensors. Rank 0 alone
knows everything, and reports.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from podium import limits
from podium.checkup import clocks
from podium.checkup.advice import Finding, Level, advise
from podium.checkup.compare import (
    Clock,
    Rank,
    Reduction,
    compare,
    compare_clocks,
    compare_reductions,
    compare_speeds,
    suspect_addresses,
)
from podium.checkup.machine import Machine
from podium.checkup.network import Route, route_to
from podium.checkup.timing import Speeds
from podium.errors import WorldError
from podium.world import Launch, World, silence
from podium.world.meeting import connect, form, meet

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = ["REDUCTIONS", "Preflight", "fly"]

REDUCTIONS = {4: 20, 4 << 20: 10, 64 << 20: 5}
"""Bytes that are summed, and how often; the first says what a word takes, whatever its size."""
_NUM_WARM = 2
_PARTING_SECONDS = 5.0


@dataclass(frozen=True)
class Preflight:
    """What was found; complete on rank 0, elsewhere only `works` is.

    Attributes:
        works: whether all can compute together.
        address: where they met.
        ranks: each process.
        clocks: of each machine but rank 0's.
        reductions: sums of all processes' tensors; empty: it didn't come to that.
        findings: what there is to say, the worst first.
    """

    works: bool
    address: str
    ranks: tuple[Rank, ...] = ()
    clocks: tuple[Clock, ...] = ()
    reductions: tuple[Reduction, ...] = ()
    findings: tuple[Finding, ...] = ()


def fly(place: Launch, machine: Machine, speeds: Speeds | None, seconds: float) -> Preflight:
    """Tries it out; all processes call this.

    Args:
        place: of this process.
        machine: that it runs on.
        speeds: measured by it, if all were asked to.
        seconds: to wait for the others, at each step.

    Raises:
        WorldError: the place to meet can't be reached, or some ranks don't come or fall silent; it names them.
    """
    address = f"{place.address}:{place.port}"
    route = route_to(place.address, place.port)
    if not route.addresses:
        raise WorldError(
            f"Rank {place.rank} on {machine.host} doesn't know the name {place.address}, where the processes meet.\n"
            "Give torchrun's --rdzv-endpoint (or --master-addr) an IP address, or put the name into /etc/hosts."
        )
    store = connect(place, seconds)
    try:
        return _flown(store, place, machine, speeds, route, seconds)
    except RuntimeError as error:
        if not silence.is_its_sign(error):
            raise
        raise WorldError(
            f"Rank {place.rank} on {machine.host} lost {address}, where the processes meet: rank 0 or the launcher "
            "ended, or the network is cut.\nRank 0 says why."
        ) from error


def _flown(
    store: Store, place: Launch, machine: Machine, speeds: Speeds | None, route: Route, seconds: float
) -> Preflight:
    everyone = meet(store, place, seconds)
    talk = _Talk(store, place, f"doctor/{everyone[0]['token']}/{{}}", seconds)
    mine = Rank(
        rank=place.rank,
        host=everyone[place.rank]["host"],
        local_rank=place.local_rank,
        local_size=place.local_size,
        python=everyone[place.rank]["python"],
        torch=everyone[place.rank]["torch"],
        podium=everyone[place.rank]["podium"],
        cores=limits.core_ranges(limits.allowed_cores()),
        core_quota=machine.core_quota,
        num_threads=machine.torch.num_threads if machine.torch else 1,
        gpus=tuple(gpu.name for gpu in machine.gpus),
        source=route.source,
        interface=route.interface,
        own_address=route.own_address,
        named_interface=os.environ.get("GLOO_SOCKET_IFNAME"),
        matmul_gflops=max(speeds.matmul_bf16_gflops, speeds.matmul_fp32_gflops) if speeds else None,
        jpegs_per_second=speeds.jpegs_per_second if speeds else None,
    )
    # what is to say of a machine, one process of it says; of rank 0's, it is said elsewhere
    advice = advise(machine) if place.local_rank == 0 and place.rank else []
    told = talk.collect({"rank": asdict(mine), "advice": [asdict(one) for one in advice]})
    ranks = tuple(Rank.of(one["rank"]) for one in told)
    found_clocks = _clocks(talk, place, ranks)
    findings = [*compare(ranks), *compare_clocks(found_clocks), *compare_speeds(ranks)]
    for rank, one in zip(ranks, told, strict=True):
        findings += [replace(Finding(**words), level=Level(words["level"]), host=rank.host) for words in one["advice"]]
    works = talk.tell(not _faults(findings))
    reductions: tuple[Reduction, ...] = ()
    if works:
        try:
            world = form(store, place, everyone, seconds)
            with world.watched():
                reductions = _reductions(world, machine)
                findings += compare_reductions(reductions, ranks) if place.rank == 0 else []
                works = world.tell(not _faults(findings))
        except WorldError as error:
            if place.rank:
                raise
            what, _, do = str(error).partition("\n")
            findings += [*suspect_addresses(ranks), Finding(Level.FAULT, what, do)]
            works = False
    findings.sort(key=lambda one: list(Level).index(one.level))
    talk.part()
    return Preflight(works, f"{place.address}:{place.port}", ranks, found_clocks, reductions, tuple(findings))


def _faults(findings: list[Finding]) -> bool:
    return any(finding.level == Level.FAULT for finding in findings)


@dataclass(frozen=True)
class _Talk:
    """Words between rank 0 and the others, through the store: they need no connections among each other.

    Attributes:
        store: where they met.
        place: of this process.
        key: of an entry in the store, with a place for its name.
        seconds: to wait.
    """

    store: Store
    place: Launch
    key: str
    seconds: float

    def collect(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        """Everyone's values, on rank 0; nothing elsewhere. Raises WorldError."""
        keys = [self.key.format(f"said/{rank}") for rank in range(self.place.size)]
        self.store.set(keys[self.place.rank], json.dumps(value))
        if self.place.rank:
            return []
        self._wait(keys)
        return [json.loads(one) for one in self.store.multi_get(keys)]

    def tell(self, value: bool) -> bool:
        """Rank 0's value. Raises WorldError."""
        key = self.key.format("told")
        if self.place.rank == 0:
            self.store.set(key, json.dumps(value))
            return value
        self._wait([key])
        return bool(json.loads(self.store.get(key)))

    def part(self) -> None:
        """Rank 0, which may keep the store, ends last; it doesn't wait for long."""
        keys = [self.key.format(f"parted/{rank}") for rank in range(1, self.place.size)]
        if self.place.rank:
            self.store.set(keys[self.place.rank - 1], "")
        else:
            with suppress(RuntimeError):
                self.store.wait(keys, timedelta(seconds=min(self.seconds, _PARTING_SECONDS)))

    def _wait(self, keys: list[str]) -> None:
        try:
            self.store.wait(keys, timedelta(seconds=self.seconds))
        except RuntimeError as error:
            silent = [key.rpartition("/")[2] for key in keys if not self.store.check([key])]
            who = "rank 0" if silent == ["told"] else f"rank {', '.join(silent)}"
            raise WorldError(
                f"Rank {self.place.rank} met the others, but {who} then fell silent for {self.seconds:g} s.\n"
                "Look for an error of it in the launcher's output."
            ) from error


def _clocks(talk: _Talk, place: Launch, ranks: tuple[Rank, ...]) -> tuple[Clock, ...]:
    """The clocks of all machines, asked through the first process of each."""
    store, seconds = talk.store, talk.seconds
    name = talk.key.format(f"clock/{place.rank}")
    try:
        if place.rank:
            if place.local_rank == 0:
                offset = clocks.ask(store, name, seconds)
                store.set(name, json.dumps(asdict(offset)))
            return ()
        found = []
        for rank in ranks:
            if rank.rank and rank.local_rank == 0:
                name = talk.key.format(f"clock/{rank.rank}")
                clocks.answer(store, [name], seconds)
                store.wait([name], timedelta(seconds=seconds))
                found.append(Clock(rank.rank, rank.host, **json.loads(store.get(name))))
        return tuple(found)
    except RuntimeError as error:
        who = name.rpartition("/")[2] if place.rank == 0 else "0"
        raise WorldError(
            f"Rank {place.rank} met the others, but rank {who} then fell silent for {seconds:g} s.\n"
            "Look for an error of it in the launcher's output."
        ) from error


def _reductions(world: World, machine: Machine) -> tuple[Reduction, ...]:
    """Sums tensors of several sizes on the device that trainings use."""
    import torch  # noqa: PLC0415
    from torch import distributed  # noqa: PLC0415

    device = torch.device("cuda", world.local_rank) if machine.gpus else torch.device("cpu")
    if machine.gpus:
        torch.cuda.set_device(device)
    found = []
    for num_bytes, num_times in REDUCTIONS.items():
        pattern = (torch.arange(num_bytes // 4, device=device) % 251).float()
        expected = pattern * (world.size * (world.size + 1) // 2)  # whole numbers, exact in fp32
        seconds, is_correct = [], True
        for turn in range(_NUM_WARM + num_times):
            mine = pattern * (world.rank + 1)
            _finish(device)
            began = time.perf_counter()
            distributed.all_reduce(mine)
            _finish(device)
            if turn >= _NUM_WARM:
                seconds.append(time.perf_counter() - began)
            is_correct &= torch.equal(mine, expected)
        each = world.each([statistics.median(seconds), is_correct])
        wrong = tuple(rank for rank, (_, good) in enumerate(each) if not good)
        found.append(Reduction(num_bytes, str(device.type), world.size, max(time for time, _ in each), wrong))
    return tuple(found)


def _finish(device: Any) -> None:
    if device.type == "cuda":
        import torch  # noqa: PLC0415

        torch.cuda.synchronize(device)
