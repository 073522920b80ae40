"""Which files of a folder are ILSVRC2012's, as they were released, as Kaggle has them, or unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from podium.data.sources.devkit import TRUTH
from podium.data.sources.ilsvrc_files import IS_WNID, KAGGLE_IMAGES

__all__ = ["MAPPING", "SAMPLE", "SOLUTION", "Layout", "layout_at"]

SOLUTION, MAPPING, SAMPLE = "LOC_val_solution.csv", "LOC_synset_mapping.txt", "LOC_sample_submission.csv"
NUM_CLASSES = 1000
PEEKED = 2000  # entries of a folder
_TARS = {
    "train": re.compile(r"ilsvrc2012_img_train\.tar"),
    "val": re.compile(r"ilsvrc2012_img_val\.tar"),
    "test": re.compile(r"ilsvrc2012_img_test\w*\.tar"),
}
_FOLDERS = {
    "train": ("train", "ilsvrc2012_img_train"),
    "val": ("val", "ilsvrc2012_img_val", "validation"),
    "test": ("test", "ilsvrc2012_img_test"),
}
_DEVKIT = re.compile(r"ilsvrc2012_devkit_t12(\.tar(\.gz)?|\.tgz)?")


@dataclass(frozen=True)
class Layout:
    """Where what lies.

    Attributes:
        parts: the tar or folder of each of "train", "val" and "test".
        zip: Kaggle's zip, which then holds all parts and tables.
        tables: each of Kaggle's tables that is there, by its name.
        devkit: the devkit's archive, or the folder with its files.
    """

    parts: dict[str, Path] = field(default_factory=dict)
    zip: Path | None = None
    tables: dict[str, Path] = field(default_factory=dict)
    devkit: Path | None = None


def layout_at(path: Path) -> Layout | None:
    """ILSVRC2012 at `path`, told by names; None if it isn't there. Raises OSError."""
    if path.is_file():
        if _is_kaggle_zip(path):
            return Layout(zip=path)
        if not _TARS["train"].fullmatch(path.name.lower()):
            return None
        path = path.absolute().parent  # not the place that a link leads to
    for root in (path / KAGGLE_IMAGES, path / KAGGLE_IMAGES.removeprefix("ILSVRC/"), path):
        if root.is_dir() and "train" in (parts := _parts_in(root)):
            above = root.resolve().parents
            places = [path, *above[:3]] if root.resolve().name == "CLS-LOC" else [path]
            layout = Layout(parts, None, _tables_in(places), _devkit_in(places))
            if root != path or parts["train"].is_file() or _is_ilsvrc(layout):
                return layout
    zips = [entry for entry in _entries(path) if _is_kaggle_zip(entry)]
    return Layout(zip=zips[0]) if len(zips) == 1 else None


def _entries(folder: Path) -> Iterator[Path]:
    return islice(folder.iterdir(), PEEKED)


def _parts_in(folder: Path) -> dict[str, Path]:
    names = {entry.name.lower(): entry for entry in _entries(folder)}
    parts = {}
    for role, tar in _TARS.items():
        tars = sorted(name for name, entry in names.items() if tar.fullmatch(name) and entry.is_file())
        folders = [name for name in _FOLDERS[role] if name in names and names[name].is_dir()]
        if found := tars[-1:] or folders[:1]:
            parts[role] = names[found[0]]
    if "train" in parts and parts["train"].is_dir() and not any(_wnids_in(parts["train"])):
        del parts["train"]
    return parts


def _wnids_in(folder: Path) -> Iterator[Path]:
    """Its folders or tars of classes."""
    return (entry for entry in _entries(folder) if IS_WNID(entry.name.lower().removesuffix(".tar")))


def _tables_in(folders: list[Path]) -> dict[str, Path]:
    names = (SOLUTION, MAPPING, SAMPLE)
    return {name: folder / name for name in names for folder in reversed(folders) if (folder / name).is_file()}


def _devkit_in(folders: list[Path]) -> Path | None:
    for folder in folders:
        found = sorted(entry for entry in _entries(folder) if _DEVKIT.fullmatch(entry.name.lower()))
        kits = [entry for entry in found if entry.is_file()]
        places = [place for entry in found for place in (entry / "data", entry)] + [folder / "data", folder]
        if kits := [place for place in places if (place / TRUTH).is_file()] + kits:
            return kits[0]
    return None


def _is_ilsvrc(layout: Layout) -> bool:
    """Whether folders of WordNet ids are ILSVRC's, and not another set's: some have small images and fewer classes."""
    if layout.devkit or layout.tables:
        return True
    if sum(1 for _ in _wnids_in(layout.parts["train"])) == NUM_CLASSES:
        return True
    val = layout.parts.get("val")
    if val is None or val.is_file():
        return val is not None
    folders = [val, *islice((entry for entry in _entries(val) if IS_WNID(entry.name)), 1)]
    return any(entry.name.startswith("ILSVRC2012_val_") for folder in folders for entry in _entries(folder))


def _is_kaggle_zip(path: Path) -> bool:
    """Told by its first member, since its listing has two million."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(30 + 64)
    return start[:4] == b"PK\x03\x04" and start[30:].startswith((b"ILSVRC/", b"LOC_"))
