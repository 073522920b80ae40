"""A request's body → the image files in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from podium.delivery.serve.limits import Held, Limits, Refusal, too_large

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["IMAGE_TYPES", "Upload", "content_type_of", "files_in", "read_body"]

IMAGE_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/bmp",
    "image/gif",
    "image/tiff",
    "image/x-portable-pixmap",
    "application/octet-stream",
)
"""Of a body that is one image. What it really is, its bytes say."""
MULTIPART = "multipart/form-data"
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Upload:
    """An image file.

    Attributes:
        name: as the client calls it; None: it didn't say.
        data: its bytes.
    """

    name: str | None
    data: bytes


def content_type_of(request: Request) -> tuple[str, bytes | None]:
    """The body's type, and what separates its parts if it has several. Raises Refusal (415, 422)."""
    written = request.headers.get("content-type", "")
    kind = written.partition(";")[0].strip().lower()
    if kind == MULTIPART:
        boundary = parse_options_header(written)[1].get(b"boundary")
        if not boundary:
            raise Refusal(422, "The Content-Type says multipart/form-data, but names no boundary.")
        return kind, boundary
    if kind not in IMAGE_TYPES:
        said = f"{kind[:100]} isn't taken." if kind else "The request has no Content-Type."
        raise Refusal(415, f"{said} Send an image (image/png, image/jpeg, …) or several as {MULTIPART}.")
    return kind, None


async def read_body(request: Request, limits: Limits, held: Held) -> bytes:
    """The whole body, counted while it comes: what Content-Length says is believed only if it is too much.

    Raises:
        Refusal: it is too large (413), there is no room for it (503), or it takes too long (408).
        ClientDisconnect: the client is gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.max_bytes:
        raise too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                held.add(len(chunk))
                body += chunk
    except TimeoutError:
        said = f"The body didn't come within {limits.body_seconds:g} seconds."
        raise Refusal(408, said, {"Connection": "close"}) from None
    return bytes(body)


def files_in(body: bytes, boundary: bytes | None, limits: Limits) -> list[Upload]:
    """The image files of a body: itself if there is no boundary.

    Raises:
        Refusal: there are none or too many, a part is something else than a file, or the form is damaged.
    """
    if boundary is None:
        return [Upload(None, body)]
    form = _Form(limits.max_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(422, f"The form is damaged: {error}") from error
    if not form.is_whole:
        raise Refusal(422, "The form is cut short: its end is missing.")
    if not form.files:
        raise Refusal(422, "The form has no file. Send each image as a file: curl -F images=@photo.jpg …")
    return form.files


class _Form:
    """What the parser of a form calls, piece by piece."""

    def __init__(self, max_images: int) -> None:
        self.files: list[Upload] = []
        self.is_whole = False
        self._max_images = max_images
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.files) == self._max_images:
            raise Refusal(413, f"The request has more than {self._max_images} images. Send them in several requests.")
        self._headers.clear()
        self._data = bytearray()

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        name = options.get(b"filename")
        if name is None:
            field = options.get(b"name", b"").decode("utf-8", "replace")[:_LONGEST_NAME]
            raise Refusal(422, f"The form's field {field!r} is no file. Options go into the address: /predict?top=3.")
        self._name = name.decode("utf-8", "replace")[:_LONGEST_NAME]

    def _end(self) -> None:
        self.files.append(Upload(self._name, bytes(self._data)))

    def _finish(self) -> None:
        self.is_whole = True
