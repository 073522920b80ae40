"""How processes meet: through a store of keys that the launcher serves, and from there through torch.distributed."""

from __future__ import annotations

import atexit
import json
import os
import platform
import socket
import time
import uuid
from datetime import timedelta
from importlib import metadata
from typing import TYPE_CHECKING, Any

from podium.errors import WorldError
from podium.world.group import ALONE, World
from podium.world.launch import Job, Launch, launch, timeout_seconds

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

__all__ = ["about_me", "connect", "form", "join", "meet"]

_AGAIN_SECONDS = 1.0  # after which a process that nobody has noticed says again that it is there
_TRY_SECONDS = 5.0  # for one connection to where the processes meet
_REST_SECONDS = 0.3  # between two tries
_joined: World | None = None


def join() -> World:
    """The world of this process: `ALONE`, unless a launcher started several. It is formed once.

    Raises:
        WorldError: the others don't come, can't be reached, or run another version of torch or podium.
    """
    global _joined  # noqa: PLW0603  # a process has one world
    if _joined is None:
        _joined = _join()
    return _joined


def _join() -> World:
    place = launch()
    if place is None:
        return ALONE
    if place.size == 1:
        return World(job=place.job, timeout=timeout_seconds()) if place.job is not None else ALONE
    seconds = timeout_seconds()
    store = connect(place, seconds)
    everyone = meet(store, place, seconds)
    check_alike(everyone)
    return form(store, place, everyone, seconds)


def connect(place: Launch, seconds: float) -> Store:
    """The store that the launcher serves. Raises WorldError."""
    from torch import distributed  # noqa: PLC0415

    serves = place.rank == 0 and not place.is_hosted
    if not serves:
        _reach(place, seconds)
    try:
        return distributed.TCPStore(  # type: ignore[attr-defined]
            place.address,
            place.port,
            place.size,
            is_master=serves,
            timeout=timedelta(seconds=seconds),
            wait_for_workers=False,
        )
    except (RuntimeError, OSError) as error:
        raise _unreachable(place, seconds, str(error).splitlines()[0]) from error


def _reach(place: Launch, seconds: float) -> None:
    """Waits until somebody listens where the processes meet: torch would try in vain for long, in many lines."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((place.address, place.port), timeout=min(_TRY_SECONDS, seconds)).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise _unreachable(place, seconds, (error.strerror or str(error)).lower()) from error
        time.sleep(_REST_SECONDS)


def _unreachable(place: Launch, seconds: float, reason: str) -> WorldError:
    return WorldError(
        f"Rank {place.rank} on {socket.gethostname()} can't reach {place.address}:{place.port}, where the processes "
        f"meet: {reason}, for {seconds:g} s.\n"
        "Is rank 0's machine started, is that its address, and is the port open in its firewall?"
    )


def about_me() -> dict[str, Any]:
    """What a process says of itself when it comes."""
    import torch  # noqa: PLC0415

    return {
        "token": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "podium": metadata.version("podium-vision"),
        "time": time.time(),
    }


def meet(store: Store, place: Launch, seconds: float) -> list[dict[str, Any]]:
    """Waits until every rank has come, and gives what each said of itself.

    The launcher may keep its store over several starts, so what is in it may be of processes that have ended. Each
    start has tokens of its own: rank 0 shows those that it has seen, and a process goes on when its own is among them.

    Raises:
        WorldError: some don't come in time; it names them.
    """
    me = about_me()
    end = time.monotonic() + seconds
    keys = [f"podium/{rank}" for rank in range(place.size)]
    store.set(keys[place.rank], json.dumps(me))
    if place.rank:
        said = time.monotonic()
        while time.monotonic() < end:
            if store.check(["podium/all"]):
                everyone: list[dict[str, Any]] = json.loads(store.get("podium/all"))
                if len(everyone) == place.size and everyone[place.rank]["token"] == me["token"]:
                    store.set(_answer(everyone, place.rank), "")
                    return everyone
            if time.monotonic() - said > _AGAIN_SECONDS:  # a former start's process may have spoken in its place
                store.set(keys[place.rank], json.dumps(me))
                said = time.monotonic()
            time.sleep(0.02)
        raise WorldError(
            f"Rank {place.rank} on {me['host']} waited {seconds:g} s at {place.address}:{place.port}, and the others "
            "weren't complete.\nRank 0 says who is missing. Is each machine started, with the same --nnodes?"
        )
    missing: list[int] = []
    while time.monotonic() < end:
        missing = [rank for rank, key in enumerate(keys) if not store.check([key])]
        if not missing:
            everyone = [json.loads(one) for one in store.multi_get(keys)]
            store.set("podium/all", json.dumps(everyone))
            missing = [rank for rank in range(1, place.size) if not store.check([_answer(everyone, rank)])]
            if not missing:
                return everyone
        time.sleep(0.02)
    names = ", ".join(map(str, missing[:8])) + (" …" if len(missing) > 8 else "")
    raise WorldError(
        f"Of {place.size} processes, rank {names} didn't come to {place.address}:{place.port} within {seconds:g} s.\n"
        "Is its machine started, with the same --nnodes and --rdzv-endpoint? PODIUM_TIMEOUT sets the seconds."
    )


def check_alike(everyone: list[dict[str, Any]]) -> None:
    """Raises WorldError unless all run the same versions of podium and torch."""
    first = everyone[0]
    for rank, other in enumerate(everyone):
        for key in ("podium", "torch"):
            if other[key] != first[key]:
                raise WorldError(
                    f"Rank {rank} on {other['host']} runs {key} {other[key]}, rank 0 on {first['host']} {first[key]}.\n"
                    "Install the same version on every machine."
                )


def form(store: Store, place: Launch, everyone: list[dict[str, Any]], seconds: float) -> World:
    """Connects those who have met. Raises WorldError where they can't reach each other."""
    import torch  # noqa: PLC0415
    from torch import distributed  # noqa: PLC0415

    hosts = tuple(one["host"] for one in everyone)
    private = distributed.PrefixStore(f"podium/{everyone[0]['token']}", store)  # type: ignore[attr-defined]
    has_nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    # Processors talk about once a second, and can name who is silent: what a GPU waits for must not break before that.
    patience = timedelta(seconds=2 * seconds if has_nccl else seconds)
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if has_nccl else "gloo",
            store=private,
            rank=place.rank,
            world_size=place.size,
            timeout=patience,
        )
        control = distributed.new_group(backend="gloo", timeout=timedelta(seconds=seconds)) if has_nccl else None
    except (RuntimeError, OSError) as error:
        raise WorldError(
            f"Rank {place.rank} on {hosts[place.rank]} met the others at {place.address}:{place.port}, but can't reach "
            f"them all: {str(error).splitlines()[0]}.\nName the network between the machines, such as "
            "GLOO_SOCKET_IFNAME=eth0 (`ip -brief address` lists them), on each of them."
        ) from error
    atexit.register(distributed.destroy_process_group)  # else its threads may outlive what they use
    job = place.job
    world = World(place.rank, place.size, place.local_rank, place.local_size, hosts, job, seconds, private, control)
    if job is not None:  # torchrun counts restarts on each machine, and may be another process there
        object.__setattr__(world, "job", Job(world.tell(job.id), world.tell(job.num_restarts)))
    return world


def _answer(everyone: list[dict[str, Any]], rank: int) -> str:
    return f"podium/{everyone[0]['token']}/{everyone[rank]['token']}"
