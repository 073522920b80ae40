"""Loader: worker processes decode batches of encoded images into shared memory, ahead of who needs them.

Each batch has a slot of a ring. Work goes out in small pieces by one pipe, from which the workers help themselves, so
none waits for a slower one; no pixels travel. The workers are processes of their own with nothing of this one's, and
share its memory by a descriptor that has no name.

Shapes: M images a batch.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from podium.data.encoded import Files, Indices
from podium.data.loader_worker import IDLE, TASK
from podium.data.random_crop import RandomCrop
from podium.data.shared_memory import SharedMemory, layout_of
from podium.errors import LoaderError, StorageError
from podium.limits import num_usable_cores

__all__ = ["Loaded", "Loader"]

_NUM_SLOTS = 4
_PIECES_A_WORKER = 4  # of a batch: so many, or of so many images at most
_PIECE_IMAGES = 32
_PATIENCE_SECONDS = 300.0  # a file on a slow disk is read in less
_READ_BYTES = 1 << 16
_PROGRAM = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[2]); "
    "from podium.data.loader_worker import main; main(sys.argv[1])"
)


@dataclass(frozen=True)
class Loaded:
    """A batch that was asked for.

    Attributes:
        pixels: uint8 (M, H, W, 3), in shared memory: to be copied before it is released.
        bad: what is wrong with the images that couldn't be decoded, by place in the batch; their pixels are anything.
    """

    pixels: npt.NDArray[np.uint8]
    bad: dict[int, str]


@dataclass
class _Slot:
    """What is known of a batch on its way."""

    number: int
    num_images: int
    num_left: int
    bad: dict[int, str] = field(default_factory=dict)


class Loader:
    """Decodes batches in worker processes.

    Args:
        files: where the images lie.
        size: height and width that they are handed over in.
        batch_size: the most images in a batch.
        crop: of which part of an image is taken; None: its middle.
        num_workers: processes; None: as many as there are cores for this one.
        num_slots: batches that may be on their way or in use at once.

    Raises:
        StorageError: there is no shared memory for it.
    """

    def __init__(
        self,
        files: Files,
        size: tuple[int, int],
        *,
        batch_size: int,
        crop: RandomCrop | None = None,
        num_workers: int | None = None,
        num_slots: int = _NUM_SLOTS,
    ) -> None:
        self._files = files
        num_workers = num_workers or num_usable_cores()
        self._piece = max(1, min(_PIECE_IMAGES, batch_size // (_PIECES_A_WORKER * num_workers)))
        listing = SharedMemory.of({name: _not_empty(array) for name, array in files.arrays().items()})
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "doing": ("<i8", (num_workers,)),
            "rows": ("<i8", (num_slots, batch_size)),
            "pixels": ("|u1", (num_slots, batch_size, *size, 3)),
        }
        ring = SharedMemory(layout_of(shapes))
        self._doing, self._rows, self._pixels = ring["doing"], ring["rows"], ring["pixels"]
        self._doing[:] = IDLE
        self._free = list(range(num_slots))
        self._slots: dict[int, _Slot] = {}
        told = {
            "listing": listing.layout,
            "listing_descriptor": listing.descriptor,
            "ring": ring.layout,
            "ring_descriptor": ring.descriptor,
            "crop": None if crop is None else asdict(crop),
        }
        self._workers = _Workers(num_workers, told, [listing.descriptor, ring.descriptor])
        self._end = weakref.finalize(self, self._workers.end)
        listing.close()
        ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers."""
        self._end()

    @property
    def has_room(self) -> bool:
        """Whether another batch can be asked for."""
        return bool(self._free)

    def ask(self, key: int, rows: Indices, epoch: int) -> None:
        """Has a batch decoded, as soon as those asked for before are.

        Args:
            key: that it will be taken by.
            rows: int64 (M,), which images, in that order.
            epoch: decides, with the row, which part of each image is taken.

        Raises:
            LoaderError: a worker died.
        """
        assert key not in self._slots, key
        slot = _Slot(self._free.pop(0), len(rows), len(rows))
        self._slots[key] = slot
        self._rows[slot.number, : len(rows)] = rows
        try:
            for start in range(0, len(rows), self._piece):
                stop = min(start + self._piece, len(rows))
                self._workers.tell(TASK.pack(slot.number, start, stop, epoch))
        except BrokenPipeError:
            self._wait()
            raise

    def take(self, key: int) -> Loaded:
        """A batch that was asked for, when it is there.

        Raises:
            LoaderError: a worker died, or none says anything.
            StorageError: what is fetched can't be, or there is no room for it.
        """
        slot = self._slots[key]
        while slot.num_left:
            self._wait()
        return Loaded(self._pixels[slot.number, : slot.num_images], slot.bad)

    def release(self, key: int) -> None:
        """The batch was copied: its place may be used again."""
        self._free.append(self._slots.pop(key).number)

    def _wait(self) -> None:
        """Takes in what the workers say next. Raises StorageError: what one needs can't be fetched."""
        by_number = {slot.number: slot for slot in self._slots.values()}
        for said in self._workers.listen(self._image_of):
            if "storage_error" in said:
                raise StorageError(str(said["storage_error"]))
            slot = by_number[said["slot"]]
            slot.num_left -= said["num_done"]
            slot.bad |= {int(place): str(message) for place, message in said["bad"]}

    def _image_of(self, number: int) -> str:
        """What a worker was decoding, in words."""
        row = int(self._doing[number])
        return "" if row == IDLE else f" while it decoded {self._files.where(row)}"


