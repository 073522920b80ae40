"""The pickles of CIFAR's Python releases, read without Python's `pickle`: nothing in them can be executed.

A pickle is a program for a small stack machine, and some of its instructions import what they name and call it. This
is a machine of its own. It has only the instructions that the releases' files are made of (protocol 2, as Python 2 and
its cPickle wrote it), it makes only integers, byte strings, lists, tuples, dicts and arrays of bytes, and the three
names that it knows stand for nothing but such an array. Everything else is refused by name. Lengths are compared with
what is left of the file before memory is taken, and the number of instructions has a bound, so memory has one too.

Source: the comments on each instruction in CPython's Lib/pickletools.py; ndarray.__reduce__ and dtype.__reduce__ of
NumPy.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from podium.errors import DataError

__all__ = ["read_pickle"]

MAX_OPCODES = 500_000
"""Two for each file name and two for each label, at most: CIFAR-100's 50,000 images take 200,365."""
MAX_NAME_BYTES = 80
PIECE_BYTES = 1 << 20

_RECONSTRUCT, _NDARRAY, _DTYPE = "numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
}
_BYTE_STATE = (3, b"|", None, None, None, -1, -1, 0)  # of dtype("u1")


class _Name(str):
    """One of the names that are known, on the stack."""

    __slots__ = ()


class _Type:
    """What numpy.dtype makes; nothing but "u1" is known."""

    is_built = False


class _Array:
    """What _reconstruct makes: an array, once it has been told its shape and content."""

    content: npt.NDArray[np.uint8] | None = None


class _Mark:
    """Where on the stack a list's, tuple's or dict's items begin."""


_MARK = _Mark()


def read_pickle(file: IO[bytes], num_bytes: int, label: str) -> dict[bytes, Any]:
    """Reads a dict of integers, byte strings, lists of such, and arrays.

    Args:
        file: open at its beginning.
        num_bytes: its size.
        label: what messages call it.

    Returns:
        The dict: of int, bytes, lists of these, and arrays: uint8 of any shape, read-only.

    Raises:
        DataError: it is damaged, or not of the form of CIFAR's release.
    """
    return _Machine(file, num_bytes, label).run()


