"""A peer's script as a module: its text unchanged, or with a few named substitutions that must all be found."""

from __future__ import annotations

import hashlib
import linecache
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from peers import vision

__all__ = ["Substitution", "load", "sha256"]


@dataclass(frozen=True)
class Substitution:
    """A piece of a script's text, and what stands there instead.

    Attributes:
        old: as the script has it.
        new: what it becomes.
        reason: why that is no change of the training's logic.
        count: how often `old` must occur, neither less nor more.
    """

    old: str
    new: str
    reason: str
    count: int = 1


def load(
    path: Path,
    needed: Iterable[str],
    substitutions: Iterable[Substitution] = (),
    provided: Mapping[str, object] | None = None,
) -> ModuleType:
    """Executes a script as a module, so that its own `__main__` part doesn't run.

    Args:
        path: of the script.
        needed: names that it must define.
        substitutions: made one after the other.
        provided: names put into the module beforehand, for what the substitutions refer to.

    Raises:
        SystemExit: the script isn't there, isn't the one that its driver was written for, or can't be executed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"{path} can't be read: {error.strerror}.")
    for substitution in substitutions:
        count = text.count(substitution.old)
        if count != substitution.count:
            sys.exit(
                f"{path} has changed: {substitution.old!r} occurs {count} times in it, not {substitution.count}.\n"
                f"It is replaced since: {substitution.reason}. Look at the script, then at its driver."
            )
        text = text.replace(substitution.old, substitution.new)

    vision.install_if_missing()
    name = f"peer_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    module.__dict__.update(provided or {})
    sys.modules[name] = module  # torch.compile looks a function's module up by name
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    before, sys.argv = sys.argv, [str(path)]  # the scripts read their own text from there
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    finally:
        sys.argv = before
    if missing := [name for name in needed if not hasattr(module, name)]:
        sys.exit(f"{path} has changed: it defines no {', '.join(missing)}. Look at the script, then at its driver.")
    return module


def sha256(path: Path) -> str:
    """12 hex digits of the file's SHA-256: which version of a script was measured."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
