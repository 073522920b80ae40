"""Weights that ship: runs inside the package, named `builtin:<name>` wherever a run's folder may stand."""

from __future__ import annotations

from pathlib import Path

from podium.errors import RunError

__all__ = ["DEFAULT", "FOLDER", "PREFIX", "folder_of", "is_builtin", "is_reference", "names"]

PREFIX = "builtin:"
DEFAULT = "builtin:cifar10"
"""What answers where no run is named."""
FOLDER = Path(__file__).parent / "weights"


def names() -> list[str]:
    """Those there are, with the prefix, sorted."""
    if not FOLDER.is_dir():
        return []
    return sorted(f"{PREFIX}{path.name}" for path in FOLDER.iterdir() if (path / "manifest.json").is_file())


def folder_of(name: str | Path) -> Path | None:
    """The folder of `builtin:<name>`; None if it is a path of another kind. Raises RunError: there is no such."""
    text = str(name)
    if not is_reference(name):
        return None
    if text not in names():
        raise RunError(f"There are no weights {text}. Those that ship: {', '.join(names()) or 'none'}.")
    return FOLDER / text.removeprefix(PREFIX)


def is_reference(name: str | Path) -> bool:
    """Whether it names weights that ship, rather than a folder."""
    return str(name).startswith(PREFIX)


def is_builtin(path: Path) -> bool:
    """Whether a run's folder is one of these."""
    return path.parent == FOLDER
