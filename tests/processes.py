"""Several processes that compute together, for tests.

They are forked from one that has imported torch already, so they begin at once. What they do is a function of `tasks`,
which they find by its name.
"""

import importlib
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import distributed

__all__ = ["Answer", "answers", "free_port"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "podium", "podium.training", "podium.cli", "scipy.optimize"])
_SECONDS = 240.0  # a busy machine is slow


@dataclass(frozen=True)
class Answer:
    """What came of one process."""

    value: Any
    status: int | None
    out: str
    err: str


def answers(
    num: int, task: str, *given: Any, env: dict[str, str] | None = None, lost: tuple[int, ...] = ()
) -> list[Answer]:
    """What `num` processes answer to a task, in the order of ranks; values and arguments are JSON's kinds.

    They meet in this process, as in torchrun's. For those that are `lost` it doesn't wait.
    """
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(rank) for rank in range(num)]
        processes = []
        for rank, place in enumerate(places):
            place.mkdir()
            words = {
                "RANK": rank,
                "WORLD_SIZE": num,
                "LOCAL_RANK": rank,
                "LOCAL_WORLD_SIZE": num,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": store.port,
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "OMP_NUM_THREADS": 1,
                "PODIUM_TIMEOUT": 120,
            }
            environment = {**os.environ, **{name: str(word) for name, word in words.items()}, **(env or {})}
            processes.append(_context.Process(target=_begin, args=(str(place), environment, task, given), daemon=True))
            processes[-1].start()
        for rank, process in enumerate(processes):
            process.join(0 if rank in lost else _SECONDS)
        for process in processes:
            process.kill()
            process.join()
        return [_answer(place, process.exitcode) for place, process in zip(places, processes, strict=True)]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _answer(place: Path, status: int | None) -> Answer:
    value = place / "value"
    out, err = ((place / name).read_text() if (place / name).exists() else "" for name in ("out", "err"))
    return Answer(json.loads(value.read_text()) if value.exists() else None, status, out, err)


def _begin(folder: str, environment: dict[str, str], task: str, given: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.path.insert(0, str(Path(__file__).parent))
    status = 1
    try:
        import torch

        torch.set_num_threads(1)
        value = getattr(importlib.import_module("tasks"), task)(*given)
        Path(folder, "value").write_text(json.dumps(value))
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # whatever it is, the test sees it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
