"""MXNet's `.params` format, read and written without MXNet: named dense arrays.

    list      0x112 (uint64), 0 (uint64), number of arrays (uint64), the arrays, number of names (uint64), the names
    name      length in bytes (uint64), UTF-8
    array     magic (uint32), storage (int32, not in version 1), shape, device (2 × int32), dtype (int32), the elements
    shape     number of dimensions (int32), each (int64)

All little-endian. Source: MXNet 1.9.1, src/ndarray/ndarray.cc, `NDArray::Save` and `NDArray::Load`. Versions 1 (to
MXNet 0.11), 2 (since) and 3 (NumPy's shapes, since 1.5) are read, 2 is written.

A file may be damaged or made to harm: every length is held against the bytes that are left before it is believed.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from podium.errors import WeightsError
from podium.files import write_atomically
from podium.models.weights import dims

__all__ = ["read_params", "write_params"]

_LIST_MAGIC = 0x112
_VERSIONS = {0xF993FAC8: 1, 0xF993FAC9: 2, 0xF993FACA: 3}
_MAGIC = 0xF993FAC9
_DENSE = 0
_CPU = (1, 0)  # the first of its kind
_MAX_DIMS = 32  # NumPy's limit in MXNet's days
_SMALLEST_ARRAY = 4 + 4 + 8 + 4  # magic, number of dimensions, device, dtype
_DTYPES = {
    0: torch.float32,
    1: torch.float64,
    2: torch.float16,
    3: torch.uint8,
    4: torch.int32,
    5: torch.int8,
    6: torch.int64,
    7: torch.bool,
    12: torch.bfloat16,
}
_FLAGS = {dtype: flag for flag, dtype in _DTYPES.items()}


def read_params(path: str | Path) -> dict[str, Tensor]:
    """Reads what Gluon's `save_parameters` or `export`, or `mx.nd.save` of a dictionary, wrote.

    Args:
        path: of the file.

    Returns:
        The arrays on the CPU, by name, in the file's order and dtypes; `arg:` and `aux:`, which `export` puts before a
        name, are taken off.

    Raises:
        WeightsError: the file is missing, damaged, of another format, or holds sparse, empty or nameless arrays. Memory
            for an array is taken only when its bytes are known to be there.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise WeightsError(f"{path} is missing, or no file. It takes a .params file of MXNet's Gluon.")
        with path.open("rb") as file:
            return _Reader(file, path).read_list()
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}.") from error


