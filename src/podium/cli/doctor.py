"""podium doctor."""

from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import Json

if TYPE_CHECKING:
    from podium.checkup import Checkup, Finding, Machine, Preflight, Speeds

GIB = 2**30
_MARKS = {"fault": "✗", "slow": "!", "hint": "·"}


def doctor(
    time: Annotated[bool, typer.Option("--time", help="Measure too: matrix products, memory, decoding; 5 s.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1, help="Under torchrun: how long to wait for the others; 60 if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what this machine has, what is wrong or slow, and what to do; under torchrun, of all machines.

    Exit status 0 if podium can work, 2 if not.
    """
    from podium import checkup
    from podium.cli.display import print_json

    found = checkup.doctor(time=time, wait=wait)
    if json:
        print_json(found.to_dict())
    else:
        _show(found)
    raise typer.Exit(0 if found.works else 2)


def _show(found: "Checkup") -> None:
    from podium.cli.display import out

    for name, value in [*_machine(found.machine), *_speeds(found.speeds), *_world(found.preflight)]:
        out.print(f"{name:<14}{value}", soft_wrap=True)
    out.print()
    for one in found.findings:
        _say(one)
    if not found.findings:
        out.print("Nothing is wrong here.")
    elif found.works:
        out.print("podium can work here.")
    else:
        out.print("podium can't work until what is marked ✗ is mended.")


def _say(one: "Finding") -> None:
    from podium.cli.display import out

    host = f"{one.host}: " if one.host and not one.what.startswith(one.host) else ""
    out.print(f"{_MARKS[one.level]} {host}{one.what}", soft_wrap=True)
    if one.do:
        out.print(f"  {one.do}", soft_wrap=True)


def _machine(machine: "Machine") -> list[tuple[str, str]]:
    cores = f"{machine.num_usable_cores} of {machine.num_cores} usable"
    cores += f" (numbers {machine.cores})" if machine.num_usable_cores < machine.num_cores else ""
    cores += "" if machine.core_quota is None else f", the container's quota is {machine.core_quota:g}"
    limit = machine.memory_limit_bytes
    memory = f"{machine.memory_bytes / GIB:.1f} GiB, {machine.available_bytes / GIB:.1f} GiB of it available"
    memory += "" if limit is None else f"; the container's limit is {limit / GIB:.1f} GiB"
    shm = "none" if machine.shm_bytes is None else f"{machine.shm_bytes / GIB:.1f} GiB"
    free = machine.cache.free_bytes
    cache = machine.cache.path or "has no place"
    cache += "" if free is None else f", {free / GIB:.0f} GiB free on its disk"
    rows = [
        ("machine", f"{machine.host}: {machine.system}; Python {machine.python}"),
        ("processor", machine.processor),
        ("cores", cores),
        ("bf16", ", ".join(machine.bf16) or "not in the processor"),
        *(
            (f"GPU {i}", f"{gpu.name}, {gpu.memory_bytes / GIB:.0f} GiB, capability {gpu.capability}")
            for i, gpu in enumerate(machine.gpus)
        ),
        *([] if machine.gpus else [("GPU", "none")]),
        ("memory", memory),
        ("/dev/shm", shm),
        ("cache", cache),
    ]
    if (build := machine.torch) is not None:
        made = f"CUDA {build.cuda}" if build.cuda else "for processors"
        onednn = "with oneDNN" if build.has_onednn else "without oneDNN"
        rows.append(
            ("torch", f"{build.version}, {made}, {onednn}, {build.instructions}, {_threads(build.num_threads)}")
        )
    keeps = "; podium makes it keep freed memory" if machine.keeps_memory else ""
    rows += [("allocator", machine.allocator + keeps), ("compiler", machine.compiler or "none for C++")]
    extras = {one.extra for one in machine.packages if one.extra not in (None, "dev")}
    lacking = {one.extra for one in machine.packages if not one.is_good}
    rows += (
        [("extras", ", ".join(sorted(str(name) for name in extras - lacking)) or "none installed")] if extras else []
    )
    return [*rows, *(("set", f"{name}={value}") for name, value in machine.settings.items())]


def _speeds(speeds: "Speeds | None") -> list[tuple[str, str]]:
    if speeds is None:
        return []
    on = speeds.device if speeds.device != "cpu" else _threads(speeds.num_threads)
    return [
        ("products", f"bf16 {speeds.matmul_bf16_gflops:,.0f} GFLOP/s, fp32 {speeds.matmul_fp32_gflops:,.0f} ({on})"),
        ("copying", f"{speeds.memory_gb_per_second:,.0f} GB/s read and written"),
        (
            "decoding",
            f"{speeds.jpegs_per_second:,} JPEG/s (500×375, {speeds.jpeg_bytes / 1e3:.0f} kB), "
            f"{speeds.pngs_per_second:,} PNG/s (32×32), on one core",
        ),
    ]


def _world(preflight: "Preflight | None") -> list[tuple[str, str]]:
    if preflight is None:
        return []
    hosts: dict[str, list[str]] = {}
    for rank in preflight.ranks:
        hosts.setdefault(rank.host, []).append(str(rank.rank))
    first = {rank.host: rank for rank in reversed(preflight.ranks)}
    plural = "s" if len(hosts) > 1 else ""
    rows = [
        (
            "processes",
            f"{len(preflight.ranks)} on {len(hosts)} machine{plural}, met at {preflight.address}",
        )
    ]
    for host, numbers in hosts.items():
        one = first[host]
        via = f"{one.source or '?'} ({one.interface or '?'})"
        rows.append((f"  {host}", f"rank {', '.join(numbers)}; {_threads(one.num_threads)} each; by {via}"))
    rows += [
        ("  clock", f"{clock.host}: {clock.seconds * 1e3:+.1f} ms ± {clock.uncertainty * 1e3:.1f} ms")
        for clock in preflight.clocks
    ]
    for one_sum in preflight.reductions:
        size = f"{one_sum.num_bytes / 2**20:.0f} MiB" if one_sum.num_bytes >= 2**20 else f"{one_sum.num_bytes} bytes"
        good = "" if not one_sum.wrong else ", WRONG"
        speed = f", {one_sum.bus_bytes_per_second / 1e9:.2f} GB/s a process" if one_sum.num_bytes >= 2**20 else ""
        rows.append((f"  sum, {one_sum.device}", f"{size}: {one_sum.seconds * 1e3:.2f} ms{speed}{good}"))
    return rows


def _threads(number: int) -> str:
    return f"{number} thread{'' if number == 1 else 's'}"
