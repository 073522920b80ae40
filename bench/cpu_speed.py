"""Time to accuracy on a processor: a recipe against airbench94_muon, in turn, on the same images.

    python bench/cpu_speed.py DATA --airbench94 PATH [--recipe sprint] [--seeds 0 1 2] [--threads 2]

PATH is airbench94_muon.py of github.com/KellerJordan/cifar10-airbench; what is changed in it so that it runs on a
processor is in bench/peers/cpu_port.py. Both train on the 45,000 images that podium trains on and are measured on its
5,000 held-out ones, with test-time augmentation. Each run has a process of its own; a pair is one run of each with the
same seed, right after one another, and who begins changes from pair to pair. Seconds: airbench's own (whitening,
training, that evaluation; its evaluations in between don't count); podium's whole `fit` and `predict`.

Each finished run is kept in runs/bench/cpu_speed/ at once, so that a bench that was interrupted goes on where it was. A
pair counts if both its runs were made on the same processor, with the same recipe, script and torch.
"""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import summary, write_result
from peers import source, tables
from peers.drivers import reseed
from peers.split import labelled, random_images, write_split

from podium import runtime
from podium.recipe import Recipe, load_recipe

TINY = {"epochs": 1.0, "batch_size": 64, "hold_out": 0.1}
PEER = "airbench94"

Row = dict[str, Any]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the CIFAR-10 competition's folder")
    parser.add_argument("--airbench94", type=Path, required=True, help="airbench94_muon.py")
    parser.add_argument("--recipe", default="sprint")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2, help="of each run")
    parser.add_argument("--kept", type=Path, default=Path("runs/bench/cpu_speed"), help="where finished runs are kept")
    parser.add_argument("--tiny", action="store_true", help="random images and an epoch: tries the bench out")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # the competitor that this process is
    return parser.parse_args(words)


# ---- one run, in a process of its own


def child(args: argparse.Namespace) -> None:
    """Trains once with the first seed; DATA is the folder of the split. Prints one line of JSON at the end."""
    recipe = chosen_recipe(args)
    ready = runtime.prepare(recipe.precision, device="cpu", num_threads=args.threads)
    seed = args.seeds[0]
    if args.child == PEER:
        from peers.cpu_port import Airbench94OnCpu

        driver = Airbench94OnCpu(args.airbench94, args.data, ready, is_tiny=args.tiny)
    else:
        from peers.ours import PodiumOnCpu

        driver = PodiumOnCpu(recipe, args.data, ready)
    reseed(seed)
    driver.warm_up()
    outcome = driver.run(seed)
    print(json.dumps({**asdict(outcome), "hardware": runtime.describe_hardware(ready)}))


def measured(competitor: str, seed: int, split: Path, args: argparse.Namespace) -> Row:
    """Runs `child` in a new process and gives what it found. Raises SystemExit if that fails."""
    command = [sys.executable, __file__, str(split), "--airbench94", str(args.airbench94), "--recipe", args.recipe]
    command += ["--seeds", str(seed), "--threads", str(args.threads), "--child", competitor]
    command += ["--tiny"] if args.tiny else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            if last:
                print(f"  {last}", flush=True)
            last = line.rstrip()
    if process.returncode:
        sys.exit(f"{competitor}, seed {seed}: ended with status {process.returncode}.")
    return dict(json.loads(last))


# ---- pairs


def chosen_recipe(args: argparse.Namespace) -> Recipe:
    recipe = load_recipe(args.recipe)
    return recipe.with_settings(TINY) if args.tiny else recipe


def subjects(args: argparse.Namespace) -> dict[str, str]:
    """What is measured, by competitor, as a few hex digits that change with it."""
    import torch

    common = f"{torch.__version__} {args.threads} {args.tiny}"
    return {
        args.recipe: hashlib.sha256(f"{chosen_recipe(args).to_toml()}{common}".encode()).hexdigest()[:8],
        PEER: hashlib.sha256(f"{source.sha256(args.airbench94)}{common}".encode()).hexdigest()[:8],
    }


