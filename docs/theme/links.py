"""A hook of mkdocs: what the documents link to outside of docs comes along into the site, under source/.

Files are copied, programs as text, so that a browser shows them; a link to a folder becomes plain words.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\.?/[^)#\s]+)(#[^)\s]*)?\)")
_AS_TEXT = (".py", ".toml", ".sh")


def on_files(files: Files, config: Any) -> Files:
    """Adds what is linked to."""
    root = Path(config.docs_dir).parent
    for file in list(files.documentation_pages()):
        for _, target, _ in _LINK.findall(file.content_string):
            path = _outside(file.src_uri, target)
            if path is not None and (root / path).is_file() and files.get_file_from_path(_kept(path)) is None:
                files.append(File.generated(config, _kept(path), abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Points the links there."""
    root, source = Path(config.docs_dir).parent, page.file.src_uri

    def replaced(found: re.Match[str]) -> str:
        text, target, anchor = found.groups()
        path = _outside(source, target)
        if path is None or not (root / path).exists():
            return found[0]  # mkdocs says what is wrong with it
        if (root / path).is_dir():
            return text
        return f"[{text}]({posixpath.relpath(_kept(path), posixpath.dirname(source) or '.')}{anchor or ''})"

    return _LINK.sub(replaced, markdown)


def _outside(source: str, target: str) -> str | None:
    """The path below the root of what a page links to; None if it lies within docs."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), target))
    return None if path.startswith(("docs/", "/")) else path


def _kept(path: str) -> str:
    return f"source/{path}{'.txt' if path.endswith(_AS_TEXT) else ''}"
