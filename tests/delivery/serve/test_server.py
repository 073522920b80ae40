"""A real process on a real socket: what slow, vanishing and hostile clients get, and how it ends."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serving import Server, patiently
from uploads import bomb, picture_bytes

from podium.delivery.serve import Service, open_socket, running
from podium.errors import ServeError
from podium.models import Classifier
from podium.runtime import prepare

_HUNG_UP = r"reset|[Bb]roken pipe"
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def server(tiny_run):
    with Server(tiny_run) as server:
        yield server
        assert server.process.poll() is None, "it died"


@pytest.fixture(scope="module")
def impatient(tiny_run):
    """Its limits of time are so short that a test can wait for them."""
    with Server(tiny_run, header_seconds=1, body_seconds=1.5, stall_seconds=1) as server:
        yield server
        assert server.process.poll() is None, "it died"


def keep_sending(connection, pieces, seconds=0.0):
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(seconds)


def read_all(connection):
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def read_one(connection):
    """One answer of a connection that stays open: its head and its body may come apart."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


# ---- slow and vanishing clients


@patiently
def test_a_body_that_comes_too_slowly_gets_408(impatient):
    with impatient.connect() as slow:
        slow.sendall(HEAD % 1000)
        for _ in range(3):
            slow.sendall(b"x")
            time.sleep(0.2)
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"1.5 seconds" in answer
    assert impatient.is_well()


@patiently
def test_a_head_that_comes_too_slowly_gets_408(impatient):
    with impatient.connect() as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost:")
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["detail"]


@patiently
def test_who_says_nothing_is_hung_up_on(impatient):
    with impatient.connect() as silent:
        assert read_all(silent) == b""


@patiently
def test_the_next_request_of_a_connection_has_its_time_too(impatient):
    data = picture_bytes()
    with impatient.connect() as connection:
        connection.sendall(HEAD % len(data) + data)
        assert read_one(connection).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.2)  # longer than a head may take, shorter than a connection may rest
        connection.sendall(HEAD % len(data) + data)
        assert read_one(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /hea")
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_who_vanishes_leaves_nothing(server):
    for _ in range(30):
        with server.connect() as gone:
            gone.sendall(HEAD % 1000 + b"x" * 500)
    data = picture_bytes()
    for _ in range(30):
        with server.connect() as gone:
            gone.sendall(HEAD % len(data) + data)
    server.wait_for(in_flight=0)
    assert server.is_well()


@patiently
def test_a_refusal_reaches_who_is_still_sending(impatient):
    with impatient.connect() as sender:
        sender.sendall(HEAD % (50 * 2**20))
        for _ in range(100):
            sender.sendall(b"x" * 10_000)
        assert sender.recv(65536).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(OSError, match=_HUNG_UP):  # it isn't listened to for ever
            keep_sending(sender, (b"x" for _ in range(300)), 0.1)
    assert impatient.is_well()


def test_nonsense_is_no_trouble(server):
    for said in (b"\x16\x03\x01\x02\x00nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"POST /predict HTTP/1.1\r\n\r\n"):
        with server.connect() as connection:
            connection.sendall(said)
            assert b" 400 " in read_all(connection).partition(b"\r\n")[0]
    assert server.is_well()


def test_a_head_without_end_is_not_listened_to_for_ever(server):
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(OSError, match=_HUNG_UP):
            keep_sending(connection, (b"A%d: %s\r\n" % (number, b"x" * 1000) for number in range(100_000)))
    assert server.is_well()


# ---- memory


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system doesn't say how much memory a process has"
)
def test_memory_stays_where_it_is(server):
    """Bombs, truncated files, too large ones and good ones: after the first some, no more memory is taken."""
    bodies = [
        bomb(60_000, 60_000),
        bomb(1000, 1000),  # allowed, and shorter than it says
        picture_bytes("JPEG", height=900, width=900),
        picture_bytes("JPEG", height=900, width=900)[:-500],
        picture_bytes("BMP", height=580, width=580),
        b"x" * (2**20 + 1),
        b"no image",
    ]

    def round_(_):
        return [server.post(body).status_code for body in bodies]

    expected = [413, 422, 200, 422, 200, 413, 415]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(round_, range(12))) == [expected] * 12
        before = server.memory()
        assert list(pool.map(round_, range(24))) == [expected] * 24
    assert server.memory() - before < 40 * 2**20


# ---- the end


def test_what_has_begun_is_finished_and_new_ones_are_refused(tiny_run):
    data = picture_bytes()
    with Server(tiny_run, grace_seconds=60) as server, server.connect() as begun:
        begun.sendall(HEAD % len(data) + data[:50])
        server.wait_for(in_flight=1)
        server.process.send_signal(signal.SIGTERM)
        for _ in range(600):
            answer = server.post(data)
            if answer.status_code == 503:
                break
        assert answer.status_code == 503
        assert server.get("/health").status_code == 503
        begun.sendall(data[50:])
        assert read_one(begun).startswith(b"HTTP/1.1 200 ")
        _, err = server.process.communicate(timeout=240)
        assert (server.process.returncode, err) == (0, "")


def test_a_second_signal_ends_it_at_once(tiny_run):
    with Server(tiny_run, grace_seconds=600) as server, server.connect() as begun:
        begun.sendall(HEAD % 1000)
        server.wait_for(in_flight=1)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        server.process.communicate(timeout=240)
        assert server.process.returncode == 0


def test_an_address_that_is_not_this_machine_s():
    with pytest.raises(ServeError, match="can't be listened on"):
        open_socket("192.0.2.1", 0)


def test_a_server_in_this_process_answers_and_leaves_no_thread(tiny_run):
    before = {thread.ident for thread in threading.enumerate()}
    service = Service(tiny_run, Classifier.load(tiny_run.model_path), prepare("fp32", num_threads=1))
    with running(service) as address:
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}/health", timeout=120).json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health", timeout=120)
    assert {thread.ident for thread in threading.enumerate()} <= before


def test_a_server_that_does_not_begin_is_said(tiny_run, monkeypatch):
    async def broken(self):
        raise ZeroDivisionError

    monkeypatch.setattr(Service, "warm_up", broken)
    service = Service(tiny_run, Classifier.load(tiny_run.model_path), prepare("fp32", num_threads=1))
    with pytest.raises(ServeError, match="ended before it took a request"), running(service):
        pass
    service.close()
