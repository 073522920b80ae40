"""Where a training's pixels come from: resident on the device, or streamed from files by worker processes.

A streamed batch is asked for some steps before it is due. That takes only what is known beforehand: the order of the
epoch, and which places of the batch this process shows.

Shapes: N images a batch; a group is M of them that are shown together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium.data import Images
from podium.data.encoded import EncodedPixels
from podium.data.loader import Loader
from podium.data.random_crop import RandomCrop
from podium.errors import DataError, ImageError
from podium.limits import num_usable_cores
from podium.recipe import Recipe
from podium.run import Run
from podium.runtime import Runtime, send
from podium.training.order import Order
from podium.training.timetable import Timetable
from podium.world import World

__all__ = ["Feed", "Group", "Resident", "Streamed", "advice", "new_feed", "note_bad_images"]

Group = tuple[Tensor, Tensor]
"""uint8 (M, H, W, 3) and int64 (M,) on the device: pixels, and the images' places in the training set."""
Places = Sequence[Tensor | None]
"""Of each group, the places in the batch, int64 (M,) on the CPU; None: all of it, in order."""


class Feed(Protocol):
    """Gives the pixels of each step."""

    def __enter__(self) -> Self:
        """Nothing is asked for before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes, if there are any."""

    def begin(self, timetable: Timetable, orders: Order, places: Callable[[int, int], Places]) -> None:
        """Says what will be asked for.

        Args:
            timetable: the training's steps.
            orders: of the training images.
            places: from the number of images in a batch, and the step, to the groups that it shows.
        """

    def __call__(self, indices: Tensor, places: Places, step: int) -> list[Group]:
        """The groups of a step's batch, `indices` int64 (N,) on the device.

        Raises:
            DataError: an image can't be decoded.
            LoaderError: a process that decodes died.
        """

    def some(self, indices: Tensor) -> Tensor:
        """The pixels of the images `indices`, int64 (M,) on any device. Raises DataError."""


class Resident:
    """All pixels are on the device.

    Args:
        pixels: uint8 (num_images, H, W, 3).
    """

    def __init__(self, pixels: Tensor) -> None:
        self._pixels = pixels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, timetable: Timetable, orders: Order, places: Callable[[int, int], Places]) -> None:
        """Nothing to be prepared."""

    def __call__(self, indices: Tensor, places: Places, step: int) -> list[Group]:
        """As of `Feed`."""
        each = [indices if some is None else indices[send(some, indices.device)] for some in places]
        return [(self._pixels[here], here) for here in each]

    def some(self, indices: Tensor) -> Tensor:
        """As of `Feed`."""
        return self._pixels[send(indices, self._pixels.device)]


