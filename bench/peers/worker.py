"""A competitor in a process of its own: it warms up, says so, then trains once for each seed it is told.

Lines of JSON go both ways, on descriptors that the competitor's own printing doesn't reach: what it prints is its log.
Only one competitor is told to go at a time, so that no two share the device; a process that waits uses none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from peers.drivers import Driver, Outcome

__all__ = ["Worker", "WorkerError", "serve"]


class WorkerError(Exception):
    """The competitor's process has ended, or said something else than it should."""


class Worker:
    """The other end of `serve`.

    Args:
        command: starts a process that calls `serve`.
        log: what it prints.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("a", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )

    def wait_ready(self) -> dict[str, Any]:
        """What the process says once it is warm. Raises WorkerError."""
        return self._answer()

    def run(self, seed: int) -> Outcome:
        """One training. Raises WorkerError."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"seed": seed}) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failure() from error
        return Outcome(**self._answer())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()  # its loop ends there
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        return dict(json.loads(line))

    def _failure(self) -> WorkerError:
        self._process.wait()
        lines = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return WorkerError(f"ended with status {self._process.returncode}: {lines[-1] if lines else 'no word'}")


def serve(new_driver: Callable[[], Driver], about: Callable[[], dict[str, Any]] = dict) -> None:
    """Warms a competitor up and trains once for each line of standard input, until that ends.

    Args:
        new_driver: makes the competitor.
        about: what the first answer says besides the seconds that warming up took.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # from here on, what is printed goes to the log
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    began = time.perf_counter()
    driver = new_driver()
    driver.warm_up()

    def answer(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    answer({"warm_up_seconds": round(time.perf_counter() - began, 1), **about()})
    for line in sys.stdin:
        answer(asdict(driver.run(json.loads(line)["seed"])))
