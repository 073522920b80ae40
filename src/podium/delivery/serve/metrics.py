"""Counts and durations in Prometheus' text form.

A few lines instead of a dependency: counters, a gauge read when asked, histograms. Source:
prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

__all__ = ["CONTENT_TYPE", "Histogram", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """How many values are at most so large; may be used by several threads.

    Args:
        bounds: ascending.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Counts a value."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self, name: str) -> list[str]:
        """As Prometheus reads them."""
        with self._lock:
            counts, total = list(accumulate(self._counts)), self._sum
        written = [f"{bound:g}" for bound in self._bounds] + ["+Inf"]
        found = [f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(written, counts, strict=True)]
        return [*found, f"{name}_sum {total:.9g}", f"{name}_count {counts[-1]}"]


class Metrics:
    """What a server did so far.

    Args:
        info: labels of the server itself: versions, run, model.
        in_flight: how many requests are being answered.

    Attributes:
        requests: by (method, path, status).
        images: that were named.
        seconds: of requests to /predict, from the first byte to the answer.
        batches: images through the network at once.
    """

    def __init__(self, info: Mapping[str, str], in_flight: Callable[[], int]) -> None:
        self._info = dict(info)
        self._in_flight = in_flight
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.images = 0
        self.seconds = Histogram(_SECONDS)
        self.batches = Histogram(_BATCHES)

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        info = ",".join(f'{name}="{_escaped(value)}"' for name, value in self._info.items())
        requests = [
            f'podium_requests_total{{method="{method}",path="{_escaped(path)}",status="{status}"}} {count}'
            for (method, path, status), count in sorted(self.requests.items())
        ]
        lines = [
            *_head("podium_info", "gauge", "What is served."),
            f"podium_info{{{info}}} 1",
            *_head("podium_requests_total", "counter", "Requests that were answered; 499: the client was gone."),
            *requests,
            *_head("podium_images_total", "counter", "Images that were named."),
            f"podium_images_total {self.images}",
            *_head("podium_requests_in_flight", "gauge", "Requests to /predict that are being answered."),
            f"podium_requests_in_flight {self._in_flight()}",
            *_head("podium_predict_seconds", "histogram", "From a request's head to its answer."),
            *self.seconds.lines("podium_predict_seconds"),
            *_head("podium_batch_images", "histogram", "Images that went through the network together."),
            *self.batches.lines("podium_batch_images"),
        ]
        if (resident := _resident_bytes()) is not None:
            lines += _head("process_resident_memory_bytes", "gauge", "Memory that the server holds.")
            lines.append(f"process_resident_memory_bytes {resident}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int | None:
    """None where the system doesn't say it this way."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
