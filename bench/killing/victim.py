"""A process of its own group that does something, and is killed at a moment, or at one of its changes to files.

It is forked from this one, which has imported podium and has computed nothing: so it begins at once, and the moments
fall into the work and not into the imports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Death", "killed_after", "killed_at_change", "lived"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = frozenset({"os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.truncate", "os.link", "os.symlink"})
POLL_SECONDS = 0.002
LONGEST_SECONDS = 600.0

Task = Callable[[], object]


@dataclass(frozen=True)
class Death:
    """What became of a process.

    Attributes:
        was_killed: or else it had ended before.
        seconds: that it lived.
        num_changes: to files in the watched folder that it had begun, as far as it tells.
        error: what it said, if it ended in any other way than well or killed.
    """

    was_killed: bool
    seconds: float
    num_changes: int = 0
    error: str = ""


def lived(task: Task, watched: Path) -> Death:
    """Lets it live: how long it takes, and how many changes it makes."""
    return _run(task, watched, LONGEST_SECONDS, None)


def killed_after(task: Task, watched: Path, seconds: float) -> Death:
    """SIGKILL to its group, once it has lived so long."""
    return _run(task, watched, seconds, None)


def killed_at_change(task: Task, watched: Path, number: int) -> Death:
    """SIGKILL to its group, just before change `number`, from 1, to a file in `watched`."""
    return _run(task, watched, LONGEST_SECONDS, number)


def _run(task: Task, watched: Path, seconds: float, at_change: int | None) -> Death:
    readable, writable = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _be_victim(task, watched, writable, at_change)
    os.close(writable)
    os.read(readable, 1)  # it has a group of its own
    began = time.monotonic()
    os.set_blocking(readable, False)
    status, was_killed = None, False
    while status is None:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = found
        elif time.monotonic() - began >= seconds:
            os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        else:
            time.sleep(POLL_SECONDS)
    lasted = time.monotonic() - began
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    told = b""
    while True:
        try:
            piece = os.read(readable, 1 << 16)
        except BlockingIOError:
            break
        if not piece:
            break
        told += piece
    os.close(readable)
    changes, _, words = told.decode(errors="replace").partition("\n")
    is_well = was_killed or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0)
    return Death(was_killed, lasted, len(changes), "" if is_well else f"status {status}: {words[-2000:]}")


def _be_victim(task: Task, watched: Path, tell: int, at_change: int | None) -> None:
    """Never returns."""
    os.setsid()
    os.write(tell, b"!")
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        root, num_changes = f"{os.path.realpath(watched)}{os.sep}", 0

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal num_changes
            if event not in _CHANGES and event != "open":
                return
            if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
                return
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(root):  # noqa: PTH100
                num_changes += 1
                if num_changes == at_change:
                    os.killpg(0, signal.SIGKILL)
                os.write(tell, b".")

        sys.addaudithook(audit)
        task()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
        os.write(tell, b"\nexit " + str(error.code).encode())
    except BaseException:  # whatever it is, it is told
        os.write(tell, b"\n" + traceback.format_exc().encode()[-4000:])
    os._exit(status)
