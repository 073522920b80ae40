"""A cheap client: many connections that each send a request when the last one is answered. Standard library only.

python bench/serve_client.py PORT CLIENTS REQUESTS < bodies

Reads bodies from stdin as JSON (base64 strings) and prints one JSON object: seconds, latencies, statuses. One thread
with a selector, so that on a small machine the server has the cores. Where the server hangs up, it asks again.
"""

import base64
import json
import selectors
import socket
import sys
import time


class Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._got = b""

    def ask(self, request: bytes) -> None:
        """Sends a request."""
        self.began = time.perf_counter()
        self._got = b""
        self.socket.sendall(request)

    def answered(self) -> int | None:
        """Reads what is there: the status, or None while the answer isn't whole."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError
        self._got += piece
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        at = self._got.find(b"content-length:", 0, end)
        length = int(self._got[at + 15 : self._got.find(b"\r\n", at)])
        return int(self._got[9:12]) if len(self._got) >= end + 4 + length else None


def run(port: int, num_clients: int, num_requests: int, bodies: list[bytes]) -> dict[str, object]:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    requests = [head % len(body) + body for body in bodies]
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    sent = 0
    began = time.perf_counter()
    for _ in range(min(num_clients, num_requests)):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask(requests[sent % len(requests)])
        sent += 1
    while len(latencies) < num_requests:
        for key, _ in selector.select(60):
            connection = key.data
            try:
                status = connection.answered()
            except ConnectionError:
                statuses["hung up"] = statuses.get("hung up", 0) + 1
                selector.unregister(connection.socket)
                connection.socket.close()
                connection = Connection(port)
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.ask(requests[sent % len(requests)])
                continue
            if status is None:
                continue
            latencies.append(time.perf_counter() - connection.began)
            statuses[str(status)] = statuses.get(str(status), 0) + 1
            if sent < num_requests:
                connection.ask(requests[sent % len(requests)])
                sent += 1
    return {"seconds": time.perf_counter() - began, "latencies": latencies, "statuses": statuses}


def main() -> None:
    port, num_clients, num_requests = map(int, sys.argv[1:4])
    bodies = [base64.b64decode(body) for body in json.load(sys.stdin)]
    json.dump(run(port, num_clients, num_requests, bodies), sys.stdout)


if __name__ == "__main__":
    main()
