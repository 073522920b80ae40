"""A connection that doesn't wait for ever: uvicorn knows a limit only for silence between two requests."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from podium.delivery.serve.limits import Limits

__all__ = ["connection_class"]

_BODY = b'{"detail":"The head of the request took too long."}'
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def connection_class(limits: Limits) -> type[H11Protocol]:
    """The class of connections under these limits, as uvicorn wants it."""

    class Connection(H11Protocol):
        """Limits the time for a request's head, for reading the answer, and for sending on after it."""

        _reads: asyncio.TimerHandle | None = None
        _writes: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._reads = self.loop.call_later(limits.header_seconds, self._end_head)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing() or self._lingers:
                return
            if self.conn.their_state is not h11.IDLE:
                self._reads = _cancelled(self._reads)
            elif self._reads is None:  # the head of the next request began
                self._reads = self.loop.call_later(limits.header_seconds, self._end_head)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._lingers:  # a closed connection would lose the answer, so the rest is read and thrown away
                self._reads = _cancelled(self._reads)
                self._reads = self.loop.call_later(limits.stall_seconds, self.transport.close)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writes = self.loop.call_later(limits.stall_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._writes = _cancelled(self._writes)

        def connection_lost(self, exc: Exception | None) -> None:
            self._reads, self._writes = _cancelled(self._reads), _cancelled(self._writes)
            super().connection_lost(exc)

        @property
        def _lingers(self) -> bool:
            return self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete

        def _end_head(self) -> None:
            if self.conn.trailing_data[0]:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    return Connection


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
