"""One input tried, and what came of it."""

from __future__ import annotations

import ctypes
import gc
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.guard import Guard, peak_bytes
from fuzzing.reader import Reader, Said
from podium.errors import PodiumError

__all__ = ["BOUND_BYTES", "Finding", "Tally", "Trier"]

BOUND_BYTES = 1 << 30
"""What an input may take beyond what the process had: an image of 64 megapixels is three times there for a moment."""
LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class Finding:
    """Something that mustn't be.

    Attributes:
        reader: which.
        number: of the input.
        kind: exception, message, outside, memory, litter, hang or crash.
        what: in words; equal ones are one fault.
        detail: where, for whoever mends it.
    """

    reader: str
    number: int
    kind: str
    what: str
    detail: str = ""


@dataclass
class Tally:
    """What came of some inputs of one reader."""

    reader: str
    num_inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    peak_bytes: int = 0
    peak_number: int = -1
    slowest_seconds: float = 0.0
    slowest_number: int = -1
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        """Takes in another's figures."""
        self.num_inputs += other.num_inputs
        self.outcomes.update(other.outcomes)
        self.findings += other.findings
        self.seconds += other.seconds
        if other.peak_bytes > self.peak_bytes:
            self.peak_bytes, self.peak_number = other.peak_bytes, other.peak_number
        if other.slowest_seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest_number = other.slowest_seconds, other.slowest_number


class Trier:
    """Tries one reader's inputs in this process, one after the other, in the guard's working folder."""

    def __init__(self, reader: Reader, seeds: Sequence[bytes], seed: int, guard: Guard) -> None:
        self._reader = reader
        self._seeds = seeds
        self._seed = seed
        self._guard = guard
        guard.tidy()
        os.environ["PODIUM_CACHE"] = str(guard.work / "cache")
        if reader.prepare is not None:
            reader.prepare(guard.work)
        _trim()
        self._base = peak_bytes(reset=True)

    def tried(self, numbers: range, begins: Callable[[int], None]) -> Tally:
        """All of `numbers` in turn; `begins` is told before each."""
        tally = Tally(self._reader.name)
        for number in numbers:
            begins(number)
            self.one(number, tally)
        return tally

    def one(self, number: int, tally: Tally) -> None:
        """Adds what comes of one input to the tally."""
        began = time.process_time()
        data = self._reader.input(self._seeds, self._seed, number)
        peak_bytes(reset=True)
        found: list[tuple[str, str, str]] = []
        with self._guard:
            try:
                self._reader.read(self._guard.work, data)
                outcome = "read well"
            except (PodiumError, Said) as error:
                outcome = type(error).__name__
                if (
                    (text := str(error)).count("\n") > 1
                    or len(text) > LONGEST_MESSAGE
                    or not text
                    or "Traceback" in text
                ):
                    found.append(("message", f"{outcome} at {_place_of(error)}", text[:3000]))
            except BaseException as error:  # whatever it is, it is a finding
                outcome = "other exception"
                place = _place_of(error)
                found.append(
                    ("exception", f"{type(error).__name__} at {place}", "".join(traceback.format_exception(error)))
                )
        found += [("outside", complaint, "") for complaint in self._guard.complaints()]
        found += [("litter", what, "") for what in self._litter()]
        over = peak_bytes() - self._base
        if over > BOUND_BYTES:
            _trim()
            found.append(
                ("memory", f"{self._reader.name} takes more than {BOUND_BYTES >> 20} MiB", f"{over >> 20} MiB")
            )
        if not self._reader.keeps:
            self._guard.tidy()
        seconds = time.process_time() - began
        tally.num_inputs += 1
        tally.outcomes[outcome] += 1
        tally.seconds += seconds
        tally.findings += [Finding(self._reader.name, number, *one) for one in found]
        if over > tally.peak_bytes:
            tally.peak_bytes, tally.peak_number = over, number
        if seconds > tally.slowest_seconds:
            tally.slowest_seconds, tally.slowest_number = seconds, number

    def _litter(self) -> list[str]:
        """What was begun in the cache, or beside a file, and neither finished nor taken away."""
        work, found = self._guard.work, []
        for folder in (work, work / "cache" / "packs", work / "cache" / "indexes", work / "runs" / "one"):
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries]
                odd = [name for name in names if name.startswith("building-") or (name[0] == "." and name != ".lock")]
                found += [
                    f"left in {folder.name}: a half-built {'folder' if (folder / one).is_dir() else 'file'}"
                    for one in odd
                ]
        return found


def _trim() -> None:
    """Gives free memory back: taken again it would go unnoticed, kept it would be laid to the next input."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _place_of(error: BaseException) -> str:
    """Where in podium it was raised: the last of its lines on the way."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}podium{os.sep}" in frame.filename]
    last = (ours or frames or [None])[-1]  # type: ignore[list-item]
    return "?" if last is None else f"{Path(last.filename).name}:{last.lineno} in {last.name}"
