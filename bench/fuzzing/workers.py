"""Processes that try inputs. One that hangs is ended, one that dies is replaced; both are findings."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from ctypes import c_int64
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fuzzing.guard import Guard, memory_limit
from fuzzing.reader import Reader
from fuzzing.trial import Finding, Tally, Trier

__all__ = ["CPU_SECONDS", "Job", "run_jobs"]

CPU_SECONDS = 20.0  # of one input; the machine may be busy, so it is the processor's time that counts
WALL_SECONDS = 240.0  # of one that waits for something
POLL_SECONDS = 0.2
_fork = multiprocessing.get_context("fork")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Job:
    """Inputs `numbers` of a reader, which `place` says."""

    place: int
    numbers: range


class _Worker:
    """One process, and what is known of it."""

    def __init__(self, readers: Sequence[Reader], seeds: Sequence[Sequence[bytes]], seed: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="podium-fuzz-"))
        self.now = _fork.RawValue(c_int64, -1)
        self.pipe, theirs = _fork.Pipe()
        self.process = _fork.Process(
            target=_work, args=(theirs, self.now, self.home, readers, seeds, seed), daemon=True
        )
        self.process.start()
        theirs.close()
        self.job: Job | None = None
        self._seen = -1
        self._since = self._cpu = 0.0

    def give(self, job: Job) -> None:
        self.job = job
        self.now.value = job.numbers.start
        self._seen = -1
        self.pipe.send(job)

    def hangs(self) -> bool:
        """Whether the input that is being tried takes too long."""
        number, cpu = self.now.value, _cpu_seconds(self.process.pid or 0)
        if number != self._seen:
            self._seen, self._since, self._cpu = number, time.monotonic(), cpu
            return False
        return cpu - self._cpu > CPU_SECONDS or time.monotonic() - self._since > WALL_SECONDS

    def end(self) -> str:
        """Kills it; what it said last, if it crashed."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.pipe.close()
        said = self.home / "crash"
        words = said.read_text(errors="replace") if said.exists() else ""
        shutil.rmtree(self.home, ignore_errors=True)
        return words


def run_jobs(
    jobs: list[Job],
    readers: Sequence[Reader],
    seeds: Sequence[Sequence[bytes]],
    seed: int,
    num_workers: int,
    on_done: Callable[[Tally], None],
) -> None:
    """Tries all jobs' inputs, and gives the tally of each job, or of its parts, as they are done."""
    left = list(reversed(jobs))
    workers = [_Worker(readers, seeds, seed) for _ in range(min(num_workers, len(jobs)))]
    try:
        for worker in workers:
            worker.give(left.pop())
        while any(worker.job is not None for worker in workers):
            connection.wait([worker.pipe for worker in workers if worker.job is not None], POLL_SECONDS)
            for place, worker in enumerate(workers):
                if worker.job is None:
                    continue
                tally, fault = _news(worker)
                if tally is not None:
                    on_done(tally)
                    worker.job = None
                elif fault is not None:
                    rest = _mourn(worker, fault, readers, on_done)
                    left += [rest] if rest is not None else []
                    workers[place] = worker = _Worker(readers, seeds, seed)  # noqa: PLW2901
                if worker.job is None and left:
                    worker.give(left.pop())
    finally:
        for worker in workers:
            worker.end()


def _news(worker: _Worker) -> tuple[Tally | None, str | None]:
    """What the worker has to say: a tally, or that it hangs or died."""
    try:
        if worker.pipe.poll():
            return worker.pipe.recv(), None
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return None, f"died with status {worker.process.exitcode}"
    if not worker.process.is_alive():
        return None, f"died with status {worker.process.exitcode}"
    return (None, "hangs") if worker.hangs() else (None, None)


def _mourn(worker: _Worker, fault: str, readers: Sequence[Reader], on_done: Callable[[Tally], None]) -> Job | None:
    """Notes the input at which a worker was lost; returns what it hadn't tried yet."""
    job, number = worker.job, worker.now.value
    assert job is not None
    words = worker.end()
    reader = readers[job.place].name
    kind = "hang" if fault == "hangs" else "crash"
    on_done(Tally(reader, 1, findings=[Finding(reader, number, kind, f"{reader} {fault}", words)]))
    on_done(Tally(reader, number - job.numbers.start))  # they were tried, and nothing was found: else they'd be here
    return replace(job, numbers=range(number + 1, job.numbers.stop)) if number + 1 < job.numbers.stop else None


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _work(
    pipe: Any, now: Any, home: Path, readers: Sequence[Reader], seeds: Sequence[Sequence[bytes]], seed: int
) -> None:
    """What a worker does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    crash = (home / "crash").open("w")
    faulthandler.enable(crash)
    log = os.open(home / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 2)  # libraries written in C complain of damaged files there
    guard = Guard(home / "inner")
    os.chdir(guard.work)
    guard.begin()
    memory_limit()
    place, trier = -1, None

    def begins(number: int) -> None:
        now.value = number

    try:
        while True:
            job = pipe.recv()
            if job.place != place or trier is None:
                place, trier = job.place, Trier(readers[job.place], seeds[job.place], seed, guard)
            pipe.send(trier.tried(job.numbers, begins))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except BaseException:  # of the bench itself
        import traceback

        traceback.print_exc(file=crash)
        crash.flush()
        os._exit(70)
