"""What Kaggle says when it refuses, in plain words, and its client kept quiet.

Nothing here prints a token: whatever a server or the client says is cleared of it before it is quoted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from podium.errors import KaggleError

__all__ = ["SITE", "asked", "in_time", "over_the_limit", "page", "quiet", "said"]

T = TypeVar("T")

SITE = "https://www.kaggle.com"
TOKENS = f"{SITE}/settings/api"
ANSWER_SECONDS = 60.0
_ENVIRONMENT = ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_API_V1_TOKEN")


def asked(api: Any, competition: str, ask: Callable[[], T], *, is_long: bool = False) -> T:
    """What `ask` returns. Raises KaggleError in plain words for all that Kaggle and its client may raise.

    The client waits for an answer for ever; here a minute is enough, unless it `is_long`: a file on its way, for which
    the client has limits of its own.
    """
    from requests import exceptions  # noqa: PLC0415

    try:
        with quiet():
            return ask() if is_long else in_time(ask)
    except SystemExit:
        raise _no_token() from None
    except exceptions.HTTPError as error:
        raise _refused(api, competition, error) from None  # the original holds the request, and so the token
    except (exceptions.ConnectionError, exceptions.Timeout) as error:
        raise KaggleError(
            f"Kaggle can't be reached ({type(error).__name__}). Check the network, and the proxy if there is one."
        ) from None
    except exceptions.ChunkedEncodingError:
        raise KaggleError("Kaggle's answer broke off. Try again: a download goes on where it ended.") from None
    except OSError as error:
        if isinstance(error, exceptions.RequestException):
            raise KaggleError(f"Kaggle's answer makes no sense ({type(error).__name__}). Try again later.") from None
        raise  # of the disk
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise KaggleError(
            f"Kaggle's client fails ({type(error).__name__}: {said(api, str(error))}).\n"
            "Try again later, or a newer one: pip install -U kaggle"
        ) from None


def in_time(ask: Callable[[], T]) -> T:
    """What `ask` returns or raises; KaggleError if it takes too long: it is left to itself then."""
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(ask())
        except BaseException as error:  # the client exits where it finds no token
            raised.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(ANSWER_SECONDS)
    if raised:
        raise raised[0]
    if not returned:
        raise KaggleError(f"Kaggle doesn't answer: nothing came for {ANSWER_SECONDS:g} s. Try again later.")
    return returned[0]


def _refused(api: Any, competition: str, error: Any) -> KaggleError:
    """An answer with an error's status, in words."""
    status, words = _status(error), said(api, str(error))
    low = words.lower()
    if status == 401:
        return KaggleError(f"Kaggle doesn't accept your token (401). Make a new one at {TOKENS}.")
    if status == 429:
        return KaggleError("Kaggle has had too many requests from you (429). Wait some minutes, then try again.")
    if status >= 500:
        return KaggleError(f"Kaggle's server fails ({status}). Try again later.")
    if "rules" in low:
        return KaggleError(
            f"You haven't accepted the rules of {competition}.\nDo it once at {page(competition)}/rules."
        )
    if "verif" in low and ("phone" in low or "identity" in low or "account" in low):
        return KaggleError(f"Kaggle wants your account verified first: {SITE}/settings ({words}).")
    if any(word in low for word in ("allowance", "daily", "submission limit", "too many submissions", "per day")):
        return over_the_limit(competition, words)
    if any(word in low for word in ("deadline", "has ended", "is over", "closed", "no longer", "not accepting")):
        return KaggleError(f"{competition} takes no more submissions: its deadline has passed ({words}).")
    if status == 404:
        return KaggleError(
            f"Kaggle has no competition '{competition}' (404), or it takes no submissions. Its name is what follows "
            f"{SITE}/competitions/."
        )
    if status == 403:  # what it says of a wrong name too
        return KaggleError(
            f"Kaggle refuses '{competition}' (403: {words}). Either there is no such competition,\n"
            f"or you haven't joined it: open {page(competition)}/rules and accept its rules."
        )
    return KaggleError(f"Kaggle refuses ({status}: {words}).")


def _status(error: Any) -> int:
    """Of the answer; Kaggle may write it into the body only."""
    response = error.response
    if response is None:
        return 0
    with contextlib.suppress(Exception):
        code = response.json().get("code")
        if isinstance(code, int) and code >= 400:
            return code
    return int(response.status_code)


def _no_token() -> KaggleError:
    if os.environ.get("KAGGLE_API_TOKEN"):
        return KaggleError(f"Kaggle doesn't accept the token in KAGGLE_API_TOKEN. Make a new one at {TOKENS}.")
    return KaggleError(
        "Kaggle doesn't know you: there is no token, or an old one. Run `kaggle auth login`,\n"
        f"or make a token at {TOKENS} and put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token."
    )


def over_the_limit(competition: str, why: str) -> KaggleError:
    """That no submission is taken any more today."""
    return KaggleError(
        f"{competition} takes no more submissions from you today ({why}).\n"
        "The day begins at midnight UTC; submit the file then."
    )


def page(competition: str) -> str:
    """A competition's address."""
    return f"{SITE}/competitions/{competition}"


def said(api: Any, text: str) -> str:
    """What a server or the client says, on one line, short, and without any token."""
    known = [os.environ.get(name) for name in _ENVIRONMENT]
    known += [api.config_values.get(name) for name in ("key", "token")]
    for secret in known:
        if secret:
            text = text.replace(secret, "…")
    text = re.sub(r"\b(KGAT_\S+|[0-9a-f]{32})", "…", text)  # what tokens and keys look like
    text = re.sub(r"(?i)\b(bearer|basic)\s+\S+", r"\1 …", text)
    text = re.sub(r"\?\S*", "", text)  # signed addresses
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return text if len(text) <= 200 else text[:199] + "…"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the client prints on stdout, errors and advice, and what its network library logs, addresses."""
    loud = logging.getLogger("urllib3")
    before = loud.level
    loud.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        loud.setLevel(before)
