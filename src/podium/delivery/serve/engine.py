"""Requests that come at once go through the network together.

One thread computes. It takes what waits, up to a batch; and it waits for more, a few milliseconds at most, only where
more is on its way: requests that are being decoded, or as many as came the last time. A request alone never waits.

Shapes: B images of H×W pixels, K classes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium.evaluation.grad_cam import grad_cam
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier
from podium.runtime import Runtime

__all__ = ["Answer", "Batching", "Engine"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_NOTHING = np.empty((0, 0, 0, 3), np.uint8)
_HEATS_AT_ONCE = 4  # images of which all that the network computes is kept, for the gradient
_HEAT_SIDE = 4  # places of a heat map at least, where the network has such; as in the report


@dataclass(frozen=True)
class Batching:
    """How requests are put together.

    Attributes:
        max_images: through the network at once.
        max_wait_seconds: for more of them.
    """

    max_images: int = 16
    max_wait_seconds: float = 0.003


@dataclass(frozen=True)
class Answer:
    """What the network says of a request's images.

    Attributes:
        logits: float32 (B, K).
        heats: Grad-CAM, float32 (B, h, w) of [0, 1]; None: not asked for.
        heat_classes: int64 (B,): the classes that the heat maps are of.
    """

    logits: Floats
    heats: Floats | None = None
    heat_classes: npt.NDArray[np.int64] | None = None


@dataclass(eq=False)
class _Job:
    """A request's images, and where its answer goes."""

    pixels: Pixels  # (B, H, W, 3)
    wants_heat: bool
    heat_class: int | None
    future: asyncio.Future[Answer]


