"""Pages that open from disk: their templates, in which everything is escaped that the user's files say."""

from __future__ import annotations

from pathlib import Path

import jinja2

__all__ = ["template"]

_LONGEST = 60  # characters of a name or id that are shown


def template(name: str) -> jinja2.Template:
    """A page's template, by its file's name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([Path(__file__).parent / room / "templates" for room in ("report", "study")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "short": _short, "count": lambda value: f"{value:,}"}
    return environment.get_template(name)


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}\u202f%"


def _short(text: object, longest: int = _LONGEST) -> str:
    """The text, its middle left out where it is long: an id's end tells more than its beginning."""
    shown = str(text)
    return shown if len(shown) <= longest else f"{shown[: longest // 2]}…{shown[-(longest // 2 - 1) :]}"
