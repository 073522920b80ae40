"""Time to 94 % and to 96 % on a GPU: podium's recipes against the records' own scripts, in turn on one device.

    python bench/gpu_speed.py DATA --airbench94 PATH --hiverge PATH --airbench96 PATH
        [--recipe94 sprint] [--recipe96 sprint96] [--runs 50] [--runs96 10] [--minutes 8] [--block 5]
        [--only sprint airbench94 …] [--out runs/bench/gpu_speed] [--report]

The scripts are airbench94_muon.py and airbench96_faster.py of github.com/KellerJordan/cifar10-airbench, and
cifar10_speedrun.py of github.com/hiverge/cifar10-speedrun; one that isn't given is left out. All train on the 45,000
images that podium trains on and are measured on its 5,000 held-out ones. The records' own rules for time: data on the
GPU, compilation excluded (a run that isn't counted comes first), the evaluation with test-time augmentation included.

DATA is the competition's folder, or what `python bench/parcel.py unpack` wrote; nothing else is read and no network is
needed. Wanted there: torch with CUDA, numpy, filelock, safetensors; Pillow; not podium itself (PYTHONPATH=src will do),
nor torchvision. Each competitor has a process of its own, which is compiled once and then told to go, one at a time: a
block of runs each, in rotation, the order turned each round. No new round is begun that --minutes wouldn't let end.

Each run is one line in OUT/*.jsonl at once. Started again with the same OUT, the bench goes on with seeds not yet used;
files of several sittings (and machines: they are told apart) may be put in one folder. --report runs nothing: it prints
the table of what is there and writes bench/results/gpu-speed.json.
"""

import argparse
import functools
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from peers import source, tables
from peers.drivers import DRIVERS, Driver
from peers.split import labelled, random_images, write_split
from peers.worker import Worker, WorkerError, serve

import podium
from podium import runtime
from podium.recipe import load_recipe

RESULTS = Path(__file__).parent / "results"
PODIUM = Path(podium.__file__).parent
TITLES = {"94": "to 94 %", "96": "to 96 %"}
PEERS = (("airbench94", "94"), ("hiverge", "94"), ("airbench96", "96"))

Row = dict[str, Any]


@dataclass(frozen=True)
class Competitor:
    """One row of the table.

    Attributes:
        name: a recipe's, or a peer's.
        group: which time it is about.
        num_runs: wanted in all.
        script: of a peer; None: podium.
    """

    name: str
    group: str
    num_runs: int
    script: Path | None = None


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    for name, _ in PEERS:
        parser.add_argument(f"--{name}", type=Path, help="path of the script")
    parser.add_argument("--recipe94", default="sprint", help="'' for none")
    parser.add_argument("--recipe96", default="", help="such as sprint96")
    parser.add_argument("--runs", type=int, default=50, help="of each competitor to 94 %%, in all sittings together")
    parser.add_argument("--runs96", type=int, default=10, help="of each competitor to 96 %%")
    parser.add_argument("--minutes", type=float, default=8.0, help="of this sitting, warming up included")
    parser.add_argument("--block", type=int, default=5, help="runs of one competitor in a row")
    parser.add_argument("--only", nargs="+", help="names of the competitors to run")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/gpu_speed"))
    parser.add_argument("--first-seed", type=int, default=0, help="where the lines of former sittings aren't at hand")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of podium's recipes")
    parser.add_argument("--tiny", type=int, default=0, metavar="N", help="N random images: tries the bench out")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)  # the competitor that this process is
    parser.add_argument("--split", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def competitors(args: argparse.Namespace) -> list[Competitor]:
    """Those that the arguments name. Raises SystemExit if --only names another."""
    counts = {"94": args.runs, "96": args.runs96}
    recipes = [(args.recipe94, "94"), (args.recipe96, "96")]
    found = [Competitor(name, group, counts[group]) for name, group in recipes if name]
    for name, group in PEERS:
        if script := getattr(args, name):
            found.append(Competitor(name, group, counts[group], script.resolve()))
    if unknown := set(args.only or []) - {one.name for one in found}:
        sys.exit(f"--only {', '.join(sorted(unknown))}: there is {', '.join(one.name for one in found)}.")
    return [one for one in found if not args.only or one.name in args.only]


# ---- a competitor's process


def worker(args: argparse.Namespace) -> None:
    """Serves one competitor on the split's images."""
    competitor = next(one for one in competitors(args) if one.name == args.worker)

    def new_driver() -> Driver:
        if competitor.script is not None:
            return DRIVERS[competitor.name](competitor.script, args.split)
        from peers.ours import PodiumOnGpu

        recipe = load_recipe(competitor.name)
        ready = runtime.prepare(recipe.precision, device=args.device)
        settings = ["compile=max", *args.set] if ready.device.type == "cuda" else args.set
        return PodiumOnGpu(load_recipe(competitor.name, settings), args.split, ready)

    serve(new_driver)


def start(competitor: Competitor, split: Path, args: argparse.Namespace) -> Worker:
    command = [sys.executable, __file__, str(args.data), "--worker", competitor.name, "--split", str(split)]
    if competitor.script is not None:
        command += [f"--{competitor.name}", str(competitor.script)]
    else:
        command += [f"--recipe{competitor.group}", competitor.name, "--device", args.device]
        command += [word for setting in args.set for word in ("--set", setting)]
    return Worker(command, args.out / f"{competitor.name}.log")


# ---- sittings


def about(args: argparse.Namespace) -> dict[str, Any]:
    """The machine, as each line names it: only runs of one machine and version are compared."""
    ready = runtime.prepare(device=args.device)
    hardware = runtime.describe_hardware(ready)
    return {
        "device": hardware.get("gpu", hardware["processor"]),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "num_cores": hardware["num_cores"],
    }


def version(competitor: Competitor, args: argparse.Namespace) -> str:
    """What was measured: the digest of the script, or of podium's source, and what was set otherwise in the recipe."""
    if competitor.script is not None:
        return source.sha256(competitor.script)
    return " ".join([podium_digest(), *args.set])


@functools.cache
def podium_digest() -> str:
    """12 hex digits of the SHA-256 of podium's source and recipes: a copy on a bare machine knows no commit."""
    sha = hashlib.sha256()
    for path in sorted([*PODIUM.rglob("*.py"), *PODIUM.rglob("*.toml")]):
        sha.update(path.read_bytes())
    return sha.hexdigest()[:12]


def lines_of(folder: Path) -> list[Row]:
    """Every run in the folder's *.jsonl files."""
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def sit(args: argparse.Namespace, split: Path) -> None:
    """Warms up, then goes round until every run is made or the time is over."""
    deadline = time.monotonic() + 60 * args.minutes
    machine, commit = about(args), runtime.source_commit()
    file = args.out / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.jsonl"
    wanted = competitors(args)
    done = {
        one.name: [row["seed"] for row in lines_of(args.out) if _is_same(row, one, machine, args)] for one in wanted
    }
    workers: dict[str, Worker] = {}
    try:
        for one in wanted:
            if len(done[one.name]) >= one.num_runs:
                continue
            workers[one.name] = start(one, split, args)
            with _reported(one.name, workers):
                print(f"{one.name}: warm after {workers[one.name].wait_ready()['warm_up_seconds']:.0f} s", flush=True)
        number, longest = 0, 0.0
        while any(_missing(one, done) for one in wanted if one.name in workers):
            began = time.monotonic()
            if began + longest > deadline:
                print("The time is over.", flush=True)
                break
            for one in wanted if number % 2 == 0 else wanted[::-1]:
                for _ in range(min(args.block, _missing(one, done))):
                    if one.name not in workers:
                        break
                    with _reported(one.name, workers):
                        seed = max([args.first_seed - 1, *done[one.name]]) + 1
                        outcome = workers[one.name].run(seed)
                        row = {"competitor": one.name, "group": one.group, "seed": seed, **asdict(outcome), **machine}
                        _append(file, {**row, "version": version(one, args), "commit": commit, "tiny": args.tiny})
                        done[one.name].append(seed)
            number += 1
            longest = max(longest, time.monotonic() - began)
            print(f"round {number}: " + "  ".join(f"{name} {len(seeds)}" for name, seeds in done.items()), flush=True)
    finally:
        for one_worker in workers.values():
            one_worker.close()


class _reported:  # noqa: N801  # used as a verb
    """Takes a competitor whose process fails out of the bench, and says so; the others go on."""

    def __init__(self, name: str, workers: dict[str, Worker]) -> None:
        self.name, self.workers = name, workers

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, WorkerError):
            return False
        failed = self.workers.pop(self.name)
        failed.close()
        print(f"{self.name} is out: {error} (see {failed.log})", file=sys.stderr, flush=True)
        return True


