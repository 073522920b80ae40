"""ILSVRC's devkit: which class each image of val is of.

The ground truth has a number a line, in the order of val's images. These numbers are the devkit's own, ILSVRC2012_ID,
which follow no order of the classes' names: only its `meta.mat` says which number is which class.
"""

from __future__ import annotations

from pathlib import Path

from podium.data.archive import damaged
from podium.data.formats import tar_entries
from podium.data.matfile import MatError, read_structs
from podium.errors import ArchiveError, DataError, TableError

__all__ = ["TRUTH", "ground_truth"]

TRUTH, SYNSETS = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
MAX_BYTES = 1 << 24


def ground_truth(path: Path) -> list[str]:
    """The class of each image of val, in their order: WordNet ids such as n01440764.

    Args:
        path: the devkit: its .tar.gz, or the folder with its two files.

    Raises:
        DataError: a file is missing, damaged, or doesn't fit the other.
    """
    truth, synsets = _files_of(path)
    wnids = _wnids(synsets, f"{path.name}/{SYNSETS}")
    found = []
    for line, text in enumerate(truth.decode("latin-1").split("\n"), 1):
        word = text.strip()  # of more than `int` takes off: separators such as \x1c
        if not word:
            continue
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None
        if number not in wnids:
            raise TableError(
                f"{path.name}/{TRUTH}, line {line}: {word[:20]!r} is the number of no class in {SYNSETS}. "
                "Get the devkit again."
            )
        found.append(wnids[number])
    return found


def _files_of(path: Path) -> tuple[bytes, bytes]:
    if path.is_dir():
        found = {name: _read(path / name) for name in (TRUTH, SYNSETS) if (path / name).is_file()}
    else:
        found = {}
        for info, archive in tar_entries(path, path.name):
            base = info.name.rpartition("/")[2]
            if base in (TRUTH, SYNSETS) and info.isreg():
                _check_size(f"{path.name}/{base}", info.size)
                file = archive.extractfile(info)
                assert file is not None, info.name
                found[base] = file.read(info.size)
    for name in (TRUTH, SYNSETS):
        if name not in found:
            raise DataError(f"{path}: has no {name}. Put ILSVRC2012's whole devkit there, for tasks 1 and 2.")
    return found[TRUTH], found[SYNSETS]


def _read(path: Path) -> bytes:
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise damaged(str(path), error) from error


def _check_size(what: str, num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise ArchiveError(f"{what}: is {num_bytes:,} bytes; more than {MAX_BYTES:,} is refused.")


def _wnids(data: bytes, label: str) -> dict[int | None, str]:
    """The class of each of the devkit's numbers."""
    try:
        synsets = read_structs(data, "synsets", ("ILSVRC2012_ID", "WNID"))
    except MatError as error:
        raise damaged(label, error) from error
    found: dict[int | None, str] = {}
    for synset in synsets:
        number, wnid = synset["ILSVRC2012_ID"], synset["WNID"]
        is_class = isinstance(number, int | float) and isinstance(wnid, str) and number in range(1, 1 << 20)
        if not is_class or number in found:
            raise damaged(label, f"{number!r} with {wnid!r} is no class, or is there twice")
        assert not isinstance(number, str)
        assert isinstance(wnid, str)
        found[int(number)] = wnid
    return found
