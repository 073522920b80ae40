"""The client of the load test, and what is made of its figures."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import serve_client
import serve_load


@pytest.fixture
def server():
    """Answers; hangs up instead at every tenth request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        bodies: list[bytes] = []  # noqa: RUF012  # shared on purpose

        def do_POST(self):
            self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            if len(self.bodies) % 10 == 0:
                self.close_connection = True
                return
            self.send_response(200 if self.path == "/predict" else 404)
            answer = b"x" * 100_000
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

        def send_header(self, name, value):
            super().send_header(name.lower(), value)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_request_is_answered_once_though_the_server_hangs_up(server):
    found = serve_client.run(server.server_address[1], 4, 50, [b"one", b"two"])
    assert found["statuses"]["200"] == 50
    assert found["statuses"]["hung up"] == len(server.RequestHandlerClass.bodies) - 50 > 0
    assert len(found["latencies"]) == 50
    assert set(server.RequestHandlerClass.bodies) == {b"one", b"two"}


def test_figures_are_of_all_slices():
    slices = [
        {"latencies": [0.1] * 50, "seconds": 1.0, "statuses": {"200": 50}, "cpu_seconds": 0.2},
        {"latencies": [0.2] * 50, "seconds": 2.0, "statuses": {"200": 50, "hung up": 3}, "cpu_seconds": 0.3},
    ]
    figures = serve_load.figures_of(slices, [100.0, 90.0])
    assert figures["num_requests"] == 100
    assert figures["num_hung_up"] == 3
    assert figures["cpu_ms_a_request"] == 5
    assert figures["requests_per_second"] == {"median": 37.5, "min": 25.0, "max": 50.0, "n": 2}
    assert figures["latency_ms"] == {"p50": 150.0, "p99": 200.0}
    assert figures["memory_mib"] == {"after_first_slice": 100.0, "after_last_slice": 90.0, "highest": 100.0}


def test_what_two_servers_say_is_compared():
    one = [{"name": "a", "probability": 0.7}, {"name": "b", "probability": 0.3}]
    assert serve_load.largest_difference(one, one) == 0
    assert serve_load.largest_difference(one, [{"name": "b", "probability": 0.1}]) == pytest.approx(0.2)
    assert serve_load.largest_difference(one, [{"name": "c", "probability": 0.1}]) == 1
