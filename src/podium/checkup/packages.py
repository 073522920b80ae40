"""The packages that podium needs, and the extras that it could use: installed, too old, or missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata

__all__ = ["Package", "is_older", "look_for_packages"]

GIVES = {
    "dev": "linters and tests, to work on podium itself",
    "docs": "builds the documents as a site",
    "kaggle": "downloads and submissions through Kaggle's own tool",
    "onnx": "export to ONNX",
    "parquet": "reads Parquet files, as the Hugging Face hub keeps image sets",
    "report": "a page about a run",
    "serve": "a page and an API that classify",
    "shards": "reads and writes WebDataset's tar shards",
    "tensorboard": "writes a training's metrics for TensorBoard",
    "tune": "searches for better settings",
}
"""What each extra is for; one that isn't here is named by its packages."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*([0-9][0-9.]*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True)
class Package:
    """One package.

    Attributes:
        name: on the index.
        at_least: the lowest version that will do; None: any.
        installed: the version that is there; None: none is.
        extra: of which it is a part; None: podium needs it.
        gives: what the extra is for.
    """

    name: str
    at_least: str | None
    installed: str | None
    extra: str | None
    gives: str | None

    @property
    def is_good(self) -> bool:
        """Whether it is there, and new enough."""
        return self.installed is not None and not (self.at_least and is_older(self.installed, self.at_least))


def look_for_packages(requirements: list[str] | None = None) -> tuple[Package, ...]:
    """What podium asks for, and what is there.

    Args:
        requirements: as an installed package's metadata list them; None: podium's.
    """
    if requirements is None:
        try:
            requirements = metadata.requires("podium-vision") or []
        except metadata.PackageNotFoundError:  # run from a checkout that isn't installed
            return ()
    found = []
    for line in requirements:
        what, _, condition = line.partition(";")
        match = _REQUIREMENT.match(what)
        if match is None:
            continue
        extra = _EXTRA.search(condition)
        if extra is None and condition:
            continue  # another system's or Python's
        name = extra.group(1) if extra else None
        gives = GIVES.get(name) if name else None
        found.append(Package(match.group(1), match.group(2), _installed(match.group(1)), name, gives))
    return tuple(found)


def is_older(version: str, other: str) -> bool:
    """Whether a version comes before another, by their leading numbers: 2.9.1+cpu is older than 2.10."""
    mine, least = _numbers(version), _numbers(other)
    length = max(len(mine), len(least))
    return mine + [0] * (length - len(mine)) < least + [0] * (length - len(least))


def _numbers(version: str) -> list[int]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in found.group().split(".")] if found else []


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
