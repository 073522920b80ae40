"""How long `podium submit` takes from the archive to the CSV, and how much memory, by the number of test images.

    python bench/submission.py FULL --run RUN [--images 10000 300000] [--runs 3] [--set KEY=VALUE]...

FULL is a competition's folder with as many test images as the largest number asked for (the real CIFAR-10
competition's: 300,000), as a test.7z. For smaller numbers a folder is made with the first of them. RUN is a finished
run that knows the competition's classes; `--set` changes keys of its recipe that matter to prediction (tta,
tta_fraction).

Each time is a process of its own with an empty cache, from its start to its end, imports included. Peak memory is the
largest resident set of that process, memory-mapped files included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import py7zr

from podium.data.formats import open_archive
from podium.recipe import load_recipe


def smaller_competition(full: Path, count: int, folder: Path) -> Path:
    """A competition with the test images 1 to `count` of the one in `full`, and the same training set."""
    folder.mkdir()
    for name in ("train.7z", "trainLabels.csv"):
        (folder / name).symlink_to((full / name).resolve())
    wanted = {f"test/{number}.png" for number in range(1, count + 1)}
    filters = [{"id": py7zr.FILTER_LZMA2, "preset": 1}]
    with py7zr.SevenZipFile(folder / "test.7z", "w", filters=filters) as target:
        for name, data in open_archive(full / "test.7z").members():
            if name in wanted:
                target.writestr(data, name)
    rows = "".join(f"{number},cat\n" for number in range(1, count + 1))
    (folder / "sampleSubmission.csv").write_text(f"id,label\n{rows}")
    return folder


def submit_once(folder: Path, run: Path, scratch: Path, count: int) -> tuple[float, float]:
    """Seconds and peak MiB of one submission of `count` images with an empty cache."""
    cache = scratch / "cache"
    command = [sys.executable, "-m", "podium", "submit", run, "--data", folder, "-o", scratch / "submission.csv"]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"PODIUM_CACHE": str(cache)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"podium submit ended with {os.waitstatus_to_exitcode(status)}")
    num_rows = (scratch / "submission.csv").read_text().count("\n") - 1
    if num_rows != count:
        sys.exit(f"{folder} has {num_rows:,} test images, not {count:,}")
    shutil.rmtree(cache)
    return seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def changed_run(run: Path, settings: list[str], folder: Path) -> Path:
    """A copy of a run with some keys of its recipe set anew."""
    shutil.copytree(run, folder)
    (folder / "recipe.toml").write_text(load_recipe(folder / "recipe.toml", settings).to_toml())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 300_000])
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    args = parser.parse_args()
    from common import summary, write_result

    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        run = changed_run(args.run, args.settings, scratch / "run")
        recipe = load_recipe(run / "recipe.toml")
        figures |= {"recipe": recipe.name, "tta": recipe.tta, "tta_fraction": recipe.tta_fraction}
        largest, measured = max(args.images), {count: [] for count in args.images}
        folders = {
            count: args.folder if count == largest else smaller_competition(args.folder, count, scratch / str(count))
            for count in args.images
        }
        for number in range(args.runs):
            for count, folder in folders.items():
                measured[count].append(submit_once(folder, run, scratch, count))
                seconds, mib = measured[count][-1]
                print(f"run {number + 1}, {count:,} images: {seconds:.1f} s, {mib:.0f} MiB", flush=True)
    for count, found in measured.items():
        figures[f"{count}_seconds"] = summary([seconds for seconds, _ in found], 1)
        figures[f"{count}_peak_mib"] = summary([mib for _, mib in found])
    command = f"python bench/submission.py FULL --run RUN --images {' '.join(map(str, args.images))} --runs {args.runs}"
    print(write_result(f"submission-{largest}", command + "".join(f" --set {one}" for one in args.settings), figures))


if __name__ == "__main__":
    main()
