"""The page, made once when the server starts."""

from __future__ import annotations

from pathlib import Path

import jinja2

from podium.delivery.serve.body import IMAGE_TYPES
from podium.delivery.serve.schemas import Card

__all__ = ["Page"]

_TEMPLATES = Path(__file__).parent / "templates"


class Page:
    """All that a browser gets. Names of classes and data are whatever the user's files say, so all is escaped.

    Attributes:
        index: the page.
        api: how programs use the server.
        style: of both.
        script: of the page.
    """

    def __init__(self, card: Card) -> None:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {"percent": _percent, "duration": _duration}
        # a telephone turns its own formats into these, if it is told that only these are taken
        accept = ",".join(kind for kind in IMAGE_TYPES if kind.startswith("image/"))
        self.index = environment.get_template("index.html").render(card=card, accept=accept)
        self.api = environment.get_template("api.html").render(card=card)
        self.style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
        self.script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}\u202f%"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
