"""Files from a web server: bounded, resumed where they were cut, with time-outs; http and https and nothing else.

Only the standard library's urllib, with those of its handlers that speak HTTP: no file:, no ftp:, and no redirect to
them, nor from https to http.
"""

from __future__ import annotations

import http.client
import io
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from podium.data.progress import MEGABYTE, Progress, Ticker
from podium.errors import ArchiveError, DataError

__all__ = ["download", "get", "is_url", "repaired", "shown", "size_of"]

TIMEOUT_SECONDS = 30.0
TRIES = 6  # five waits: 15 s in all
FIRST_WAIT_SECONDS = 0.5
STALL_SECONDS, STALL_BYTES = 60.0, 60_000  # less than 1 kB/s for a minute is no answer
PIECE_BYTES = 1 << 20
PASSING = {408, 425, 429, 500, 502, 503, 504}


class CutError(Exception):
    """An answer that ended early or dragged on: worth another try."""


class WriteError(Exception):
    """Of the disk, and so not of the network, whose errors are OSErrors too."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def is_url(text: str) -> bool:
    """Whether a text names something on a network, rather than a file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) is not None


def repaired(text: str) -> str:
    """An address that went through a Path, which made one of two slashes."""
    return re.sub(r"^(https?):/(?!/)", r"\1://", text)


def shown(url: str) -> str:
    """An URL for messages: without what follows a question mark, which may be a key."""
    return url.partition("?")[0]


def checked(url: str) -> str:
    """The URL. Raises DataError unless it is http or https, with a host and without a password."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_fine = False
    else:
        if parts.username or parts.password:
            raise DataError(f"{parts.scheme}://{parts.hostname}: a password in an URL isn't taken.")
    if not is_fine or any(c <= " " for c in url):
        raise DataError(f"{shown(url)}: data are read from files, folders, http:// and https:// only.")
    return url


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise ArchiveError(f"{shown(req.full_url)}: the server sends us on to {scheme}:, which isn't followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _answer(url: str, headers: dict[str, str], method: str = "GET") -> Iterator[Any]:
    """The server's answer. Raises CutError where another try may help, else ArchiveError."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "podium"} | headers
    request = urllib.request.Request(checked(url), headers=headers, method=method)
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
            yield response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise
        what = f"{shown(url)}: the server says {error.code} {error.reason}"
        raise (CutError if error.code in PASSING else ArchiveError)(f"{what}.") from error
    except urllib.error.URLError as error:
        reason = error.reason
        raise CutError(f"{shown(url)}: can't be reached ({_why(reason)}).") from error
    except (OSError, http.client.HTTPException) as error:
        raise CutError(f"{shown(url)}: the answer broke off ({_why(error)}).") from error


