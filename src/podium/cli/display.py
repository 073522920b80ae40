"""What a person sees while something takes time: bars on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from podium.world.launch import is_first

if TYPE_CHECKING:
    from podium import training

__all__ = ["StopSignal", "TrainingDisplay", "bars", "duration", "note", "out", "print_json"]

_is_quiet = not is_first()  # of several processes one speaks
out = Console(quiet=_is_quiet, highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
"""Results: on stdout; a file or pipe has no width that tables would have to fit."""
_err = Console(stderr=True, quiet=_is_quiet, highlight=False, markup=False)
_PLAIN_SECONDS = 10.0  # between two lines, where the output is no terminal


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    if not _is_quiet:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def duration(seconds: float) -> str:
    """Such as 14:05 or 2:03:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def note(message: str) -> None:
    """What is worth a line on stderr and no error, from whichever process."""
    sys.stderr.write(f"{message}\n")


class Bars:
    """A bar for the work under way, shown once it has taken a second."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[left]}"),
            console=_err,
            transient=True,
        )
        self._what = ""
        self._began = self._said = 0.0
        self._task: TaskID | None = None
        self._timer: threading.Timer | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` of `what` is done; a `total` of 0: nobody knows how long it takes."""
        now = time.monotonic()
        if what != self._what:
            self.stop()
            self._what, self._began, self._said = what, now, now
            if not total:  # it may be the only word about it
                self._timer = threading.Timer(1, self._show, ("", "", 0, None))
                self._timer.daemon = True
                self._timer.start()
        elif total and now - self._began >= 1:
            left = f"{duration((now - self._began) / done * (total - done))} left" if 0 < done < total else ""
            self._show(f"{done:,} / {total:,}", left, done, total)

    def _show(self, count: str, left: str, done: int, total: int | None) -> None:
        if not _err.is_terminal:
            now = time.monotonic()
            if total is None or now - self._said >= _PLAIN_SECONDS:
                self._said = now
                _err.print(f"{self._what} {count}  {left}".rstrip(), soft_wrap=True)
            return
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(self._what, total=total, count=count, left=left)
        self._progress.update(self._task, completed=done, count=count, left=left)

    def stop(self) -> None:
        """Takes the bar away."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:  # stopping one that never began prints an empty line
            self._progress.remove_task(self._task)
            self._progress.stop()
        self._task = self._timer = None


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars that go away at the end, however it comes."""
    shown = Bars()
    try:
        yield shown
    finally:
        shown.stop()


class TrainingDisplay:
    """Epoch, step, loss, accuracy, images/s and time left: a bar on a terminal, a line an epoch elsewhere."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("step {task.completed:,.0f}/{task.total:,.0f}  {task.fields[figures]}"),
            console=_err,
            transient=True,
        )
        self._task: TaskID | None = None
        self._said = time.monotonic()
        self._epoch = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:  # stopping one that never began prints an empty line
            self._progress.stop()

    def __call__(self, now: training.Progress) -> None:
        """Shows how far the training is."""
        epoch = f"{now.epoch}/{now.num_epochs:.4g}"
        figures = (
            f"loss {now.loss:.3f}  accuracy {now.accuracy:.1%}  {now.images_per_second:,.0f} images/s"
            f"  {duration(now.seconds_left)} left"
        )
        is_end = now.ends_epoch
        line = f"epoch {epoch:>7}  step {now.step:,}/{now.num_steps:,}  {figures}"
        if now.hold_out_accuracy is not None:
            line += f"  hold-out {now.hold_out_accuracy:.2%}"
        if _err.is_terminal:
            if self._task is None:
                self._progress.start()
                self._task = self._progress.add_task("", total=now.num_steps, epoch=epoch, figures="")
            self._progress.update(self._task, completed=now.step, total=now.num_steps, epoch=epoch, figures=figures)
            if is_end:
                self._progress.console.print(line, soft_wrap=True)
        elif is_end or time.monotonic() - self._said >= 3 * _PLAIN_SECONDS:
            _err.print(line, soft_wrap=True)
            self._said = time.monotonic()


class StopSignal:
    """Within it, Ctrl-C asks for a stop after the step; a second one stops at once."""

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\nStopping after this step or batch; Ctrl-C again stops at once.\n")
