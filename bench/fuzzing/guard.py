"""What a process that tries inputs may do, and what is looked at after each: nothing outside, nothing run, memory.

Python's own audit events tell of each file opened for writing, each process begun, each connection, wherever it is
done from Python. What libraries written in C do without Python's knowing is seen by the canaries: files around the
working folder, which must stay as they are.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

__all__ = ["Guard", "memory_limit", "peak_bytes", "resident_bytes"]

ADDRESS_BYTES = 4 << 30  # beyond what a process has at its start
FILE_BYTES = 1 << 30
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {  # events whose first arguments are paths that are changed
    **dict.fromkeys(("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
}
_RUNS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "os.startfile"}
)
_SPEAKS = frozenset({"socket.connect", "socket.sendto", "socket.bind", "urllib.Request", "ftplib.connect"})


class Guard:
    """Watches one process.

    Attributes:
        work: where inputs may be written, and what is made of them.

    Args:
        home: an empty folder; `work` lies some folders deep in it, with canaries beside each.
        shared: folders that may be written to as well.
    """

    def __init__(self, home: Path, shared: tuple[Path, ...] = ()) -> None:
        self._home = home
        self.work = home / "a" / "b" / "work"
        self.work.mkdir(parents=True)
        for folder in (home, home / "a", home / "a" / "b"):
            (folder / "canary").write_text("untouched")
        self._around = self._look_around()
        self._allowed = tuple(f"{os.path.realpath(folder)}/" for folder in (self.work, *shared))
        self._found: list[str] = []
        self._is_on = False

    def begin(self) -> None:
        """From now on, in this process, what mustn't be is noted. It can't be ended: audit hooks can't."""
        sys.addaudithook(self._audit)
        threading.excepthook = lambda args: self._note(f"a thread died of {args.exc_type.__name__}: {args.exc_value}")
        sys.unraisablehook = lambda args: self._note(f"unraisable {type(args.exc_value).__name__}: {args.exc_value}")

    def __enter__(self) -> Guard:
        self._found.clear()
        self._is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_on = False

    def complaints(self) -> list[str]:
        """What was done since the last time that mustn't be; the canaries are looked at too, and replaced."""
        found = list(self._found)
        if (around := self._look_around()) != self._around:
            found.append(f"outside: {sorted(around ^ self._around)[:4]}")
            self._around = around
        return found

    def tidy(self) -> None:
        """Empties the working folder."""
        for path in self.work.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _note(self, what: str) -> None:
        if len(self._found) < 20:
            self._found.append(what)

    def _look_around(self) -> frozenset[tuple[str, ...]]:
        found = set()
        for folder in (self._home, self._home / "a", self._home / "a" / "b"):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.add((entry.path,))
                    else:
                        found.add((entry.path, Path(entry.path).read_text() if entry.is_file() else "?"))
        return frozenset(found)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and (
                flags & _WRITES if isinstance(flags, int) and flags >= 0 else set(mode or "") & set("wax+")
            ):
                self._check(path)
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._check(path)
        elif event in _RUNS or event in _SPEAKS:
            self._note(f"{event} {str(arguments)[:200]}")

    def _check(self, path: Any) -> None:
        text = os.fsdecode(path)
        if text == "/dev/null":
            return
        folder, name = os.path.split(text)
        real = os.path.join(os.path.realpath(folder or "."), name)  # noqa: PTH118
        if not real.startswith(self._allowed) and f"{real}/" not in self._allowed:
            self._note(f"writes {real}")


def memory_limit() -> None:
    """This process gets so much more address space than it has, no huge files, and no dump when it dies."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ADDRESS_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def resident_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_bytes(*, reset: bool = False) -> int:
    """The most that this process had in memory since the last reset (Linux)."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
            file.write("5")
        return resident_bytes()
    with open("/proc/self/status") as file:  # noqa: PTH123
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