class _Workers:
    """The processes, and the pipes to and from them."""

    def __init__(self, num_workers: int, told: dict[str, Any], descriptors: list[int]) -> None:
        self._selector = selectors.DefaultSelector()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._begun: dict[int, bytes] = {}  # of each pipe: a line whose end hasn't come yet
        reading, self._tasks = os.pipe()
        os.set_blocking(reading, False)
        try:
            for number in range(num_workers):
                listening, done = os.pipe()
                message = json.dumps(told | {"tasks": reading, "done": done, "number": number})
                self._selector.register(listening, selectors.EVENT_READ, number)
                self._begun[listening] = b""
                try:
                    process = subprocess.Popen(
                        [sys.executable, "-c", _PROGRAM, message, json.dumps(sys.path)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        pass_fds=[*descriptors, reading, done],
                        process_group=0,  # Ctrl-C in a terminal is this process's
                    )
                finally:
                    os.close(done)
                self._processes.append(process)
        except OSError as error:
            self.end()
            raise LoaderError(f"The processes that decode images can't be started: {error.strerror}.") from error
        finally:
            os.close(reading)

    def tell(self, record: bytes) -> None:
        """Work for whoever is free. Raises BrokenPipeError if all are dead."""
        os.write(self._tasks, record)  # of less than PIPE_BUF bytes: as a whole

    def listen(self, image_of: Callable[[int], str]) -> Iterator[dict[str, Any]]:
        """What they say next, a few lines. Raises LoaderError, with what `image_of` a worker's number says."""
        ready = self._selector.select(_PATIENCE_SECONDS)
        if not ready:
            at = "".join(image_of(number) for number in range(len(self._processes)))
            raise LoaderError(
                f"The processes that decode images have said nothing for {_PATIENCE_SECONDS:.0f} seconds{at}.\n"
                "Is the disk or the network that the images lie on still there? Go on with --resume."
            )
        for key, _ in ready:
            descriptor, number = key.fd, key.data
            data = os.read(descriptor, _READ_BYTES)
            if not data:
                self._say_death(number, image_of(number))
            *lines, self._begun[descriptor] = (self._begun[descriptor] + data).split(b"\n")
            yield from map(json.loads, lines)

    def end(self) -> None:
        """Ends all, whatever they do."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes = []
        with suppress(OSError):
            os.close(self._tasks)
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fd)
            os.close(key.fd)
        self._selector.close()

    def _say_death(self, number: int, at: str) -> None:
        process = self._processes[number]
        try:
            status = process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = "Was memory short? " if status == -signal.SIGKILL else ""
        raise LoaderError(
            f"Worker {number} of the {len(self._processes)} that decode images (process {process.pid}) {how}{at}.\n"
            f"{hint}Go on from the last checkpoint with --resume."
        )


def _not_empty(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same, of words that have at least a byte."""
    return array.astype("S1") if array.dtype.itemsize == 0 else array
