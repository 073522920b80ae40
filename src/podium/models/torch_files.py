"""Files that torch saved, looked at before torch reads them: what they become must not be larger than they are.

torch's own reader for untrusted files executes nothing, but it inflates what a zip has deflated, which `torch.save`
never does, and makes a byte array of any length that a pickle asks for, which no network's weights do.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["is_bounded"]

_PICKLES = 5  # one after the other, at the beginning of a file of before torch 1.6
_MAX_BYTES = 1 << 26  # of a zip's pickle: names and shapes only
_REFUSED = ("builtins bytearray", "__builtin__ bytearray")


def is_bounded(path: Path) -> bool:
    """Whether memory for what torch makes of a file is bounded by its size. Raises OSError.

    A damaged file may be called so too: torch says what is wrong with it.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return not any(_asks_for_bytes(file) for _ in range(_PICKLES))
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # whatever is wrong with the zip
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                return False
            if info.filename.endswith(".pkl"):
                with archive.open(info) as member:
                    if info.file_size > _MAX_BYTES or _asks_for_bytes(member):
                        return False
    return True


def _asks_for_bytes(file: IO[bytes]) -> bool:
    """Whether the pickle that begins here names what makes bytes from a number."""
    return any(name in _REFUSED for name in _names(file))


def _names(file: IO[bytes]) -> Iterator[str]:
    with suppress(Exception):  # of a damaged one
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL":
                yield str(argument)
