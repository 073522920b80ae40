"""From what a table calls an image to where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

__all__ = ["Paths"]


def _whole(path: str) -> str:
    return path


def _without_suffix(path: str) -> str:
    folder, slash, base = path.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)


def _below_top(path: str) -> str:
    return path.partition("/")[2]


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return _without_suffix(_base(path))


# A path's key, and that of a table's value: they name one image if both are equal. The exact come first.
_SCHEMES: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (_whole, _whole),
    (_without_suffix, _whole),
    (_whole, _below_top),  # the table may begin with the folder's own name
    (_base, _base),
    (_stem, _whole),
    (_stem, _stem),
)
_LAST_EXPLICIT = 2


class Paths:
    """The images below a folder, found by what tables call them.

    Args:
        names: their paths, relative to the folder, with "/".
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._index = cache(self._make_index)

    def _make_index(self, scheme: int) -> dict[str, str | None]:
        key, index = _SCHEMES[scheme][0], dict[str, str | None]()
        for name in self.names:
            index[key(name)] = None if key(name) in index else name
        return index

    def best(self, values: Sequence[str]) -> tuple[int, int]:
        """The scheme by which most of a column's values name one image, and how many do."""
        counts = []
        for scheme in range(len(_SCHEMES)):
            counts.append(sum(self.find(value, scheme) is not None for value in values))
            if counts[-1] == len(values):
                break
        most = max(counts)
        return counts.index(most), most

    def is_explicit(self, scheme: int) -> bool:
        """Whether values are paths, and not names alone."""
        return scheme <= _LAST_EXPLICIT

    def find(self, value: str, scheme: int) -> str | None:
        """The path of the image that a value names; None if there is none, or more than one."""
        return self._index(scheme).get(_SCHEMES[scheme][1](_cleaned(value)))

    def complaint(self, value: str, scheme: int, where: str) -> str:
        """Why `find` gave None, and what to do, in words that follow the value."""
        if _SCHEMES[scheme][1](_cleaned(value)) in self._index(scheme):
            return f"is the name of several images {where}. Give its path."
        return f"has no image {where}. Add it, or take the row out."


def _cleaned(value: str) -> str:
    return value.strip().replace("\\", "/").removeprefix("./").lstrip("/")
