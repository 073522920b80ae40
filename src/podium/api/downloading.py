"""download: a data set's files from where they are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from podium.data import Progress
from podium.data.kaggle_api import Kaggle, check_slug
from podium.data.releases import download_release
from podium.errors import DataError

__all__ = ["download"]

_KAGGLE = "kaggle:"


def download(
    name: str,
    out: str | Path = ".",
    *,
    binary: bool = False,
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Fetches a data set. Nothing else in podium uses the network unless it is given an address.

    Args:
        name: cifar-10 or cifar-100, the official releases; or kaggle:COMPETITION, through Kaggle's client.
        out: the folder to write to, which is made if need be.
        binary: a release's binary version rather than its Python version.
        mirrors: of a release: addresses to be tried before the official one.
        progress: told how far it is.

    Returns:
        The file, which `podium.open` takes as it is.

    Raises:
        DataError: there is no such release, it can't be had, or it came damaged.
        KaggleError: Kaggle refuses, or can't be reached.
        StorageError: `out` can't be written.
    """
    if not name.startswith(_KAGGLE):
        version = "binary" if binary else "python"
        return download_release(name, Path(out), version=version, mirrors=mirrors, progress=progress)
    if binary or mirrors:
        raise DataError("--binary and --mirror are for cifar-10 and cifar-100, and would be ignored. Leave them out.")
    competition = check_slug(name.removeprefix(_KAGGLE))
    return Kaggle().download(competition, Path(out), progress)
