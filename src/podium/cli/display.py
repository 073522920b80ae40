"""What a person sees while something takes time: bars on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from podium import training

__all__ = ["TrainingDisplay", "bars", "duration", "out", "print_json"]

out = Console(highlight=False, markup=False)
"""Results: on stdout."""
_err = Console(stderr=True, highlight=False, markup=False)
_PLAIN_SECONDS = 10.0  # between two lines, where the output is no terminal


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def duration(seconds: float) -> str:
    """Such as 14:05 or 2:03:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bars:
    """A bar for each kind of work, shown once it has taken a second."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[left]}"),
            console=_err,
            transient=True,
        )
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` of `what` is done; a `total` of 0: nobody knows how long it takes."""
        now = time.monotonic()
        began = self._began.setdefault(what, now)
        if total and now - began < 1:
            return
        left = f"{duration((now - began) / done * (total - done))} left" if 0 < done < total else ""
        count = f"{done:,} / {total:,}" if total else ""
        if _err.is_terminal:
            if what not in self._tasks:
                self._progress.start()
                for task in self._tasks.values():
                    self._progress.update(task, visible=False)
                self._tasks[what] = self._progress.add_task(what, total=total or None, left="", count="")
            self._progress.update(self._tasks[what], completed=done, left=left, count=count)
        elif what.startswith("waiting") or now - self._said.get(what, began) >= _PLAIN_SECONDS:
            self._said[what] = now
            _err.print(f"{what} {count}  {left}".rstrip(), soft_wrap=True)

    def stop(self) -> None:
        """Takes the bars away."""
        if self._tasks:  # stopping one that never began prints an empty line
            self._progress.stop()


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
        epoch = f"{now.epoch}/{now.num_epochs:g}"
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
            self._progress.update(self._task, completed=now.step, epoch=epoch, figures=figures)
            if is_end:
                self._progress.console.print(line, soft_wrap=True)
        elif is_end or time.monotonic() - self._said >= 3 * _PLAIN_SECONDS:
            _err.print(line, soft_wrap=True)
            self._said = time.monotonic()
