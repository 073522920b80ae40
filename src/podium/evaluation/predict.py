"""Classifier + Images → Predictions, in batches, so that memory doesn't grow with the images."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium.data import Batch, Images, ImageStream
from podium.errors import RunError
from podium.evaluation.predictions import Predictions
from podium.evaluation.tta import NUM_VIEWS, least_sure, logits_with_tta
from podium.models import Classifier
from podium.runtime import Runtime
from podium.world import World

__all__ = ["predict_images"]

_BATCH_PIXELS = 1000 * 32 * 32
_BATCH_PIXELS_A_THREAD = 125 * 32 * 32  # a small batch is as fast, and takes little memory for each thread

Compute = Callable[[npt.NDArray[np.int64], Tensor], Tensor]
"""Rows, and their pixels, uint8 (B, 3, H, W), to logits (B, K)."""
Computed = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Rows, and their logits."""


def predict_images(
    classifier: Classifier,
    images: Images | ImageStream,
    runtime: Runtime,
    *,
    tta: str = "none",
    tta_fraction: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Logits for every image.

    Several processes take a part each, and every one gets all logits: the same as one would compute, in the same order.

    On a processor each of the runtime's threads takes batches of its own, so that none waits for another, nor for the
    archive that a stream may come from.

    Args:
        classifier: in evaluation mode, on the runtime's device.
        images: of the size that the classifier takes. A stream is taken to its end, or closed.
        runtime: device, precision and threads.
        tta: test-time augmentation, as a recipe names it.
        tta_fraction: part of the images that get all views of `tta`: the least sure of all by their first view. The
            others keep that one.
        on_progress: called with (images done, images in all) after each batch. Where some images get more views, the
            first is the share of the work that is done, counted in images.

    Raises:
        RunError: the images are of another size, or another process has others.
        DataError, StorageError: of a stream, as its batches raise.
    """
    classifier.eval()
    size = _batch_size(classifier, runtime)
    stream = images if isinstance(images, ImageStream) else _part_stream(images, size, runtime.world)
    _check_same(stream, runtime.world)
    world, num_images, num_views = runtime.world, len(stream), NUM_VIEWS[tta]
    mine = world.part(num_images)
    is_twofold = tta_fraction < 1 and num_views > 1
    first_views = 1 if is_twofold else num_views
    num_later = round(num_images * tta_fraction) if is_twofold else 0
    work = num_images * first_views + num_later * (num_views - first_views)
    logits = np.empty((num_images, len(classifier.preprocessing.classes)), np.float32)
    done = 0

    def take(computed: Iterable[Computed], views: int) -> None:
        nonlocal done
        for rows, some in computed:
            logits[rows] = some
            done += len(rows) * views
            if on_progress is not None:
                on_progress(min(num_images, done * world.size * num_images // work), num_images)

    def first_look(_: npt.NDArray[np.int64], pixels: Tensor) -> Tensor:
        return logits_with_tta(classifier, pixels, "none" if is_twofold else tta)

    def second_look(rows: npt.NDArray[np.int64], pixels: Tensor) -> Tensor:
        first = torch.from_numpy(logits[rows]).to(pixels.device)
        return logits_with_tta(classifier, pixels, tta, first)

    with closing(stream.batches) as batches:
        expected = classifier.preprocessing.image_size
        own = batches if world.size == 1 else _within(batches, mine)
        take(_compute(first_look, _cut(own, size, expected), runtime), first_views)
    _merge(logits, np.arange(num_images), world)
    if num_later:
        rows = least_sure(logits, num_later)
        later = stream.images().batches(size, rows[world.part(num_later)])
        take(_compute(second_look, later, runtime), num_views - first_views)
        _merge(logits, rows, world)
    return Predictions(stream.ids, classifier.preprocessing.classes, logits, stream.labels)


def _batch_size(classifier: Classifier, runtime: Runtime) -> int:
    """How many images go through the net at once."""
    height, width = classifier.preprocessing.image_size
    pixels = _BATCH_PIXELS_A_THREAD if runtime.device.type == "cpu" else _BATCH_PIXELS
    return max(1, pixels // (height * width))


def _cut(batches: Iterable[Batch], size: int, expected: tuple[int, int]) -> Generator[Batch]:
    """The same images in batches of at most `size`. Raises RunError if they aren't of the expected height and width."""
    for rows, pixels in batches:
        if pixels.shape[1:3] != expected:
            raise RunError(
                f"These images are {pixels.shape[1]}×{pixels.shape[2]} pixels; the run was trained on "
                f"{expected[0]}×{expected[1]}.\nGive --image-size {expected[0]} to have them resized."
            )
        for start in range(0, len(rows), size):
            yield rows[start : start + size], pixels[start : start + size]


def _part_stream(images: Images, size: int, world: World) -> ImageStream:
    """All images' ids and labels, and batches of those that this process is to see: others aren't read."""
    if world.size == 1:
        return images.stream(size)
    rows = np.arange(len(images))[world.part(len(images))]
    return ImageStream(images.ids, images.labels, images.batches(size, rows), lambda: images)


def _check_same(stream: ImageStream, world: World) -> None:
    """Raises RunError, in every process, unless all have the same images in the same order."""
    if world.size == 1:
        return
    each = world.each(hashlib.sha256(stream.ids.astype(np.str_).tobytes()).hexdigest())
    for rank, other in enumerate(each):
        if other != each[0]:
            raise RunError(
                f"{world.name(rank).capitalize()} has other images than rank 0, or in another order.\n"
                "All processes need the same data and the same command."
            )


def _within(batches: Iterable[Batch], part: slice) -> Generator[Batch]:
    """The images whose rows lie in `part`."""
    for rows, pixels in batches:
        inside = (rows >= part.start) & (rows < part.stop)
        if inside.all():
            yield rows, pixels
        elif inside.any():
            yield rows[inside], pixels[inside]


def _merge(logits: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], world: World) -> None:
    """Puts every process's part of `rows` into all processes' `logits` (N, K)."""
    if world.size > 1:
        own = torch.from_numpy(logits[rows[world.part(len(rows))]])
        logits[rows] = world.gather(own).numpy()


def _compute(compute: Compute, batches: Iterable[Batch], runtime: Runtime) -> Generator[Computed]:
    """The logits of each batch, in order; on a processor by as many threads as the runtime has."""

    def one(rows: npt.NDArray[np.int64], pixels: npt.NDArray[np.uint8]) -> Computed:
        with torch.inference_mode(), runtime.autocast():  # both hold for one thread only
            logits = compute(rows, torch.from_numpy(pixels).to(runtime.device).permute(0, 3, 1, 2))
            return rows, logits.float().cpu().numpy()

    if runtime.device.type != "cpu" or runtime.num_threads == 1:
        for rows, pixels in batches:
            yield one(rows, pixels)
        return
    waiting: deque[Future[Computed]] = deque()
    pool = ThreadPoolExecutor(runtime.num_threads, "podium-predict", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for rows, pixels in batches:
            waiting.append(pool.submit(one, rows, pixels))
            while len(waiting) > 2 * runtime.num_threads or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(runtime.num_threads)  # what a thread sets holds for those that begin later, too
