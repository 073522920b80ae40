"""Memory that several processes of one machine see, without a name: of it nothing is left, however they end."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from podium.errors import StorageError

__all__ = ["Layout", "SharedMemory", "layout_of"]

Layout: TypeAlias = dict[str, tuple[str, tuple[int, ...], int]]
"""By name: dtype, shape and the place where each array begins. Plain values, to be sent as JSON."""

_ALIGNMENT = 4096


def layout_of(arrays: Mapping[str, tuple[str, tuple[int, ...]]]) -> Layout:
    """Puts arrays, of which dtype and shape are given, one after the other."""
    layout: Layout = {}
    place = 0
    for name, (dtype, shape) in arrays.items():
        layout[name] = dtype, shape, place
        place += -(-np.dtype(dtype).itemsize * math.prod(shape) // _ALIGNMENT) * _ALIGNMENT
    return layout


class SharedMemory:
    """Arrays in memory that is shared with whoever gets the file descriptor.

    Args:
        layout: where the arrays lie.
        descriptor: of memory that another process made; None: makes some, filled with zeros.

    Raises:
        StorageError: there is not so much of it.
    """

    def __init__(self, layout: Layout, descriptor: int | None = None) -> None:
        self.layout = layout
        num_bytes = max((place + self._num_bytes(name) for name, (_, _, place) in layout.items()), default=0)
        num_bytes = max(num_bytes, 1)  # nothing can't be mapped
        is_new = descriptor is None
        self.descriptor = _anonymous_file() if descriptor is None else descriptor
        try:
            if is_new:
                os.ftruncate(self.descriptor, num_bytes)
            self._map = mmap.mmap(self.descriptor, num_bytes)
        except (OSError, ValueError) as error:
            os.close(self.descriptor)
            raise StorageError(
                f"{num_bytes / 2**20:,.0f} MiB of shared memory can't be had ({error}). Take a smaller batch_size."
            ) from error

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The array of that name, in place."""
        dtype, shape, place = self.layout[name]
        return np.frombuffer(self._map, dtype, math.prod(shape), place).reshape(shape)

    def close(self) -> None:
        """Lets go of it; arrays that are still in use keep it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _num_bytes(self, name: str) -> int:
        dtype, shape, _ = self.layout[name]
        return np.dtype(dtype).itemsize * math.prod(shape)

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[Any]]) -> SharedMemory:
        """Copies of `arrays`. Raises StorageError."""
        memory = SharedMemory(layout_of({name: (array.dtype.str, array.shape) for name, array in arrays.items()}))
        for name, array in arrays.items():
            if array.size:
                memory[name][...] = array
        return memory

    @staticmethod
    def opened(layout: Mapping[str, Sequence[Any]], descriptor: int) -> SharedMemory:
        """What another process made, whose layout came as JSON."""
        known: Layout = {name: (dtype, tuple(shape), place) for name, (dtype, shape, place) in layout.items()}
        return SharedMemory(known, descriptor)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("podium")
    with tempfile.TemporaryFile() as file:  # has no name any more
        return os.dup(file.fileno())
