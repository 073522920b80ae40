"""Bodies of requests to the server: images, and forms of several; through the application as uvicorn calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzzing.material import bomb_png, picture
from fuzzing.pictures import jpegs, others, pngs
from fuzzing.reader import Reader, Said
from fuzzing.runs import prepare as prepare_run

__all__ = ["READERS"]

BOUNDARY = b"seven"
_app: list[Any] = []


def _form(*parts: tuple[bytes, bytes]) -> bytes:
    said = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\nContent-Type: image/png\r\n\r\n%s\r\n" % (BOUNDARY, head, data)
        for head, data in parts
    )
    return said + b"--%s--\r\n" % BOUNDARY


def _forms() -> Sequence[bytes]:
    name = b'name="images"; filename="a.png"'
    return [
        _form((name, picture(1))),
        _form((name, picture(1)), (name, picture(2, "JPEG"))),
        _form(*[(name, picture(1))] * 9),
        _form((b'name="top"', b"3")),
        _form((b"name=\"images\"; filename*=UTF-8''%2e%2e%2fevil.png", picture(1))),
        _form((b'name="images"; filename="' + b"../" * 200 + b'evil.png"', bomb_png(20_000, 20_000))),
    ]


def _images() -> Sequence[bytes]:
    return [*pngs()[:4], *jpegs()[:3], *others()[:6], bomb_png(60_000, 60_000)]


def _prepare(work: Path) -> None:
    """The application, made in the process that asks it."""
    import torch

    from podium import Run
    from podium.delivery.serve import Batching, Limits, Service, make_app
    from podium.models import Classifier
    from podium.runtime import Runtime

    prepare_run(work)
    run = Run.open(work / "runs" / "one")
    limits = Limits(max_bytes=2**20, max_pixels=2_000_000, max_images=8)
    runtime = Runtime(torch.device("cpu"), torch.float32, 1)
    service = Service(
        run, Classifier.load(run.model_path), runtime, limits=limits, batching=Batching(max_wait_seconds=0.0)
    )
    _app[:] = [make_app(service), asyncio.new_event_loop()]


def _post(kind: bytes, _: Path, data: bytes) -> object:
    app, loop = _app
    query = b"heat_map=true" if len(data) % 16 == 0 else b"top=3"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": query,
        "root_path": "",
        "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(data)), (b"host", b"x")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    coming = [data[: len(data) // 2], data[len(data) // 2 :]]
    told: dict[str, Any] = {"body": b""}

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()  # a client that waits for its answer
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            told["status"] = message["status"]
        else:
            told["body"] += message.get("body", b"")

    loop.run_until_complete(app(scope, receive, send))
    assert told["status"] in (200, 408, 413, 415, 422, 499, 503), f"status {told['status']}: {told['body'][:200]!r}"
    if told["status"] != 200:
        raise Said(f"{told['status']}")
    return told


READERS = (
    Reader(
        "server, an image", 3, _images, lambda work, data: _post(b"image/png", work, data), prepare=_prepare, keeps=True
    ),
    Reader(
        "server, a form",
        3,
        _forms,
        lambda work, data: _post(b"multipart/form-data; boundary=" + BOUNDARY, work, data),
        prepare=_prepare,
        keeps=True,
    ),
)