class _Machine:
    """Runs one pickle to its end, or to the first thing in it that isn't known."""

    def __init__(self, file: IO[bytes], num_bytes: int, label: str) -> None:
        self._file = file
        self._left = num_bytes
        self._label = label
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> dict[bytes, Any]:
        if self._take(2) != b"\x80\x02":
            raise self._refused("doesn't begin as a pickle of protocol 2")
        for _ in range(MAX_OPCODES):
            code = self._take(1)
            if code == b".":
                return self._stop()
            do = _OPCODES.get(bytes(code))
            if do is None:
                raise self._refused(f"has the instruction {_opcode_name(bytes(code))}")
            do(self)
        raise self._refused(f"has more than {MAX_OPCODES:,} instructions")

    def _stop(self) -> dict[bytes, Any]:
        if self._left:
            raise self._refused(f"goes on for {self._left:,} bytes after its end")
        if len(self._stack) != 1 or type(self._stack[0]) is not dict:
            raise self._refused("isn't one dict")
        return {key: self._plain(value) for key, value in self._stack[0].items()}

    def _plain(self, value: Any) -> Any:
        """A value of the dict that is handed out, if it is one that a release has."""
        if type(value) is _Array and value.content is not None:
            return value.content
        if type(value) is list and all(type(item) in (int, bytes) for item in value):
            return value
        if type(value) in (int, bytes):
            return value
        raise self._refused("has something other than numbers, strings, lists of them and arrays")

    def _refused(self, what: str) -> DataError:
        return DataError(
            f"{self._label}: {what}, which no file of CIFAR's release does; nothing in it was executed.\n"
            "Download it again from https://www.cs.toronto.edu/~kriz/cifar.html."
        )

    # ---- the file and the stack

    def _take(self, count: int) -> bytes | bytearray:
        if not 0 <= count <= self._left:
            raise self._refused(f"asks for {count:,} bytes where {self._left:,} are left")
        self._left -= count
        if count <= PIECE_BYTES:
            data = self._file.read(count)
            if len(data) != count:
                raise self._refused("ends before its end")
            return data
        whole = bytearray()  # it grows with what is there, whatever was said; read at once, a part would be there twice
        while len(whole) < count:
            piece = self._file.read(min(PIECE_BYTES, count - len(whole)))
            if not piece:
                raise self._refused("ends before its end")
            whole += piece
        return whole

    def _line(self) -> str:
        line = self._file.readline(min(self._left, MAX_NAME_BYTES))
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise self._refused(f"names {line[:40].decode('latin-1')!a}… at great length")
        return line[:-1].decode("latin-1")

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise self._refused("takes from an empty stack")
        return self._stack.pop()

    def _pop_items(self) -> list[Any]:
        """What lies above the topmost mark, which goes too."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise self._refused("takes items without a mark")

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise self._refused(f"adds to what is no {kind.__name__}")
        return self._stack[-1]

    # ---- the instructions

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(value)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_tuple(self, count: int) -> None:
        self._push(tuple(reversed([self._pop() for _ in range(count)])))

    def _put(self, form: str) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise self._refused("remembers what isn't there")
        self._memo[self._number(form)] = self._stack[-1]

    def _get(self, form: str) -> None:
        place = self._number(form)
        if place not in self._memo:
            raise self._refused("recalls what it didn't remember")
        self._push(self._memo[place])

    def _append(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target, keys = self._top(dict), items[::2]
        if len(items) % 2 or not all(type(key) is bytes for key in keys):
            raise self._refused("has a dict whose keys are no byte strings")
        target.update(zip(keys, items[1::2], strict=True))

    def _global(self) -> None:
        module, name = self._line(), self._line()
        if (module, name) not in _NAMES:
            raise self._refused(f"names {f'{module}.{name}'!a}")
        self._push(_Name(_NAMES[module, name]))

    def _reduce(self) -> None:
        arguments, name = self._pop(), self._pop()
        if type(name) is not _Name or type(arguments) is not tuple or len(arguments) != 3:
            raise self._refused("calls what can't be called")
        if name == _RECONSTRUCT and type(arguments[0]) is _Name and arguments[0] == _NDARRAY:
            if arguments[1:] == ((0,), b"b"):
                return self._push(_Array())
        elif name == _DTYPE and arguments == (b"u1", 0, 1):
            return self._push(_Type())
        raise self._refused(f"calls {name} otherwise than for an array of bytes")

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1] if self._stack else None
        if type(target) is _Type and type(state) is tuple and state == _BYTE_STATE:
            target.is_built = True
        elif type(target) is _Array and target.content is None and type(state) is tuple and len(state) == 5:
            target.content = self._array(*state)
        else:
            raise self._refused("builds something other than an array of bytes")

    def _array(self, version: Any, shape: Any, kind: Any, is_fortran: Any, data: Any) -> npt.NDArray[np.uint8]:
        is_sound = (
            version == 1
            and type(shape) is tuple
            and 1 <= len(shape) <= 4
            and all(type(side) is int and side >= 0 for side in shape)
            and type(kind) is _Type
            and kind.is_built
            and type(is_fortran) is bool
            and type(data) in (bytes, bytearray)
            and math.prod(shape) == len(data)
        )
        if not is_sound:
            raise self._refused("has an array whose shape and content don't agree")
        array = np.frombuffer(data, np.uint8).reshape(shape, order="F" if is_fortran else "C")
        array.flags.writeable = False
        return array


_OPCODES: dict[bytes, Callable[[_Machine], None]] = {
    b"}": lambda m: m._push({}),
    b"]": lambda m: m._push([]),
    b"(": lambda m: m._push(_MARK),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")),
    b"J": lambda m: m._push(m._number("<i")),
    b"U": lambda m: m._push(m._take(m._number("<B"))),
    b"T": lambda m: m._push(m._take(m._number("<i"))),
    b"q": lambda m: m._put("<B"),
    b"r": lambda m: m._put("<I"),
    b"h": lambda m: m._get("<B"),
    b"j": lambda m: m._get("<I"),
    b"t": lambda m: m._push(tuple(m._pop_items())),
    b"\x85": lambda m: m._push_tuple(1),
    b"\x86": lambda m: m._push_tuple(2),
    b"\x87": lambda m: m._push_tuple(3),
    b"a": lambda m: m._append([m._pop()]),
    b"e": lambda m: m._append(m._pop_items()),
    b"s": lambda m: m._set_items([m._pop(), m._pop()][::-1]),
    b"u": lambda m: m._set_items(m._pop_items()),
    b"c": lambda m: m._global(),
    b"R": lambda m: m._reduce(),
    b"b": lambda m: m._build(),
}
"""In pickletools' names: EMPTY_DICT, EMPTY_LIST, MARK, NONE, NEWTRUE, NEWFALSE, BININT1, BININT2, BININT,
SHORT_BINSTRING, BINSTRING, BINPUT, LONG_BINPUT, BINGET, LONG_BINGET, TUPLE, TUPLE1, TUPLE2, TUPLE3, APPEND, APPENDS,
SETITEM, SETITEMS, GLOBAL, REDUCE, BUILD; with PROTO at the beginning and STOP at the end."""


def _opcode_name(code: bytes) -> str:
    import pickletools  # noqa: PLC0415  (names only; seldom needed)

    known = {opcode.code: opcode.name for opcode in pickletools.opcodes}
    return known.get(code.decode("latin-1"), f"0x{code.hex()}")
