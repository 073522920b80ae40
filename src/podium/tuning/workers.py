"""Workers: who works on which trial, and whether it still does.

A worker holds a lock in the study's folder as long as it lives: on its own machine the others see at once that it is
gone. And it beats: a number at its trial that rises. Where no lock can be seen, a worker is gone whose number stands
still for two minutes of the watcher's own clock, so that machines need not agree on the time.
"""

from __future__ import annotations

import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from podium.files import storage_errors

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "Worker"]

BEAT_SECONDS = 20.0
STALE_SECONDS = 120.0


class Worker:
    """This process as one of a study's, and what it knows of the others. Its lock is held until `close`.

    Args:
        folder: of the study.
        clock: seconds, for tests.

    Raises:
        StorageError: the folder can't be written to.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.host = platform.node()
        self._folder = folder / "workers"
        self._clock = clock
        self._seen: dict[int, tuple[object, float]] = {}  # trial: its last beat, and when that was new
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._path(self.id), timeout=0)
            self._lock.acquire()

    def close(self) -> None:
        """Lets go of the lock."""
        self._lock.release()
        self.bury(self.id)

    @property
    def attributes(self) -> dict[str, str]:
        """What a trial is marked with that it works on."""
        return {"worker": self.id, "host": self.host}

    def is_gone(self, number: int, attributes: Mapping[str, Any]) -> bool:
        """Whether nobody works any more on the trial of that number, which is marked as under way."""
        worker = str(attributes.get("worker", ""))
        if worker == self.id:
            return False
        if attributes.get("host") == self.host and worker.isalnum() and (path := self._path(worker)).is_file():
            try:
                with FileLock(path, timeout=0):
                    return True
            except (Timeout, OSError):
                return False
        beat = (worker, attributes.get("beat"))
        last, since = self._seen.get(number, (None, 0.0))
        if beat != last:
            self._seen[number] = (beat, self._clock())
            return False
        return self._clock() - since > STALE_SECONDS

    def bury(self, worker: str) -> None:
        """Takes away the lock of one that is gone."""
        if worker.isalnum():
            with suppress(OSError):
                self._path(worker).unlink()

    @contextmanager
    def beating(self, beat: Callable[[int], None]) -> Iterator[None]:
        """Calls `beat` with 1, 2, … now and then, from another thread, as long as the context lasts."""
        over = threading.Event()

        def work() -> None:
            number = 0
            while not over.wait(BEAT_SECONDS):
                number += 1
                with suppress(Exception):  # a storage that can't be reached now may be again
                    beat(number)

        thread = threading.Thread(target=work, daemon=True, name="beat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"
