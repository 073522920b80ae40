"""What a server takes, and how it refuses the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Admission", "Limits", "Refusal"]

RETRY_SECONDS = 1


@dataclass(frozen=True)
class Limits:
    """The most that a server takes.

    Attributes:
        max_bytes: of a request's body.
        max_pixels: of an image, before it is decoded: a file of a few kilobytes can declare a billion.
        max_images: of a request.
        max_in_flight: requests to /predict at once.
        max_held_bytes: of all bodies at once.
        header_seconds: for a request's head, from the connection's or the head's first byte on.
        body_seconds: for its body.
        stall_seconds: for a client that doesn't read its answer, or goes on sending after it.
        grace_seconds: for what has begun when the server is told to stop.
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000
    max_images: int = 32
    max_in_flight: int = 128
    max_held_bytes: int = 256 * 2**20
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    stall_seconds: float = 10.0
    grace_seconds: float = 30.0


class Refusal(Exception):  # noqa: N818  # it is no fault
    """A request that is answered with a 4xx or 5xx status.

    Attributes:
        status: of HTTP.
        message: what is wrong and what would do.
        headers: to go with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class Admission:
    """Who is in. Used by the event loop's thread only, but for `closing`, which a signal may set.

    Attributes:
        in_flight: requests that were let in and aren't answered yet.
        held_bytes: of their bodies.
        closing: whether none is let in any more.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.held_bytes = 0
        self.closing = False

    @contextmanager
    def request(self) -> Iterator[Held]:
        """Lets a request in. Raises Refusal: the server is full, or about to stop."""
        if self.closing:
            raise Refusal(503, "The server is about to stop. Ask again soon.", _retry())
        if self.in_flight >= self.limits.max_in_flight:
            raise Refusal(
                503, f"The server is busy: {self.limits.max_in_flight} requests are in flight. Ask again.", _retry()
            )
        self.in_flight += 1
        held = Held(self)
        try:
            yield held
        finally:
            self.in_flight -= 1
            self.held_bytes -= held.num_bytes


class Held:
    """The bytes of one request's body."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """Counts bytes that came. Raises Refusal if they are too many, of this request or of all together."""
        limits = self._admission.limits
        self.num_bytes += num_bytes
        self._admission.held_bytes += num_bytes
        if self.num_bytes > limits.max_bytes:
            raise too_large(limits)
        if self._admission.held_bytes > limits.max_held_bytes:
            raise Refusal(503, "The server is busy: the images in flight fill its memory. Ask again.", _retry())


def too_large(limits: Limits) -> Refusal:
    """Of a body with too many bytes."""
    return Refusal(413, f"The body has more than {limits.max_bytes:,} bytes. Send smaller or fewer images.")


def _retry() -> dict[str, str]:
    return {"Retry-After": str(RETRY_SECONDS)}