def _missing(competitor: Competitor, done: dict[str, list[int]]) -> int:
    return max(0, competitor.num_runs - len(done[competitor.name]))


def _is_same(row: Row, competitor: Competitor, machine: dict[str, Any], args: argparse.Namespace) -> bool:
    wanted = {"competitor": competitor.name, "version": version(competitor, args), "tiny": args.tiny, **machine}
    return all(row.get(key) == value for key, value in wanted.items())


def _append(file: Path, row: Row) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


# ---- what came of it


def summed_up(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Figures of each machine and competitor; runs of one competitor in two versions are two competitors."""
    found = []
    keys = ("device", "torch", "cuda", "cudnn", "num_cores")
    for machine in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        here = [row for row in rows if tuple(row[key] for key in keys) == machine]
        versions = {(row["competitor"], row["version"]): row for row in here}
        names = [name for name, _ in versions]
        groups: dict[str, dict[str, Any]] = {}
        for (name, which), row in versions.items():
            some = {one["seed"]: one for one in here if (one["competitor"], one["version"]) == (name, which)}
            title = name if names.count(name) == 1 else f"{name} {which}"
            groups.setdefault(TITLES[row["group"]], {})[title] = {
                "version": which,
                **tables.figures(list(some.values())),
            }
        found.append({"machine": dict(zip(keys, machine, strict=True)), "groups": groups})
    return found


def show(args: argparse.Namespace) -> None:
    """Prints a table a machine, and keeps the figures."""
    rows = lines_of(args.out)
    found = summed_up(rows)
    peers = {name for name, _ in PEERS}
    for one in found:
        print(f"\n{one['machine']['device']}, torch {one['machine']['torch']}")
        ours = [name for group in one["groups"].values() for name in group if name.split()[0] not in peers]
        print(tables.table(one["groups"], ours))
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python bench/gpu_speed.py DATA --airbench94 PATH --hiverge PATH --airbench96 PATH",
        "rules": "data on the device, compilation excluded, evaluation with test-time augmentation included",
        "figures": found,
        "runs": [{key: row[key] for key in ("competitor", "seed", "accuracy", "seconds", "device")} for row in rows],
    }
    is_real = args.report and not any(row["tiny"] for row in rows)
    path = RESULTS / "gpu-speed.json" if is_real else args.out / "gpu-speed.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


def main() -> None:
    args = arguments()
    if args.worker:
        worker(args)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    args.out = args.out.resolve()
    if not args.report:
        with tempfile.TemporaryDirectory() as folder:
            write_split(random_images(args.tiny) if args.tiny else labelled(args.data), Path(folder))
            sit(args, Path(folder))
    show(args)


if __name__ == "__main__":
    main()
