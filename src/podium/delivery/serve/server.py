"""The process: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from types import FrameType

import uvicorn

from podium.delivery.serve.app import make_app
from podium.delivery.serve.connection import connection_class
from podium.delivery.serve.service import Service
from podium.errors import ServeError

__all__ = ["open_socket", "run_server", "running"]

_MOST_CONNECTIONS = 1000
_HEAD_BYTES = 16 * 2**10


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises ServeError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # unless its protocol is named, asyncio doesn't know it for TCP: an answer's second half would wait for 40 ms
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_MOST_CONNECTIONS)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ServeError(
            f"{host}:{port} can't be listened on: {error.strerror}.\n"
            "Choose another --port (0 takes a free one) or --host."
        ) from error
    return listener


def run_server(service: Service, listener: socket.socket, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until SIGTERM or SIGINT; then what has begun is finished. A second one ends it at once.

    Args:
        service: what is served; it is closed at the end.
        listener: as `open_socket` gives it; it is closed at the end.
        on_ready: called with the address when requests are taken.
    """
    _Server(_config(service), service, on_ready).run([listener])


@contextmanager
def running(service: Service) -> Iterator[str]:
    """The address at which a server on this machine's loopback answers, from a thread of its own, within the context.

    Args:
        service: what is served; it is closed at the end.

    Raises:
        ServeError: it can't listen, or doesn't begin.
    """
    ready: Queue[str | None] = Queue()

    def serve() -> None:
        try:
            with suppress(SystemExit):  # of uvicorn, which has said why it can't begin
                server.run([listener])
        finally:
            ready.put(None)  # it ended, perhaps before it began

    with open_socket("127.0.0.1", 0) as listener:
        server = _Server(_config(service), service, ready.put)
        thread = threading.Thread(target=serve, name="podium-server", daemon=True)
        thread.start()
        try:
            address = ready.get()
            if address is None:
                raise ServeError("The server ended before it took a request.")
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service),
        http=connection_class(service.limits),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_graceful_shutdown=max(1, round(service.limits.grace_seconds)),
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, on_ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None and sockets:
            host, port = sockets[0].getsockname()[:2]
            self._on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Unlike uvicorn's, it doesn't raise the signal again at the end: the end is clean."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._service.admission.closing = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """While what has begun is finished, new requests are still answered: with 503."""
        end = time.monotonic() + self._service.limits.grace_seconds
        while self._service.admission.in_flight and not self.force_exit and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