def processor() -> str:
    """The processor's name with family and model: behind a hypervisor the name alone may stand for several."""
    found = [runtime.processor_name()]
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("cpu family", "model", "stepping"):
                found.append(f"{name.strip()} {value.strip()}")
    return ", ".join(found)


def kept_rows(args: argparse.Namespace) -> list[Row]:
    """The finished runs of these subjects, from whatever processor."""
    wanted = subjects(args)
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.kept.glob("*.json"))]
    return [row for row in rows if wanted.get(row["competitor"]) == row["subject"]]


def pairs(rows: list[Row], args: argparse.Namespace) -> list[tuple[Row, Row]]:
    """Ours and the peer's of the same seed and processor; of each seed the pair that was finished first."""
    found = []
    for seed in args.seeds:
        some = [row for row in rows if row["seed"] == seed]
        both = [
            (ours, peer)
            for ours in some
            for peer in some
            if (ours["competitor"], peer["competitor"]) == (args.recipe, PEER)
            and ours["processor"] == peer["processor"]
        ]
        found += sorted(both, key=lambda pair: max(pair[0]["finished"], pair[1]["finished"]))[:1]
    return found


def fill(args: argparse.Namespace, split: Path) -> None:
    """Makes the runs that are missing, and keeps each at once."""
    here = processor()
    wanted = subjects(args)
    for number, seed in enumerate(args.seeds):
        if any(ours["seed"] == seed for ours, _ in pairs(kept_rows(args), args)):
            continue
        for competitor in [args.recipe, PEER] if number % 2 == 0 else [PEER, args.recipe]:
            rows = kept_rows(args)
            if any((row["competitor"], row["seed"], row["processor"]) == (competitor, seed, here) for row in rows):
                continue
            print(f"{competitor}, seed {seed}", flush=True)
            row = {
                "competitor": competitor,
                "seed": seed,
                "processor": here,
                "subject": wanted[competitor],
                "commit": runtime.source_commit(),
                **measured(competitor, seed, split, args),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            place = hashlib.sha256(here.encode()).hexdigest()[:4]
            keep(args.kept / f"{competitor}-{seed}-{wanted[competitor]}-{place}.json", row)
            print(f"  accuracy {row['accuracy']:.4f}, {row['seconds']:.1f} s", flush=True)


def keep(path: Path, row: Row) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def report(found: list[tuple[Row, Row]], args: argparse.Namespace) -> dict[str, Any]:
    """The figures of all pairs."""
    ours, peers = [pair[0] for pair in found], [pair[1] for pair in found]
    ratios = [one["seconds"] / other["seconds"] for one, other in found]
    each = {args.recipe: tables.figures(ours), PEER: tables.figures(peers)}
    print(tables.table({f"{len(found)} pairs": each}, ours=[args.recipe]))
    return {
        "tiny": args.tiny,
        "num_pairs": len(found),
        "threads": args.threads,
        "airbench94_sha256": source.sha256(args.airbench94),
        "competitors": each,
        "seconds_ratio": summary(ratios, digits=4),
        "accuracy_difference": round(each[args.recipe]["accuracy_mean"] - each[PEER]["accuracy_mean"], 6),
        "recipe": chosen_recipe(args).to_dict(),
        "trained_at_commits": sorted({str(row["commit"]) for row in ours}),
        "runs": [row for pair in found for row in pair],
    }


def main() -> None:
    args = arguments()
    args.airbench94 = args.airbench94.resolve()
    if args.child:
        child(args)
        return
    args.kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_split(random_images(200) if args.tiny else labelled(args.data), Path(folder))
        fill(args, Path(folder))
    command = f"python bench/cpu_speed.py DATA --airbench94 PATH --recipe {args.recipe} --threads {args.threads}"
    name = f"cpu-speed{'' if args.recipe == 'sprint' else '-' + args.recipe}{'-tiny' if args.tiny else ''}"
    figures = report(pairs(kept_rows(args), args), args)
    if args.tiny:
        keep(args.kept / "tiny.result", figures)
    else:
        print(write_result(name, f"{command} --seeds {' '.join(map(str, args.seeds))}", figures))


if __name__ == "__main__":
    main()
