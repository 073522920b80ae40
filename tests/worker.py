"""What torchrun starts in the tests: a training that may come to harm, once.

usage: worker.py JSON, with data, out, settings, pause (seconds after each step), and perhaps harm: {rank, step, signal}
"""

import json
import os
import sys
import time
from pathlib import Path

import torch

import podium
from podium.errors import PodiumError
from podium.training import Progress
from podium.world import join, silence

torch.set_num_threads(1)
silence._ROLL_SECONDS = 2.0
task = json.loads(sys.argv[1])
world = join()
harm = task.get("harm")
if harm is not None and (world.rank != harm["rank"] or world.job.num_restarts > 0):
    harm = None


def on_progress(now: Progress) -> None:
    if world.is_first:
        with Path(task["out"] + ".steps").open("a") as file:
            file.write(f"{now.step}\n")
    if harm is not None and now.step == harm["step"]:
        os.kill(os.getpid(), harm["signal"])
    time.sleep(task.get("pause", 0))


try:
    podium.train(
        task["data"],
        "sprint_small",
        settings=task["settings"],
        out=task["out"],
        on_progress=on_progress,
        checkpoint_seconds=0,
    )
except PodiumError as error:
    sys.exit(f"rank {world.rank}: {error}")
