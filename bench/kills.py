"""Kills podium at random moments: nothing may be lost, and nothing half-written taken for whole.

    python bench/kills.py [--kills 50] [--changes 25] [--seed 0] [--scenes training opening submission]

A training, the first opening of an archive and a submission, each in a process group of its own, get SIGKILL at a
moment that is uniform over the time that they take undisturbed; and, besides, just before one of their changes to files
(each open for writing, rename, removal, folder made), where a moment would seldom hit. A training is gone on with until
it is done, and must end with the same bits; an opening must give the same images from a cache without leftovers; a
submission must be the former file or the new one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common import write_result
from killing.scenes import Opening, Scene, Submission, Training
from killing.victim import killed_after, killed_at_change

MOST_ATTEMPTS = 4  # for each kill: what is gone on with may end before its moment
SCENES: dict[str, type[Scene]] = {"training": Training, "opening": Opening, "submission": Submission}


def preload() -> None:
    """Imports all that the scenes use, so that it isn't done in each process anew."""
    import podium.api
    import podium.cli
    import podium.cli.display
    import podium.data.sevenzip
    import podium.training  # noqa: F401


def killed(scene: Scene, num_kills: int, num_changes: int, seed: int) -> dict[str, Any]:
    """The figures of one scene."""
    began, rng = time.monotonic(), random.Random(seed)
    whole = scene.learn()
    counts = {"before its first change": 0, "within": 0}
    num_attempts = 0
    while sum(counts.values()) < num_kills and num_attempts < MOST_ATTEMPTS * num_kills:
        scene.begin_anew()
        death = killed_after(scene.task, scene.watched, rng.uniform(0, whole.seconds))
        num_attempts += 1
        if death.was_killed:
            counts["within" if death.num_changes else "before its first change"] += 1
        scene.check(death)
        print(f"\r  {sum(counts.values())} of {num_kills} moments", end="", flush=True)
    places = list(range(1, whole.num_changes + 1))
    places = sorted(rng.sample(places, num_changes)) if len(places) > num_changes else places
    num_hit = 0
    for number, place in enumerate(places):
        scene.begin_anew()
        death = killed_at_change(scene.task, scene.watched, place)
        num_hit += death.was_killed
        scene.check(death)
        print(f"\r  {number + 1} of {len(places)} changes", end="", flush=True)
    print()
    figures: dict[str, Any] = {
        "undisturbed_seconds": round(whole.seconds, 2),
        "changes_to_files": whole.num_changes,
        "kills_at_moments": sum(counts.values()),
        "of_these": counts,
        "ended_before_it_was_killed": num_attempts - sum(counts.values()),
        "kills_at_changes": num_hit,
    }
    if isinstance(scene, Training):
        scene.finish()
        figures["trainings_ended"] = scene.num_ended
    return figures | {
        "failures": len(scene.failures),
        "failures_in_words": sorted(set(scene.failures))[:20],
        "seconds": round(time.monotonic() - began, 1),
    }


def run(names: list[str], num_kills: int, num_changes: int, seed: int, **sizes: dict[str, Any]) -> dict[str, Any]:
    """Every scene in turn, each in a folder of its own."""
    preload()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="podium-kills-") as folder:
        os.environ["PODIUM_CACHE"] = str(Path(folder, "cache"))
        for name in names:
            print(name)
            (place := Path(folder, name)).mkdir()
            figures[name] = killed(SCENES[name](place, **sizes.get(name, {})), num_kills, num_changes, seed)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="at moments, of each scene")
    parser.add_argument("--changes", type=int, default=25, help="at most, at changes to files, of each scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", nargs="*", default=list(SCENES), choices=list(SCENES))
    options = parser.parse_args()
    figures = run(options.scenes, options.kills, options.changes, options.seed)
    print(figures)
    if options.scenes == list(SCENES):
        command = f"python bench/kills.py --kills {options.kills} --changes {options.changes} --seed {options.seed}"
        print(write_result("kills", command, figures))
    sys.exit(any(scene["failures"] for scene in figures.values()))


if __name__ == "__main__":
    main()
