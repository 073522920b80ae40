"""One struct array out of a MATLAB 5 file, as plain numbers and strings: what ILSVRC's devkit keeps its synsets in.

A reader of its own, since such files come from strangers: it makes numbers and strings only, and whatever a file says
of lengths, it takes no more than the file has, inflated no more than MAX_BYTES.

Format: MathWorks, "MAT-File Format", the chapter on level 5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

__all__ = ["MatError", "read_structs"]

MAX_BYTES = 1 << 26
HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
STRUCT, CHAR, FIRST_NUMBER, LAST_NUMBER = 2, 4, 6, 15  # classes of matrices
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}

Value = int | float | str


class MatError(ValueError):
    """It is no such file, or is damaged; the message says how."""


def read_structs(data: bytes, variable: str, wanted: tuple[str, ...]) -> list[dict[str, Value]]:
    """The elements of a struct array.

    Args:
        data: the file's content.
        variable: the array's name.
        wanted: names of the fields to read, each a number or a string.

    Raises:
        MatError: the file is damaged, of another version, or has no such variable or field.
    """
    if len(data) < HEADER_BYTES or data[126:128] not in (b"IM", b"MI"):
        raise MatError("it is no MATLAB 5 file")
    order = "<" if data[126:128] == b"IM" else ">"
    if np.frombuffer(data[124:126], f"{order}u2")[0] != 0x0100:
        raise MatError("it is of another version than MATLAB 5")
    for kind, content in _elements(memoryview(data)[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            kind, content = next(_elements(memoryview(_inflated(content)), order), (0, content))  # noqa: PLW2901
        if kind == MATRIX:
            matrix = _Matrix(content, order)
            if matrix.name == variable:
                return matrix.structs(wanted)
    raise MatError(f"it has no {variable}")


def _inflated(content: memoryview) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(content, MAX_BYTES)
    except zlib.error as error:
        raise MatError(str(error)) from error
    if not inflater.eof:
        raise MatError("it is cut short or far too large")
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and content of each element."""
    place = 0
    while len(data) - place >= 8:
        first, second = map(int, np.frombuffer(data[place : place + 8], f"{order}u4"))
        if first >> 16:  # a small one: its length is in the upper half, its content in the second word
            kind, length, start, end = first & 0xFFFF, first >> 16, place + 4, place + 8
            if length > 4:
                raise MatError("an element's length is impossible")
        else:
            kind, length, start = first, second, place + 8
            end = start + length + (0 if kind == COMPRESSED else -length % 8)
        if length > len(data) - start:
            raise MatError("it is cut short")
        yield kind, data[start : start + length]
        place = end


class _Matrix:
    """A matrix whose content is read when it is asked for.

    Args:
        content: of the element.
        order: of its bytes, "<" or ">".
    """

    def __init__(self, content: memoryview, order: str) -> None:
        self._order = order
        self._parts = _elements(content, order)
        flags = self._next()[1]
        if len(flags) != 8:
            raise MatError("a matrix is damaged")
        self.form = int(np.frombuffer(flags[:4], f"{order}u4")[0]) & 0xFF
        _, dimensions = self._next()
        if len(dimensions) % 4:
            raise MatError("a matrix is damaged")
        self.count = 1
        for side in np.frombuffer(dimensions, f"{order}i4").tolist():
            self.count *= max(0, side)
        self.name = bytes(self._next()[1]).decode("latin-1")

    def _next(self) -> tuple[int, memoryview]:
        found = next(self._parts, None)
        if found is None:
            raise MatError("it is cut short")
        return found

    def structs(self, wanted: tuple[str, ...]) -> list[dict[str, Value]]:
        """The elements of a struct array: the wanted fields of each."""
        if self.form != STRUCT:
            raise MatError(f"{self.name} is no struct")
        _, width = self._next()
        _, joined = self._next()
        length = int(np.frombuffer(width, f"{self._order}i4")[0]) if len(width) == 4 else 0
        if length < 1:
            raise MatError(f"{self.name} has no fields")
        pieces = (bytes(joined[start : start + length]) for start in range(0, len(joined), length))
        names = [piece.split(b"\0")[0].decode("latin-1") for piece in pieces]
        if missing := [name for name in wanted if name not in names]:
            raise MatError(f"{self.name} has no field {missing[0]}")
        found = []
        for _ in range(self.count):  # each takes what the file has, so an absurd count ends where the file does
            fields = {name: self._next() for name in names}
            found.append({name: _value(*fields[name], self._order, name) for name in wanted})
        return found


def _value(kind: int, content: memoryview, order: str, name: str) -> Value:
    if kind != MATRIX:
        raise MatError(f"a field {name} is damaged")
    matrix = _Matrix(content, order)
    stored, data = (2, memoryview(b"")) if matrix.count == 0 else matrix._next()
    if matrix.form == CHAR and stored in TEXTS:
        encoding = TEXTS[stored] + ({"<": "-le", ">": "-be"}[order] if "utf-" in TEXTS[stored] and stored != 16 else "")
        return bytes(data).decode(encoding, "replace")
    if FIRST_NUMBER <= matrix.form <= LAST_NUMBER and stored in NUMBERS:
        number = np.dtype(order + NUMBERS[stored])
        if len(data) >= number.itemsize:
            value: int | float = np.frombuffer(data[: number.itemsize], number)[0].item()
            return value
    raise MatError(f"a field {name} is neither a number nor a string")
