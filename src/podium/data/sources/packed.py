"""What the sources share: images that the store packs, a test set that can be streamed, a sample submission."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.data.images import Dataset, Images, ImageStream, SampleSubmission
from podium.data.origin import ArchiveOrigin, Origin
from podium.data.progress import Progress
from podium.data.sources.loose import Loose
from podium.data.sources.top import SAMPLE, Top
from podium.data.store import Pack, PackStream, load_pack, stream_pack
from podium.data.tables import Table, read_table
from podium.errors import ArchiveError, DataError, TableError

__all__ = ["PackedDataset", "and_more", "as_given", "check_ids", "encode", "no_choice", "some"]


class PackedDataset(Dataset):
    """A data set whose parts are packs.

    Args:
        path: as given by the user.
        image_size: resize each image to this many pixels a side; None: all must have one size.
        progress: told how far reading is.
        top: where a sample submission may lie; None: nowhere.
    """

    def __init__(
        self, path: Path, image_size: int | None, progress: Progress | None = None, top: Top | None = None
    ) -> None:
        self.path = path
        resolved = path.resolve()
        self.name = resolved.name if path.is_dir() else re.sub(r"(\.tar)?\.\w+$", "", resolved.name)
        self.resized_to = image_size
        self._top = top
        self._load: Callable[[Origin, Callable[[Sequence[str]], None]], Pack] = partial(
            load_pack, image_size=image_size, progress=progress
        )
        self._stream: Callable[[Origin, Callable[[Sequence[str]], None]], Pack | PackStream] = partial(
            stream_pack, image_size=image_size, progress=progress
        )

    def _encoded_if_too_large(self, origins: Sequence[ArchiveOrigin]) -> None:
        """Lets all images of these folders stay encoded, if as pixels they would be too many."""
        instead_of = Loose(origins, self.resized_to).instead_of
        self._load, self._stream = instead_of(self._load), instead_of(self._stream)

    # ---- what a source may say of its test set

    @property
    def _test_origin(self) -> Origin | None:
        """Where the images to be predicted lie; None if there are none."""
        return None

    def _check_test(self, ids: Sequence[str]) -> None:
        """Raises unless the pack's ids are those that the sample submission asks for."""
        if self._sample is not None and self._test_origin is not None:
            check_ids(ids, self._sample, self._test_origin.label)

    def _test_ids(self, ids: list[str]) -> npt.NDArray[np.str_]:
        """The pack's ids as the sample submission gives them."""
        given = None if self._sample is None else as_given(ids, self._sample.ids)
        return np.array(given or ids)

    # ---- what follows from it

    @cached_property
    def test(self) -> Images | None:
        """The images to be predicted, in natural order of their ids. Raises as `Dataset.test`."""
        origin = self._test_origin
        return None if origin is None else self._test_of(self._load(origin, self._check_test))

    def stream_test(self, size: int) -> ImageStream | None:
        """The images of `test` in batches of about `size`; on a first opening, while they are read."""
        if "test" in self.__dict__ or (origin := self._test_origin) is None:
            return super().stream_test(size)
        found = self._stream(origin, self._check_test)
        if isinstance(found, Pack):
            return self._test_of(found).stream(size)

        def images() -> Images:
            kept = self.test
            assert kept is not None
            return kept

        return ImageStream(self._test_ids(found.ids), None, found.batches, images)

    def _test_of(self, pack: Pack) -> Images:
        return Images(pack.pixels, None, self._test_ids(pack.ids), self.classes)

    @cached_property
    def sample_submission(self) -> SampleSubmission | None:
        """The form of a submission. Raises TableError if it has a class that the labelled images haven't."""
        table = self._sample
        if table is None:
            return None
        assert self._top is not None
        if unknown := set(table.labels).difference(self.classes):
            row = next(i for i, label in enumerate(table.labels) if label in unknown)
            raise TableError(
                f"{table.name}, line {table.lines[row]}: {table.labels[row]!r} is no class of {self._labels_name}, "
                f"which has {some(self.classes)}."
            )
        path = self._top.path / (self._top.table_name(SAMPLE) or "")
        return SampleSubmission(path, table.columns, np.array(table.ids))

    @property
    def _labels_name(self) -> str:
        """What messages call the place where the classes come from."""
        return self.name

    @cached_property
    def _sample(self) -> Table | None:
        name = None if self._top is None else self._top.table_name(SAMPLE)
        return None if self._top is None or name is None else read_table(self._top.read(name), Path(name).name)


def no_choice(path: Path, labels: str | None) -> None:
    """Raises DataError if labels are asked for by name where there is nothing to choose."""
    if labels is not None:
        raise DataError(f"{path}: has one set of labels, so there is none called {labels!r}. Leave --labels out.")


def encode(names: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """The index of each name among the classes, int64 (N,)."""
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[name] for name in names], np.int64)


def as_given(ids: Sequence[str], given: Sequence[str]) -> list[str] | None:
    """For each id the name that a table gives it, which may have a folder or a suffix more, or less.

    None if the table doesn't name the same images, or if names without folder and suffix aren't unique.
    """
    if len(ids) != len(given):
        return None
    for key in (str, _base, _stem):
        names = {key(name): name for name in given}
        if len(names) == len(given):
            found = [names.get(key(image_id)) for image_id in ids]
            if None not in found and len(set(found)) == len(found):
                return [name for name in found if name is not None]
    return None


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _stem(name: str) -> str:
    base = _base(name)
    return base.rpartition(".")[0] or base


def check_ids(ids: Sequence[str], table: Table, label: str) -> None:
    """Raises unless the images' ids and the table's are the same, but for folders and suffixes.

    Raises:
        TableError: a row has no image.
        ArchiveError: an image has no row.
    """
    if as_given(ids, table.ids) is not None:
        return
    present, named = set(ids), set(table.ids)
    if present.isdisjoint(named):  # the table's names may have folders or suffixes
        present, named = set(map(_stem, ids)), set(map(_stem, table.ids))
        ids = [_stem(image_id) for image_id in ids]
    for row, image_id in enumerate(table.ids):
        if image_id not in present and _stem(image_id) not in present:
            raise TableError(
                f"{table.name}, line {table.lines[row]}: id {image_id!r} has no image in {label}"
                f"{and_more(len(named - present))}. Add it, or take the row out."
            )
    missing = [image_id for image_id in ids if image_id not in named]
    if not missing:
        raise TableError(
            f"{table.name}: several of its ids are one name without folder and suffix, as {label} has them."
        )
    raise ArchiveError(
        f"{label}: image {missing[0]!r} has no row in {table.name}{and_more(len(missing))}. "
        "Add it, or take the image out."
    )


def and_more(count: int) -> str:
    """How many others are in the same case."""
    return "" if count == 1 else f" (nor have {count - 1:,} more)"


def some(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
