"""A folder a class, as it lies there or in an archive.

    flowers/rose/1.jpg             one part: all images are labelled, to train on
    flowers/tulip/2.jpg

    flowers/train/rose/1.jpg       train, val (or valid, validation) and test, as far as they are there
    flowers/val/rose/2.jpg         to measure on
    flowers/test/3.jpg             to be predicted; with folders of the same classes and without val: to measure on

Each part may be an archive (train.zip), and all of them may lie in one. An image's id is its path in its part, with its
suffix; its class is the first folder of that path. What is no image is left out, and so are images beside the parts:
`faults` says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.cache import cache_errors, cache_root
from podium.data.encoded import Files
from podium.data.formats import is_archive
from podium.data.images import Dataset, Images, ImageStream, digest
from podium.data.origin import ArchiveOrigin, Origin
from podium.data.progress import Progress
from podium.data.sources.packed import PackedDataset, encode, no_choice, some
from podium.data.sources.top import Top, folders_in, holds_images, role_in, role_of
from podium.data.sources.tree import classes_of, cut, parts_of, two_parts, wrapper_of
from podium.data.store import Pack
from podium.errors import DataError

__all__ = ["FolderDataset", "find"]

LOOKED_FOR = "a folder a class, with or without train, val and test"
TITLES = {"val": "validation set", "test": "labelled test set"}


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> FolderDataset | None:
    """The tree of classes at `path`, a folder or an archive; None if there is none. Raises ArchiveError."""
    top = Top(path) if path.is_dir() or path.suffix.lower() == ".zip" else None
    origins: dict[str, ArchiveOrigin] = {}
    if top is not None and (train := top.origin("train", is_tree=True)):
        is_folder = not train.inside and train.path.is_dir()
        if is_folder and not folders_in(train.path):
            roles = {role_of(folder.name) for folder in folders_in(path)}
            if roles != {"train", None}:
                return None  # its images are in no classes; beside others it may be a class itself
        elif is_folder or top.origin("train", archives_only=True):
            _refuse_two_parts(path)
            found = {role: top.origin(role, is_tree=True) for role in ("train", "val", "test")}
            origins = {role: origin for role, origin in found.items() if origin is not None}
    if not origins and path.is_file() and is_archive(path):
        origins = {"": ArchiveOrigin(path, is_tree=True)}
    if not origins and top is not None and not top.is_zip:
        archives = [name for name in top.names.values() if is_archive(Path(name)) and role_in(name) is None]
        if holds_images(path):
            origins = {"": ArchiveOrigin(path, is_tree=True)}
        elif len(archives) == 1:
            origins = {"": ArchiveOrigin(path / archives[0], is_tree=True)}
    if not origins:
        return None
    no_choice(path, labels)
    return FolderDataset(path, origins, image_size, progress, top)


def _refuse_two_parts(path: Path) -> None:
    seen: dict[str, str] = {}
    for folder in folders_in(path) if path.is_dir() else []:
        if role := role_of(folder.name):
            if role in seen:
                raise two_parts(str(path), role, seen[role], f"{folder.name}/")
            seen[role] = f"{folder.name}/"


class FolderDataset(PackedDataset):
    """A tree of classes.

    Args:
        path: as given by the user.
        origins: where each of "train", "val" and "test" lies; or of "", if all lie in one.
        image_size: as of `open_dataset`.
        progress: as of `open_dataset`.
        top: where a sample submission may lie.
    """

    kind = "folder"

    def __init__(
        self,
        path: Path,
        origins: dict[str, ArchiveOrigin],
        image_size: int | None,
        progress: Progress | None,
        top: Top | None,
    ) -> None:
        super().__init__(path, image_size, progress, top)
        self._origins = origins
        self._encoded_if_too_large(tuple(origins.values()))

    # ---- the four sets

    @cached_property
    def train(self) -> Images:
        """The labelled images, in natural order of their paths. Raises as `Dataset.train`."""
        names = classes_of(self._train_pack.ids)
        return self._images(self._train_pack, encode(names, self.classes))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the folders, sorted. Raises as `train`."""
        return tuple(sorted(set(classes_of(self._train_pack.ids))))

    @property
    def evaluation_name(self) -> str | None:
        """Which of the parts it is, or None. Raises DataError."""
        role = self._evaluation_role
        return None if role is None else TITLES[role]

    @cached_property
    def evaluation(self) -> Images | None:
        """The images of val; or those of test, if they lie in folders of the classes. Raises as `Dataset.train`."""
        role = self._evaluation_role
        if role is None:
            return None
        pack = self._part(role)
        assert pack is not None, role
        names = classes_of(pack.ids)
        for image_id, name in zip(pack.ids, names, strict=True):
            if name not in self._class_set:
                what = f"the folder {name}" if name else "no folder"
                raise DataError(
                    f"{self._label(role)}: image {image_id!r} lies in {what}, which is no class of the images to train "
                    f"on: {some(self.classes)}."
                )
        return self._images(pack, encode(names, self.classes))

    @cached_property
    def test(self) -> Images | None:
        """The images of test, unless they are those to measure on. Raises as `Dataset.train`."""
        if "" not in self._origins:
            return super().test
        pack = None if self._evaluation_role == "test" else self._part("test")
        if pack is None:
            return None
        self._check_test(pack.ids)
        return self._test_of(pack)

    def stream_test(self, size: int) -> ImageStream | None:
        """As of `Dataset`."""
        return Dataset.stream_test(self, size) if "" in self._origins else super().stream_test(size)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the training images' paths, pixels and labels. Raises as `train`."""
        assert self.train.labels is not None
        return digest(self._train_pack.fingerprint, "\n".join(self.classes), self.train.labels.tobytes())

    def loose(self, role: str) -> Files | None:
        """As of `Dataset`."""
        is_test = self._evaluation_role != "test"
        own = {"train": "train", "evaluation": self._evaluation_role, "test": "test" if is_test else None}[role]
        origin = self._origins.get("" if "" in self._origins else own or "")
        pack = None if own is None else self._part(own)
        if origin is None or own is None or pack is None or self.resized_to or origin.inside or origin.path.is_file():
            return None
        inside = self._folders[own] if "" in self._origins else wrapper_of(self._pack(own).ids, own)
        return Files.loose(origin.path / inside, pack.ids)

    def faults(self, progress: Progress | None = None) -> list[str]:
        """What was left out. Raises as `train`."""
        _ = self._train_pack
        if "test" in self._origins and self.__dict__.get("test") is not None:  # it was read, so it can be
            self._pack("test")
        found = []
        for role, pack in self._packs.items():
            if num_others := pack.facts.get("num_others", 0):
                names = ", ".join(pack.facts["others"]) + ", …" * (num_others > len(pack.facts["others"]))
                files = "1 file" if num_others == 1 else f"{num_others:,} files"
                found.append(f"Left out of {self._label(role)}, since no images: {files}, {names}.")
        if "" in self._origins:
            folders = tuple(self._folders.values())
            strays = [name for name in self._packs[""].ids if not name.startswith(folders)]
            if strays:
                images = "1 image" if len(strays) == 1 else f"{len(strays):,} images"
                names = ", ".join(strays[:5]) + ", …" * (len(strays) > 5)
                found.append(f"Left out, since beside {' and '.join(folders)}: {images}, {names}.")
        return found

    # ---- parts and packs

    @cached_property
    def _packs(self) -> dict[str, Pack]:
        """What has been loaded, by its origin."""
        return {}

    def _pack(self, role: str) -> Pack:
        if role not in self._packs:
            self._packs[role] = self._load(self._origins[role], partial(self._check, role))
        return self._packs[role]

    @cached_property
    def _folders(self) -> dict[str, str]:
        return parts_of(self._pack("").ids, self._label(""))

    def _part(self, role: str) -> Pack | None:
        """The images of a part, their ids without the part's folder; None if it isn't there."""
        if "" not in self._origins:
            if role not in self._origins:
                return None
            pack = self._pack(role)
            return cut(pack, wrapper_of(pack.ids, role))
        folder = self._folders.get(role)
        return None if folder is None else cut(self._pack(""), folder)

    @cached_property
    def _train_pack(self) -> Pack:
        pack = self._part("train")
        assert pack is not None, self.path
        return pack

    @cached_property
    def _class_set(self) -> set[str]:
        return set(self.classes)

    @cached_property
    def _evaluation_role(self) -> str | None:
        if "val" in (self._folders if "" in self._origins else self._origins):
            return "val"
        names = self._names("test")
        num_labelled = sum(name in self._class_set for name in classes_of(names))
        if 0 < num_labelled < len(names):
            odd = next(name for name in names if name.partition("/")[0] not in self._class_set)
            raise DataError(
                f"{self._label('test')}: some images lie in folders of classes and some do not, for instance {odd}.\n"
                "An evaluation set has all its images in folders of classes, a test set none."
            )
        return "test" if num_labelled else None

    def _names(self, role: str) -> Sequence[str]:
        """The ids of a part, found without decoding unless all parts lie in one archive."""
        if "" in self._origins or role in self._packs or role not in self._origins:
            pack = self._part(role)
            return [] if pack is None else pack.ids
        with cache_errors():
            cache_root().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="listing-", dir=cache_root()) as scratch:
                names = self._origins[role].open(Path(scratch)).ids
        prefix = wrapper_of(names, role)
        return [name[len(prefix) :] for name in names]

    def _label(self, role: str) -> str:
        """What messages call a part."""
        if "" in self._origins:
            return f"{self._origins[''].label}/{self._folders[role]}".rstrip("/") if role else self._origins[""].label
        return f"{self.name}/{self._origins[role].label}"

    def _check(self, role: str, ids: Sequence[str]) -> None:
        """Raises unless the images lie as they should, before they are decoded."""
        if not role:
            parts_of(ids, self._label(""))
        elif role == "train":
            prefix = wrapper_of(ids, "train")
            if loose := [name for name in ids if "/" not in name[len(prefix) :]]:
                raise DataError(
                    f"{self.path}: {self._origins['train'].label} is there, but trainLabels.csv is missing, and some "
                    f"images lie in no folder of a class, for instance {loose[0]}."
                )

    # ---- the test set, as PackedDataset has it

    @property
    def _test_origin(self) -> Origin | None:
        return None if self._evaluation_role == "test" else self._origins.get("test")

    def _check_test(self, ids: Sequence[str]) -> None:
        if self._sample is not None:
            super()._check_test(self._bare(ids))

    def _test_ids(self, ids: list[str]) -> npt.NDArray[np.str_]:
        return super()._test_ids(self._bare(ids))

    def _bare(self, ids: Sequence[str]) -> list[str]:
        prefix = wrapper_of(ids, "test")
        return [name[len(prefix) :] for name in ids]

    def _images(self, pack: Pack, labels: npt.NDArray[np.int64]) -> Images:
        return Images(pack.pixels, labels, np.array(pack.ids), self.classes)
