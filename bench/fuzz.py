"""Gives every reader of podium files that are nearly right: none may hang, crash, write elsewhere or fill memory.

    python bench/fuzz.py [--inputs 100000] [--seed 0] [--readers NAME...] [--workers 2] [--replay READER NUMBER]

Each reader gets its share of the inputs, through the function that a user calls. An input is a small valid file, or a
hostile one, changed a few times (bits, lengths, chunks, splices of two, names that climb out), its checksums mended
half of the time. It must be read well, or refused by a PodiumError of a line or two. Everything else is a finding, and
its input is kept in bench/fuzz-findings. The same seed makes the same changes, to files that may hold times or the
order of a hash. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common import write_result
from fuzzing import archives, bombs, pictures, releases, requests, runs, shards, tables
from fuzzing.guard import Guard
from fuzzing.reader import Reader
from fuzzing.trial import BOUND_BYTES, Finding, Tally, Trier
from fuzzing.workers import CPU_SECONDS, Job, run_jobs

ROOMS = (bombs, archives, tables, pictures, releases, shards, runs, requests)
READERS: tuple[Reader, ...] = tuple(reader for room in ROOMS for reader in room.READERS)
KEPT = Path(__file__).parent / "fuzz-findings"
KEPT_OF_A_KIND = 3
JOB_INPUTS = 200
KINDS = ("exception", "message", "outside", "litter", "memory", "hang", "crash")


def chosen(names: Sequence[str]) -> list[Reader]:
    """The readers whose names begin with one of `names`; all if there are none."""
    found = [reader for reader in READERS if not names or reader.name.startswith(tuple(names))]
    if not found:
        sys.exit(f"No reader is called {', '.join(names)}. There are: {', '.join(one.name for one in READERS)}.")
    return found


def shares(readers: Sequence[Reader], num_inputs: int) -> list[int]:
    """How many inputs each gets: by its share, one at least, and so many in all."""
    whole = sum(reader.share for reader in readers)
    counts = [max(1, int(num_inputs * reader.share / whole)) for reader in readers]
    counts[0] += max(0, num_inputs - sum(counts))
    return counts


def fuzz(readers: Sequence[Reader], num_inputs: int, seed: int, num_workers: int) -> dict[str, Any]:
    """Tries them all; the figures."""
    import podium.api
    import podium.data.sevenzip  # before any process is forked, so that none has to  # noqa: F401

    began = time.monotonic()
    seeds = [list(reader.seeds()) for reader in readers]
    counts = shares(readers, num_inputs)
    jobs = [
        Job(place, range(start, min(count, start + JOB_INPUTS)))
        for place, count in enumerate(counts)
        for start in range(0, count, JOB_INPUTS)
    ]
    tallies = {reader.name: Tally(reader.name) for reader in readers}
    done = 0

    def on_done(tally: Tally) -> None:
        nonlocal done
        tallies[tally.reader].add(tally)
        done += tally.num_inputs
        print(f"\r{done:,} of {sum(counts):,}: {tally.reader:40}", end="", flush=True)

    run_jobs(jobs, readers, seeds, seed, num_workers, on_done)
    print()
    keep(tallies, dict(zip((reader.name for reader in readers), seeds, strict=True)), readers, seed)
    return figures(list(tallies.values()), seed, time.monotonic() - began)


def keep(tallies: dict[str, Tally], seeds: dict[str, list[bytes]], readers: Sequence[Reader], seed: int) -> None:
    """Writes down what was found, a few of each fault, with the inputs."""
    shutil.rmtree(KEPT, ignore_errors=True)
    known: Counter[tuple[str, str]] = Counter()
    for reader in readers:
        for finding in tallies[reader.name].findings:
            known[finding.kind, finding.what] += 1
            if known[finding.kind, finding.what] <= KEPT_OF_A_KIND:
                KEPT.mkdir(exist_ok=True)
                name = f"{''.join(c if c.isalnum() else '-' for c in reader.name)}-{finding.number}"
                (KEPT / name).write_bytes(reader.input(seeds[reader.name], seed, finding.number))
                (KEPT / f"{name}.{finding.kind}.txt").write_text(f"{finding.what}\n\n{finding.detail}\n")
    for (kind, what), count in known.most_common():
        print(f"{count:6} × {kind}: {what}")


def figures(tallies: Sequence[Tally], seed: int, seconds: float) -> dict[str, Any]:
    """As bench/results/fuzz.json has them."""

    def one(tally: Tally) -> dict[str, Any]:
        well = tally.outcomes["read well"]
        refused = {name: count for name, count in sorted(tally.outcomes.items()) if name.endswith(("Error", "Said"))}
        return {
            "inputs": tally.num_inputs,
            "read_well": well,
            "refused": refused,
            "findings": len(tally.findings),
            "peak_mib_over_baseline": round(tally.peak_bytes / 2**20),
            "slowest_cpu_seconds": round(tally.slowest_seconds, 2),
            "cpu_milliseconds_each": round(1000 * tally.seconds / max(1, tally.num_inputs), 2),
        }

    found = Counter(finding.kind for tally in tallies for finding in tally.findings)
    return {
        "inputs": sum(tally.num_inputs for tally in tallies),
        "readers": len(tallies),
        "seed": seed,
        "seconds": round(seconds, 1),
        "read_well": sum(tally.outcomes["read well"] for tally in tallies),
        "refused": sum(
            n for tally in tallies for name, n in tally.outcomes.items() if name.endswith(("Error", "Said"))
        ),
        "findings": {kind: found[kind] for kind in KINDS},
        "peak_mib_over_baseline": round(max(tally.peak_bytes for tally in tallies) / 2**20),
        "slowest_cpu_seconds": round(max(tally.slowest_seconds for tally in tallies), 2),
        "limits": {"cpu_seconds": CPU_SECONDS, "mib_over_baseline": BOUND_BYTES >> 20},
        "by_reader": {tally.reader: one(tally) for tally in tallies},
    }


def replay(name: str, number: int, seed: int) -> list[Finding]:
    """Tries one input in this process, to see what is wrong with it."""
    import tempfile

    (reader,) = [one for one in READERS if one.name == name]
    with tempfile.TemporaryDirectory() as folder:
        guard = Guard(Path(folder, "inner"))
        os.chdir(guard.work)
        guard.begin()
        tally = Trier(reader, list(reader.seeds()), seed, guard).tried(range(number, number + 1), lambda _: None)
    print(dict(tally.outcomes), f"{tally.peak_bytes >> 20} MiB, {tally.slowest_seconds:.2f} s")
    for finding in tally.findings:
        print(f"{finding.kind}: {finding.what}\n{finding.detail}")
    return tally.findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="*", default=[], help="those whose names begin so; nothing is written then")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--replay", nargs=2, metavar=("READER", "NUMBER"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    if options.replay:
        sys.exit(bool(replay(options.replay[0], int(options.replay[1]), options.seed)))
    found = fuzz(chosen(options.readers), options.inputs, options.seed, options.workers)
    print({key: value for key, value in found.items() if key != "by_reader"})
    if not options.readers:
        command = f"python bench/fuzz.py --inputs {options.inputs} --seed {options.seed} --workers {options.workers}"
        print(write_result("fuzz", command, found))
    sys.exit(any(found["findings"].values()))


if __name__ == "__main__":
    main()