class Streamed:
    """Worker processes decode what this process shows; cropped at random if the recipe says so.

    In place of an image that can't be decoded, where `pixels.bad` says that one goes on, another of those that this
    process shows in the same step is shown twice.

    Args:
        pixels: of the training set.
        recipe: crop and size of a batch.
        seed: of the training.
        runtime: device, and the processes that share each batch.
    """

    def __init__(self, pixels: EncodedPixels, recipe: Recipe, seed: int, runtime: Runtime) -> None:
        self._pixels = pixels
        self._batch_size = recipe.batch_size
        self._device = runtime.device
        self._num_workers = max(1, num_usable_cores() // runtime.world.local_size)
        is_cropped = recipe.crop_area_min < 1
        self._crop = RandomCrop(recipe.crop_area_min, recipe.crop_ratio, seed) if is_cropped else None
        self._loader: Loader | None = None
        self._asked: dict[int, npt.NDArray[np.int64]] = {}
        self._orders_of: dict[int, npt.NDArray[np.int64]] = {}
        self._next_step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._loader is not None:
            self._loader.close()

    def begin(self, timetable: Timetable, orders: Order, places: Callable[[int, int], Places]) -> None:
        """As of `Feed`. Starts the processes."""
        self._timetable, self._orders, self._places = timetable, orders, places
        num_images = min(self._batch_size, timetable.num_images[0])
        most = sum(num_images if some is None else len(some) for some in places(num_images, 0))
        self._loader = Loader(
            self._pixels.files,
            self._pixels.size,
            batch_size=most,
            crop=self._crop,
            num_workers=self._num_workers,
        )

    def __call__(self, indices: Tensor, places: Places, step: int) -> list[Group]:
        """As of `Feed`."""
        assert self._loader is not None
        self._ask_ahead(step)
        loaded = self._loader.take(step)
        rows = self._asked.pop(step)
        pixels = torch.from_numpy(loaded.pixels)
        pixels = pixels.clone() if self._device.type == "cpu" else send(pixels, self._device)
        self._loader.release(step)
        self._ask_ahead(step)
        if loaded.bad:
            rows, sources = self._without(rows, loaded.bad)
            pixels = pixels[send(torch.from_numpy(sources), self._device)]
        here = send(torch.from_numpy(rows), self._device)
        sizes = [len(indices) if some is None else len(some) for some in places]
        return list(zip(torch.split(pixels, sizes), torch.split(here, sizes), strict=True))

    def some(self, indices: Tensor) -> Tensor:
        """As of `Feed`: as in the first epoch."""
        rows = indices.cpu().numpy()
        ((_, pixels),) = self._pixels.batches(len(rows), rows, self._crop)
        return send(torch.from_numpy(pixels), self._device)

    def _ask_ahead(self, step: int) -> None:
        """Asks for this step's batch and as many of the next ones as there is room for."""
        assert self._loader is not None
        self._next_step = max(self._next_step, step)
        last = self._timetable.num_steps
        if self._orders.remembers:  # what the next epoch shows, this one's losses decide
            last = min(last, self._timetable.ends[self._timetable.locate(step)[0]])
        while self._next_step < last and self._loader.has_room:
            self._ask(self._next_step)
            self._next_step += 1

    def _ask(self, step: int) -> None:
        assert self._loader is not None
        epoch, place = self._timetable.locate(step)
        if epoch not in self._orders_of:
            order, _ = self._orders.epoch(epoch, self._timetable.num_images[epoch])
            kept = {known: rows for known, rows in self._orders_of.items() if known == epoch - 1}
            self._orders_of = kept | {epoch: order.cpu().numpy()}
        indices = self._orders_of[epoch][place * self._batch_size : (place + 1) * self._batch_size]
        groups = self._places(len(indices), step)
        rows = np.concatenate([indices if some is None else indices[some.numpy()] for some in groups])
        self._asked[step] = rows
        self._loader.ask(step, rows, epoch)

    def _without(
        self, rows: npt.NDArray[np.int64], bad: dict[int, str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The images that are shown instead, and from which places their pixels are."""
        if self._pixels.bad is None:
            raise ImageError(bad[min(bad)])
        for place, message in bad.items():
            self._pixels.bad.add(self._pixels.files.where(int(rows[place])), message)
        good = np.array([place for place in range(len(rows)) if place not in bad], np.int64)
        if not len(good):
            raise ImageError(f"{bad[min(bad)]}\nNo image of the whole batch can be decoded. Look at the data first.")
        sources = np.arange(len(rows))
        for place in bad:
            sources[place] = good[np.searchsorted(good, place) % len(good)]  # the next good one
        return rows[sources], sources


def new_feed(images: Images, recipe: Recipe, seed: int, runtime: Runtime) -> Resident | Streamed:
    """The feed that suits the images: to be used in a `with`."""
    if isinstance(images.pixels, EncodedPixels):
        return Streamed(images.pixels, recipe, seed, runtime)
    pixels = np.require(images.pixels, requirements=["C", "W"])
    return Resident(torch.from_numpy(pixels).to(runtime.device))


@contextmanager
def advice(run: Run, images: Images) -> Iterator[None]:
    """Where an image that can't be decoded stops the training inside, says how to go on without it."""
    try:
        yield
    except DataError as error:
        if not isinstance(images.pixels, EncodedPixels) or images.pixels.bad is not None:
            raise
        raise type(error)(
            f"{error}\nTo go on without such images: podium train --resume {run.path} --on-bad-image skip"
        ) from error


def note_bad_images(run: Run, images: Images | None, world: World) -> None:
    """Writes into the manifest which images any process couldn't decode, if one goes on without them."""
    bad = images.pixels.bad if images is not None and isinstance(images.pixels, EncodedPixels) else None
    if bad is None:
        return
    names = sorted(set().union(*world.each(bad.names)))
    run.write_manifest(bad_images={"num_images": len(names), "names": names})