def write_params(path: str | Path, arrays: Mapping[str, Tensor]) -> None:
    """Writes a file that Gluon's `load_parameters` and `mx.nd.load` read, whole or not at all.

    Args:
        path: of the file.
        arrays: by name, in the order in which they are written; of one dimension or more, none empty.

    Raises:
        StorageError: the disk is full or not writable.
        WeightsError: an array is a scalar, empty, or of a dtype that MXNet lacks.
    """
    parts = [struct.pack("<3Q", _LIST_MAGIC, 0, len(arrays))]
    for name, array in arrays.items():
        if array.ndim == 0 or array.numel() == 0 or array.dtype not in _FLAGS:
            form = f"{str(array.dtype).removeprefix('torch.')}, {dims(array.shape)}"
            raise WeightsError(f"{_shown(name)} ({form}) has no place in {path}: MXNet's files don't hold its like.")
        parts.append(struct.pack(f"<Iii{array.ndim}q", _MAGIC, _DENSE, array.ndim, *array.shape))
        parts.append(struct.pack("<iii", *_CPU, _FLAGS[array.dtype]))
        parts.append(array.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        parts += [struct.pack("<Q", len(encoded)), encoded]
    write_atomically(Path(path), b"".join(parts))


class _Reader:
    """A file, and how far it is read.

    Args:
        file: open at its beginning.
        path: for the messages.
    """

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._offset = 0

    def read_list(self) -> dict[str, Tensor]:
        """The whole file."""
        if self._size < 8 or self._take("Q", "the magic number")[0] != _LIST_MAGIC:
            raise WeightsError(f"{self._path} is no .params file of MXNet: it doesn't begin with that format's number.")
        self._take("Q", "the header")
        arrays = [self._array(number) for number in range(self._count("arrays", _SMALLEST_ARRAY))]
        num_names = self._count("names", 8)
        if num_names != len(arrays):
            self._fail(f"there are {num_names} names for {len(arrays)} arrays", self._offset - 8)
        named: dict[str, Tensor] = {}
        for array in arrays:
            start = self._offset
            name = self._name()
            if name in named:
                self._fail(f"the name {_shown(name)} is there twice", start)
            named[name] = array
        if self._offset < self._size:
            self._fail(f"{self._size - self._offset} bytes follow the end", self._offset)
        return named

    def _array(self, number: int) -> Tensor:
        what = f"array {number}"
        start = self._offset
        (magic,) = self._take("I", what)
        if magic not in _VERSIONS:
            self._fail(f"{what} begins with 0x{magic:08x}, no version of MXNet's arrays", start)
        version = _VERSIONS[magic]
        if version > 1 and (storage := self._take("i", what)[0]) != _DENSE:
            kind = {1: "row-sparse", 2: "CSR-sparse"}.get(storage, f"stored in an unknown way ({storage})")
            self._fail(f"{what} is {kind}; only dense arrays are read", start)
        shape = self._shape(what, scalar=version > 2)
        _, _, flag = self._take("iii", what)
        if flag not in _DTYPES:
            self._fail(f"{what} has an unknown dtype ({flag})", self._offset - 4)
        dtype = _DTYPES[flag]
        num_bytes = math.prod(shape) * dtype.itemsize
        self._check_left(num_bytes, f"{what}, {dims(shape)},")
        data = bytearray(num_bytes)
        if self._file.readinto(data) != num_bytes:
            self._fail(f"{what} ends early: the file has become shorter", self._offset)
        self._offset += num_bytes
        if dtype == torch.bool:  # a byte that is neither 0 nor 1 must not pass for one
            return (torch.frombuffer(data, dtype=torch.uint8) != 0).view(shape)
        return torch.frombuffer(data, dtype=dtype).view(shape)

    def _shape(self, what: str, *, scalar: bool) -> tuple[int, ...]:
        start = self._offset
        (num_dims,) = self._take("i", what)
        if not (0 if scalar else 1) <= num_dims <= _MAX_DIMS:
            why = "it was saved before it had a shape" if num_dims in (-1, 0) else f"at most {_MAX_DIMS} are possible"
            self._fail(f"{what} has {num_dims} dimensions: {why}", start)
        shape: tuple[int, ...] = self._take(f"{num_dims}q", what)
        if any(dim < 1 for dim in shape):
            self._fail(f"{what} has the shape {dims(shape)}, and every dimension must be 1 or more", start)
        return shape

    def _name(self) -> str:
        start = self._offset
        (length,) = self._take("Q", "a name's length")
        self._check_left(length, "a name")
        try:
            name = self._bytes(length).decode()
        except UnicodeDecodeError:
            self._fail("a name is not UTF-8", start)
        return name[4:] if name.startswith(("arg:", "aux:")) else name

    def _count(self, what: str, smallest: int) -> int:
        """A number of things that take `smallest` bytes each, or more."""
        (count,) = self._take("Q", f"the number of {what}")
        self._check_left(count * smallest, f"the {count} {what} that it announces")
        return int(count)

    def _take(self, layout: str, what: str) -> tuple[Any, ...]:
        layout = f"<{layout}"
        length = struct.calcsize(layout)
        self._check_left(length, what)
        return struct.unpack(layout, self._bytes(length))

    def _bytes(self, length: int) -> bytes:
        """The next `length` bytes, which `_check_left` has found to be there."""
        data = self._file.read(length)
        if len(data) != length:
            self._fail("it ends early: the file has become shorter", self._offset)
        self._offset += length
        return data

    def _check_left(self, length: int, what: str) -> None:
        left = self._size - self._offset
        if length > left:
            self._fail(f"{what} would take {length} bytes, and {left} are left", self._offset)

    def _fail(self, what: str, offset: int) -> NoReturn:
        raise WeightsError(
            f"{self._path} is damaged, or made for another reader: at byte {offset}, {what}.\n"
            "Copy it anew, or save it again with Gluon's save_parameters."
        )


def _shown(name: str) -> str:
    """A name as a message may show it: on one line, and not at any length."""
    return repr(name if len(name) <= 60 else name[:59] + "…")
