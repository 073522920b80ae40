"""The server's client: what it makes of an answer, whatever that is."""

import json
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from loopback import Quiet, listening

from podium.delivery.verify.client import ask
from podium.errors import ServeError


def answering(status, body):
    asked = []

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler, asked


def named(**classes):
    some = [{"name": name, "probability": chance} for name, chance in classes.items()]
    return json.dumps({"images": [{"classes": some}]}).encode()


def test_each_picture_is_a_request_and_each_class_gets_its_place():
    handler, asked = answering(200, named(dog=0.75, cat=0.25))
    with listening(handler) as address:
        found = ask(address, [b"one", b"two"], ("cat", "dog"))
    assert found.tolist() == [[0.25, 0.75]] * 2
    assert asked == [("/predict?top=2", b"one"), ("/predict?top=2", b"two")]


def test_of_many_classes_the_server_names_a_thousand():
    classes = [f"c{number}" for number in range(1005)]
    handler, asked = answering(200, named(**dict.fromkeys(classes[5:], 0.0009)))
    with listening(handler) as address:
        found = ask(address, [b"one"], classes)
    assert asked[0][0] == "/predict?top=1000"
    assert found[0, 5:] == pytest.approx(np.full(1000, 0.0009))
    assert found[0, :5] == pytest.approx(np.full(5, 0.02), abs=1e-5)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (503, b'{"detail": "busy"}', "answers 503 to a PNG: .*busy"),
        (200, b"<html>", "can't be read: JSONDecodeError"),
        (200, b'{"images": []}', "can't be read: IndexError"),
        (200, named(bird=1.0), "can't be read: KeyError"),
    ],
)
def test_another_answer_is_said(status, body, message):
    with listening(answering(status, body)[0]) as address, pytest.raises(ServeError, match=message):
        ask(address, [b"one"], ("cat", "dog"))


def test_no_server_is_said():
    with listening(answering(200, b"")[0]) as address:
        pass
    with pytest.raises(ServeError, match="can't be read: ConnectionRefusedError"):
        ask(address, [b"one"], ("cat", "dog"))
