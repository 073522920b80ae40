"""CIFAR's official releases: fetched when they are asked for, and taken only if every byte is right."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from podium.data import http
from podium.data.progress import Progress
from podium.data.sources.cifar import ORIGINALS
from podium.errors import ArchiveError, DataError, StorageError
from podium.files import sha256_of, storage_errors

__all__ = ["OFFICIAL", "RELEASES", "Release", "download_release"]

OFFICIAL = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Release:
    """One file of a release.

    Attributes:
        file: its name.
        num_bytes: of it.
        sha256: of its content. The official page gives MD5s, which these files were compared with.
    """

    file: str
    num_bytes: int
    sha256: str


_SHA256 = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
}


def _known(name: str) -> dict[str, Release]:
    files = {version: f"{name}-{version}.tar.gz" for version in ("python", "binary")}
    return {version: Release(file, ORIGINALS[file][0], _SHA256[file]) for version, file in files.items()}


RELEASES = {name: _known(name) for name in ("cifar-10", "cifar-100")}
"""By the data set's name and the version of its files."""


def download_release(
    name: str,
    out: Path,
    *,
    version: str = "python",
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Fetches a release into a folder, which is made if need be; what is there whole already is left as it is.

    What an earlier try got, also one that was killed, lies beside under the name .FILE.part and isn't fetched again.

    Args:
        name: cifar-10 or cifar-100.
        out: the folder.
        version: "python" or "binary"; podium reads both, and they hold the same images.
        mirrors: addresses to be tried before the official one, in order: of the file itself, or of the folder that has
            it.
        progress: told how far it is.

    Returns:
        The file, which `podium.open` takes as it is.

    Raises:
        DataError: there is no such release, no address has it, or another file has its name.
        StorageError: the folder can't be written, or has no room.
    """
    release = _release(name, version)
    path, part = out / release.file, out / f".{release.file}.part"
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_there(path, release)
            return path
        lock = FileLock(out / f".{release.file}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StorageError(f"{path} is being fetched by another process.") from None
        try:
            _check_room(out, part, release)
            _from_any(release, [*mirrors, OFFICIAL], part, progress)
            part.replace(path)
        finally:
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
    return path


def _release(name: str, version: str) -> Release:
    if name not in RELEASES:
        close = difflib.get_close_matches(name, RELEASES, n=1)
        nearest = f"; the nearest is '{close[0]}'" if close else ""
        raise DataError(
            f"There is no release '{name}'{nearest}.\nThere are: {', '.join(RELEASES)}, and kaggle:COMPETITION."
        )
    return RELEASES[name][version]


def _check_there(path: Path, release: Release) -> None:
    """Raises DataError unless the file is the release."""
    if not path.is_file() or path.stat().st_size != release.num_bytes or sha256_of(path) != release.sha256:
        raise DataError(f"{path} is there already and isn't what is meant: move it away, or choose another --out.")


def _check_room(out: Path, part: Path, release: Release) -> None:
    missing = release.num_bytes - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(out).free
    if free < missing:
        raise StorageError(
            f"{out} has room for {free / 1e6:,.0f} MB; {release.file} needs {missing / 1e6:,.0f} MB more.\n"
            "Make room there, or choose another --out."
        )


def _from_any(release: Release, addresses: Sequence[str], part: Path, progress: Progress | None) -> None:
    """Fetches from the first address that has the right file. Raises DataError if none has."""
    reasons = []
    for address in addresses:
        url = address if address.endswith(".tar.gz") else f"{address.rstrip('/')}/{release.file}"
        try:
            http.download(url, part, release.num_bytes, progress)
        except DataError as error:
            if not isinstance(error, ArchiveError):  # no address at all
                raise
            reasons.append(str(error).splitlines()[0])
            continue
        if sha256_of(part) == release.sha256:
            return
        part.unlink()
        reasons.append(f"{http.shown(url)}: has other bytes than the release (SHA-256).")
    raise DataError(f"{release.file} can't be had. {' '.join(reasons)}\nName another address with --mirror URL.")
