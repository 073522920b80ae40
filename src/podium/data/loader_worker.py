"""What a worker of the loader does: decodes what it is told to into shared memory. Started by `podium.data.loader`.

It knows of the work by a pipe that all workers read, of records that are written and read whole, and says what is done
by a pipe of its own, a line of JSON each time. It ends when nobody holds the other end any more.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
from typing import Any

from podium.data.encoded import Files, decoded
from podium.data.random_crop import RandomCrop
from podium.data.shared_memory import SharedMemory
from podium.errors import DataError, StorageError

__all__ = ["IDLE", "TASK", "main"]

TASK = struct.Struct("<qqqq")
"""Slot, first and last place in it (the last is not included), epoch."""
IDLE = -1

_LOOK_SECONDS = 5.0  # between two looks at whether the parent lives; its end of the pipe may have been inherited


def main(message: str) -> None:
    """Works until the pipe of tasks has an end.

    Args:
        message: JSON of the loader: descriptors, layouts, size, crop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    told: dict[str, Any] = json.loads(message)
    listing = SharedMemory.opened(told["listing"], told["listing_descriptor"])
    files = Files(**{name: listing[name] for name in listing.layout})
    ring = SharedMemory.opened(told["ring"], told["ring_descriptor"])
    rows, pixels, doing = ring["rows"], ring["pixels"], ring["doing"]
    size = pixels.shape[2], pixels.shape[3]
    crop = None if told["crop"] is None else RandomCrop(**told["crop"])
    number, parent = told["number"], os.getppid()
    while (task := _next_task(told["tasks"], parent)) is not None:
        slot, start, stop, epoch = TASK.unpack(task)
        bad = []
        for place in range(start, stop):
            row = int(rows[slot, place])
            doing[number] = row
            try:
                pixels[slot, place] = decoded(files, row, size, crop, epoch)
            except DataError as error:
                bad.append((place, str(error)))
            except StorageError as error:  # it isn't the image's fault, so nothing to go on without
                _write(told["done"], (json.dumps({"storage_error": str(error)}) + "\n").encode())
                return
        doing[number] = IDLE
        said = json.dumps({"slot": slot, "num_done": stop - start, "bad": bad}) + "\n"
        _write(told["done"], said.encode())


def _next_task(pipe: int, parent: int) -> bytes | None:
    """The next record; None: there will be none."""
    while True:
        ready, _, _ = select.select([pipe], [], [], _LOOK_SECONDS)
        if not ready:
            if os.getppid() != parent:
                return None
            continue
        try:
            record = os.read(pipe, TASK.size)
        except BlockingIOError:  # another worker was faster
            continue
        return record or None


def _write(pipe: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except BrokenPipeError:
        sys.exit(0)