def _why(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"nothing came for {TIMEOUT_SECONDS:g} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _again(attempt: Callable[[], Any]) -> Any:
    """What `attempt` returns; tried anew, after longer and longer waits, while it raises CutError."""
    for number in range(TRIES):
        try:
            return attempt()
        except CutError as error:
            if number == TRIES - 1:
                raise ArchiveError(f"{error}\nTried {TRIES} times. Check the address and the network.") from error
            time.sleep(FIRST_WAIT_SECONDS * 2**number)
    raise AssertionError


def _declared(response: Any) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and len(length) < 19 else None


def _pieces(response: Any, url: str) -> Iterator[bytes]:
    began, since = time.monotonic(), 0
    while piece := response.read1(PIECE_BYTES):
        yield piece
        since += len(piece)
        if (now := time.monotonic()) - began > STALL_SECONDS:
            if since < STALL_BYTES:
                raise CutError(f"{shown(url)}: only {since:,} bytes came in {now - began:.0f} s.")
            began, since = now, 0


def get(url: str, max_bytes: int) -> bytes:
    """A small file's content, taken into memory.

    Raises:
        ArchiveError: it isn't there, is larger than `max_bytes`, or can't be had after several tries.
        DataError: it isn't http or https.
    """

    def attempt() -> bytes:
        with _answer(url, {}) as response:
            said = _declared(response)
            data = bytearray()
            if (said or 0) <= max_bytes:
                for piece in _pieces(response, url):
                    data += piece
                    if len(data) > max_bytes:
                        break
            if max(said or 0, len(data)) > max_bytes:
                raise ArchiveError(f"{shown(url)}: has more than {max_bytes:,} bytes, which is refused.")
            if said is not None and len(data) != said:
                raise CutError(f"{shown(url)}: the answer broke off after {len(data):,} of {said:,} bytes.")
            return bytes(data)

    return bytes(_again(attempt))


def size_of(url: str) -> tuple[int, str]:
    """A file's bytes as the server declares them, and what changes with its content: ETag or time. Raises as `get`."""

    def attempt() -> tuple[int, str]:
        with _answer(url, {}, "HEAD") as response:
            said = _declared(response)
            if said is None:
                raise ArchiveError(f"{shown(url)}: the server doesn't say how large it is.")
            return said, response.headers.get("ETag") or response.headers.get("Last-Modified") or ""

    size, mark = _again(attempt)
    return int(size), str(mark)


def download(url: str, path: Path, num_bytes: int, progress: Progress | None = None, mark: str = "") -> None:
    """Fetches a file; goes on where an earlier try, also of a process that was killed, has ended.

    Args:
        url: http or https.
        path: where to write; what is there is taken for the file's beginning.
        num_bytes: what it must have. Not one byte more is written.
        progress: told how far it is.
        mark: as `size_of` gives it: of another content nothing is taken for this one's rest; "": not compared.

    Raises:
        ArchiveError: it isn't there, has another size, or can't be had after several tries in which nothing came.
        DataError: it isn't http or https.
        OSError: `path` can't be written.
    """
    ticker = Ticker(progress, f"fetching {shown(url).rpartition('/')[2]}, in MB", num_bytes, MEGABYTE)

    def attempt() -> bool:
        have = path.stat().st_size if path.exists() else 0
        if have > num_bytes:
            path.unlink()
            have = 0
        if have == num_bytes:
            return True
        try:
            headers = {"Range": f"bytes={have}-"} if have else {}
            if have and mark:
                headers["If-Range"] = mark
            with path.open("ab", buffering=0) as file, _answer(url, headers) as response:
                have = _agreed(response, url, have, num_bytes)
                file.truncate(have)
                for piece in _pieces(response, url):
                    if have + len(piece) > num_bytes:
                        raise _other_size(url, f"more than {num_bytes:,}", num_bytes)
                    _write(file, piece)
                    have += len(piece)
                    ticker(have)
        except urllib.error.HTTPError as error:  # 416: it has no such part
            path.unlink()
            raise CutError(f"{shown(url)}: the server says {error.code} {error.reason}.") from error
        if have < num_bytes:
            raise CutError(f"{shown(url)}: the answer broke off after {have:,} of {num_bytes:,} bytes.")
        return True

    while True:
        before = path.stat().st_size if path.exists() else 0
        try:
            _again(attempt)
            return
        except WriteError as error:
            raise error.reason from None
        except ArchiveError as error:
            is_cut = isinstance(error.__cause__, CutError)
            if not is_cut or not path.exists() or path.stat().st_size <= before:
                raise


def _write(file: io.FileIO, piece: bytes) -> None:
    try:
        while piece:
            piece = piece[file.write(piece) :]
    except OSError as error:
        raise WriteError(error) from error


def _agreed(response: Any, url: str, have: int, num_bytes: int) -> int:
    """Where in the file the answer begins. Raises ArchiveError if it is of another file."""
    if response.status == 206:
        said = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != have:
            raise ArchiveError(f"{shown(url)}: the server answers with another part than was asked for.")
        if said[2] != "*" and int(said[2]) != num_bytes:
            raise _other_size(url, said[2], num_bytes)
        return have
    total = _declared(response)
    if total is not None and total != num_bytes:
        raise _other_size(url, f"{total:,}", num_bytes)
    return 0


def _other_size(url: str, has: str, num_bytes: int) -> ArchiveError:
    return ArchiveError(
        f"{shown(url)}: has {has} bytes, and should have {num_bytes:,}: it isn't the file that is meant."
    )
