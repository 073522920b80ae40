"""Loose files that would be too many as pixels: they stay encoded, each decoded when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from podium.data import memory
from podium.data.encoded import EncodedPixels, Files, Indices
from podium.data.formats import FolderArchive
from podium.data.images import digest
from podium.data.origin import ArchiveOrigin, Origin
from podium.data.packing import natural_order
from podium.data.store import Pack
from podium.errors import ArchiveError

__all__ = ["Loose", "LoosePack"]

Check: TypeAlias = Callable[[Sequence[str]], None]
Loaded = TypeVar("Loaded")

SHOWN = 5  # names of files that were left out


@dataclass(frozen=True)
class LoosePack(Pack):
    """The images of a folder as a pack that decodes what is taken from it.

    Its fingerprint is of ids and sizes of files: reading all pixels for it would take as long as an epoch.

    Attributes:
        sizes: int64 (N,), bytes of each file.
    """

    sizes: Indices

    def part(self, rows: slice, ids: list[str]) -> Pack:
        """As of `Pack`."""
        assert isinstance(self.pixels, EncodedPixels)
        pixels, sizes = self.pixels.take(np.arange(len(self.ids))[rows]), self.sizes[rows]
        return LoosePack(pixels, ids, _fingerprint(ids, sizes), self.facts, self.place, sizes)


def _fingerprint(ids: list[str], sizes: Indices) -> str:
    return digest("\n".join(ids), sizes.tobytes())


class Loose:
    """Decides whether a data set's images stay encoded: all of them or none, since they are resized differently.

    They do if all parts are folders, and as pixels would take more than half of the memory.

    Args:
        origins: of its parts.
        image_size: pixels a side that its images are to have; None: they have one size, and aren't too many.
    """

    def __init__(self, origins: Sequence[ArchiveOrigin], image_size: int | None) -> None:
        self._origins = origins
        self._image_size = image_size

    def instead_of(self, load: Callable[[Origin, Check], Loaded]) -> Callable[[Origin, Check], Loaded | LoosePack]:
        """What gives packs of encoded images if they are to stay so, and else does as `load`."""

        def chosen(origin: Origin, check: Check) -> Loaded | LoosePack:
            return (
                load(origin, check) if (folders := self._folders) is None else self._pack(folders[origin.label], check)
            )

        return chosen

    @cached_property
    def _folders(self) -> dict[str, FolderArchive] | None:
        """The folders' listings by label; None if the images are to be pixels."""
        size = self._image_size
        if size is None or not all(origin.path.is_dir() and not origin.inside for origin in self._origins):
            return None
        folders = {one.label: FolderArchive(one.path, one.label, images_only=True) for one in self._origins}
        return (
            folders if memory.too_large(sum(len(folder.names) for folder in folders.values()), (size, size)) else None
        )

    def _pack(self, folder: FolderArchive, check: Check) -> LoosePack:
        if not folder.names:
            raise ArchiveError(f"{folder.label}: holds no image.")
        assert self._image_size is not None
        ids = [folder.names[i] for i in natural_order(folder.names)]
        check(ids)
        num_bytes = {name: size for name, size, _ in folder.stamps}
        sizes = np.array([num_bytes[name] for name in ids], np.int64)
        root = os.fsencode(folder.path.resolve())
        files = Files(
            np.array([b"/".join((root, os.fsencode(name))) for name in ids]),
            np.arange(len(ids), dtype=np.int32),
            np.zeros(len(ids), np.int64),
            np.full(len(ids), -1, np.int64),
            np.zeros(len(ids), "S1"),
        )
        facts = {"num_others": len(folder.others), "others": sorted(folder.others)[:SHOWN]} if folder.others else {}
        pixels = EncodedPixels(files, (self._image_size, self._image_size))
        return LoosePack(pixels, ids, _fingerprint(ids, sizes), facts, Path(), sizes)