def _tell(told: Sequence[tuple[_Job, Answer | BaseException]]) -> None:
    """Wakes those who wait, of each event loop all at once: to wake it costs as much as to decode a small image."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Answer | BaseException]]] = {}
    for job, value in told:
        loops.setdefault(job.future.get_loop(), []).append((job, value))
    for loop, some in loops.items():
        with suppress(RuntimeError):  # it is closed, so nobody waits
            loop.call_soon_threadsafe(_settle, some)


def _settle(told: Sequence[tuple[_Job, Answer | BaseException]]) -> None:
    for job, value in told:
        if job.future.done():  # its client is gone
            continue
        if isinstance(value, BaseException):
            job.future.set_exception(value)
        else:
            job.future.set_result(value)


class Engine:
    """A classifier that answers from one thread of its own.

    Args:
        classifier: on the runtime's device.
        runtime: device, precision and threads.
        tta: test-time augmentation, as a recipe names it.
        batching: how requests are put together.
        on_batch: called with the number of images after each batch, in the engine's thread.
    """

    def __init__(
        self,
        classifier: Classifier,
        runtime: Runtime,
        *,
        tta: str = "none",
        batching: Batching | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.classifier = classifier.eval()
        self._runtime = runtime
        self._tta = tta
        self._batching = batching or Batching()
        self._on_batch = on_batch
        self._queue: deque[_Job] = deque()
        self._queued = 0  # images
        self._coming = 0  # requests whose images are being read
        self._wanted = 1  # images that the thread waits for
        self._last = 1  # images of the last batch
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="podium-network", daemon=True)
        self._thread.start()

    def ask(
        self, readers: Executor, read: Callable[[], Pixels], *, heat: bool = False, heat_class: int | None = None
    ) -> asyncio.Future[Answer]:
        """What the network says of some images. Cancelled before its turn, it costs nothing.

        From the readers' thread they go straight to the network's; the event loop has no part in it.

        Args:
            readers: where the images are read.
            read: gives uint8 (B, H, W, 3), of the size that the classifier takes. What it raises, the future does.
            heat: whether heat maps are wanted.
            heat_class: of which class; None: of each image's most probable.

        Raises:
            RuntimeError: the engine is closed.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with self._changed:
            if self._is_closed:
                raise RuntimeError("The engine is closed.")
            self._coming += 1
        readers.submit(self._prepare, read, _Job(_NOTHING, heat, heat_class, future))
        return future

    def _prepare(self, read: Callable[[], Pixels], job: _Job) -> None:
        fault: BaseException | None = None
        try:
            if not job.future.cancelled():
                job.pixels = read()
        except BaseException as error:  # whoever waits must hear it
            fault = error
        with self._changed:
            self._coming -= 1
            if len(job.pixels):
                self._queue.append(job)
                self._queued += len(job.pixels)
            if self._queued >= self._wanted or self._is_closed:
                self._changed.notify()
        if fault is not None:
            _tell([(job, fault)])

    def close(self) -> None:
        """Answers what was asked, then ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    # ---- the thread

    def _work(self) -> None:
        torch.set_num_threads(self._runtime.num_threads)  # it holds for the thread that calls it
        torch.backends.cudnn.benchmark = False  # batches are of all sizes, and each new one would be tried out
        while jobs := self._next():
            jobs = [job for job in jobs if not job.future.cancelled()]
            if not jobs:
                continue
            try:
                self._answer(jobs)
            except BaseException as error:  # whatever it is, whoever waits must hear it, and the thread must live
                _tell([(job, error) for job in jobs])

    def _next(self) -> list[_Job]:
        """The next batch: whole requests, until it is full. Empty: the engine is closed, and all is answered."""
        with self._changed:
            self._wanted = 1
            while not self._queue and not (self._is_closed and self._coming == 0):
                self._changed.wait()
            deadline = time.monotonic() + self._batching.max_wait_seconds
            while not self._is_closed:
                expected = max(self._last, self._queued + self._coming)
                self._wanted = min(self._batching.max_images, expected)
                left = deadline - time.monotonic()
                if self._queued >= self._wanted or left <= 0:
                    break
                self._changed.wait(left)
            jobs: list[_Job] = []
            num_images = 0
            while self._queue and num_images < self._batching.max_images:
                jobs.append(self._queue.popleft())
                num_images += len(jobs[-1].pixels)
            self._queued -= num_images
            self._last = max(1, num_images)
        return jobs

    def _answer(self, jobs: Sequence[_Job]) -> None:
        """Logits of all together, then the heat maps of those that want some."""
        joined = np.concatenate([job.pixels for job in jobs])
        pixels = torch.from_numpy(joined).to(self._runtime.device).permute(0, 3, 1, 2)  # (B, 3, H, W), channels_last
        logits = self._logits(pixels)
        if self._on_batch is not None:
            self._on_batch(len(joined))
        start = 0
        now: list[tuple[_Job, Answer]] = []
        later: list[tuple[_Job, Floats, Tensor]] = []
        for job in jobs:
            size = len(job.pixels)
            own = logits[start : start + size]
            if job.wants_heat:
                later.append((job, own, pixels[start : start + size]))
            else:
                now.append((job, Answer(own)))
            start += size
        _tell(now)
        for job, own, some in later:
            if not job.future.cancelled():
                _tell([(job, self._with_heat(job, own, some))])

    def _logits(self, pixels: Tensor) -> Floats:
        """float32 (B, K); each request's images as if they had come alone; a batch at a time."""
        with torch.inference_mode(), self._runtime.autocast():
            parts = [
                logits_with_tta(self.classifier, some, self._tta)
                for some in torch.split(pixels, self._batching.max_images)
            ]
            return torch.cat(parts).float().cpu().numpy()

    def _with_heat(self, job: _Job, logits: Floats, pixels: Tensor) -> Answer:
        classes = logits.argmax(1) if job.heat_class is None else np.full(len(logits), job.heat_class)
        chosen = torch.from_numpy(classes).to(pixels.device)
        heats = [
            grad_cam(self.classifier, some, few, _HEAT_SIDE).cpu().numpy()
            for some, few in zip(torch.split(pixels, _HEATS_AT_ONCE), torch.split(chosen, _HEATS_AT_ONCE), strict=True)
        ]
        return Answer(logits, np.concatenate(heats), classes)
