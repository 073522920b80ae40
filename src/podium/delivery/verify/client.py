"""A client of the server's: pictures in, probabilities out, as anyone's program would ask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from podium.errors import ServeError

__all__ = ["ask"]

_MOST_NAMED = 1000  # classes that the server names at most
_SECONDS = 600


def ask(address: str, pictures: Sequence[bytes], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """The probabilities, float32 (N, K), of N PNG files, each in a request of its own over one connection.

    Of more than a thousand classes the server names the most probable thousand; what is left is spread over the others.

    Raises:
        ServeError: it answers something else, or not at all.
    """
    places = {name: place for place, name in enumerate(classes)}
    found = np.zeros((len(pictures), len(classes)), np.float32)
    parts = urlsplit(address)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=_SECONDS)
    try:
        for row, picture in enumerate(pictures):
            path = f"/predict?top={min(_MOST_NAMED, len(classes))}"
            connection.request("POST", path, picture, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise ServeError(f"The server answers {answer.status} to a PNG: {body[:200]!r}.")
            named = json.loads(body)["images"][0]["classes"]
            for one in named:
                found[row, places[one["name"]]] = one["probability"]
            if len(named) < len(classes):
                found[row, found[row] == 0] = max(0.0, 1 - found[row].sum()) / (len(classes) - len(named))
    except (OSError, HTTPException, ValueError, KeyError, IndexError) as error:
        raise ServeError(f"The server's answer can't be read: {type(error).__name__} {error}.") from error
    finally:
        connection.close()
    return found
