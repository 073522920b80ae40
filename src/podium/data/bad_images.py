"""Images that can't be decoded, where one goes on without them: each is named once, and counted."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable

__all__ = ["BadImages"]


class BadImages:
    """What is known of the bad images of a data set. Several threads may add to it.

    Args:
        say: called once with each new one's error; None: a warning.
        names: of those that a former sitting named.
    """

    def __init__(self, say: Callable[[str], None] | None = None, names: Iterable[str] = ()) -> None:
        self._say = say or (lambda message: warnings.warn(message, stacklevel=3))
        self._names = set(names)
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Sorted; as messages call them."""
        with self._lock:
            return sorted(self._names)

    def add(self, name: str, message: str) -> None:
        """Notes an image, and says so if it is new."""
        with self._lock:
            is_new = name not in self._names
            self._names.add(name)
        if is_new:
            self._say(message)
