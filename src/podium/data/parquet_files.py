"""Parquet files as the Hugging Face hub stores image sets, read by pyarrow: rows of encoded images and labels.

An image is a struct of `bytes` and `path`, or plain bytes. Labels are numbers whose names the schema's metadata have
(datasets' ClassLabel), or strings. Source: the `huggingface` key that datasets' `Features.arrow_schema` writes.
"""

from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from podium.data.archive import MAX_MEMBER_BYTES, damaged
from podium.data.images import digest
from podium.data.origin import files_state, hash_of_files
from podium.data.packing import Listing, decoded, natural_order
from podium.data.progress import Progress
from podium.data.tables import LABEL_COLUMNS
from podium.errors import ArchiveError, DataError, ImageError, PodiumError

__all__ = ["Columns", "ParquetOrigin", "columns_in", "read_column"]

IMAGE_COLUMNS = ("image", "img", "jpg", "png", "picture", "bytes")
ID_COLUMNS = ("id", "image_id", "imageid", "id_code", "img_id", "image_name", "file_name", "filename", "uuid")
FINE_COLUMNS = ("fine_label", "coarse_label")
BATCH_ROWS = 64
BUFFER_BYTES = 1 << 20  # of a column that is read: else pyarrow takes a row group's whole column, which may be the file


@dataclass(frozen=True)
class Columns:
    """Where in a file to find what.

    Attributes:
        image: the column of images.
        is_struct: whether its bytes are a field of a struct.
        ids: the column of ids; None: there is none.
        labels: for each column of labels the names of its numbers; None: they are their own names.
    """

    image: str
    is_struct: bool
    ids: str | None
    labels: dict[str, list[str] | None]


def pyarrow(path: Path) -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises DataError if they aren't installed."""
    try:
        import pyarrow as arrow  # noqa: PLC0415  (an extra; takes 0.2 s to import)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install 'podium-vision[parquet]'.") from error
    return arrow, parquet


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turns what pyarrow raises on damaged files, which is nearly everything, into ArchiveErrors."""
    try:
        yield
    except PodiumError:
        raise
    except Exception as error:
        raise damaged(path.name, error) from error


def _opened(path: Path) -> Any:
    _, parquet = pyarrow(path)
    with _errors(path):
        with path.open("rb") as file:
            start = file.read(24)
        if start.startswith(b"version https://git-lfs"):
            raise ArchiveError(f"{path}: is only Git LFS's pointer to the file. Get the file itself: git lfs pull.")
        if start[:4] != b"PAR1":
            raise damaged(path.name, "its first bytes are not Parquet's")
        return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)


def columns_in(path: Path) -> Columns:
    """What a file's schema says. Raises ArchiveError; DataError if it has no column of images."""
    arrow, _ = pyarrow(path)
    with _opened(path) as file, _errors(path):
        schema = file.schema_arrow
        features = _features(schema.metadata)
        structs, plain, labels, ids = [], [], {}, []
        for field in schema:
            kind, feature = field.type, features.get(field.name, {})
            is_binary = arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind)
            is_string = arrow.types.is_string(kind) or arrow.types.is_large_string(kind)
            is_known = field.name.lower() in (*LABEL_COLUMNS, *FINE_COLUMNS)
            if arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                structs.append(field.name)
            elif is_binary and field.name.lower() in IMAGE_COLUMNS:
                plain.append(field.name)
            elif feature.get("_type") == "ClassLabel" or (is_known and (is_string or arrow.types.is_integer(kind))):
                labels[field.name] = _names(feature)
            elif field.name.lower() in ID_COLUMNS and (is_string or arrow.types.is_integer(kind)):
                ids.append(field.name)
        images = sorted(structs or plain, key=_rank(IMAGE_COLUMNS))
        if not images:
            raise DataError(
                f"{path}: has no column of images (a struct with bytes, as datasets' Image). "
                f"Its columns: {', '.join(schema.names)[:200]}."
            )
        return Columns(images[0], bool(structs), min(ids, key=_rank(ID_COLUMNS), default=None), labels)


def _rank(known: Sequence[str]) -> Any:
    return lambda name: known.index(name.lower()) if name.lower() in known else len(known)


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """What the hub's library wrote of each column; empty if it isn't there."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _names(feature: dict[str, Any]) -> list[str] | None:
    names = feature.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return names if len(set(names)) == len(names) else None


def read_column(paths: Sequence[Path], name: str) -> list[Any]:
    """A column of small values, of all files in turn. Raises ArchiveError; DataError if a file lacks it."""
    values: list[Any] = []
    for path in paths:
        with _opened(path) as file, _errors(path):
            if name not in file.schema_arrow.names:
                raise DataError(f"{path}: has no column {name}, which the other files have.")
            values += file.read(columns=[name]).column(name).to_pylist()
    return values


@dataclass(frozen=True)
class ParquetOrigin:
    """One split's files.

    Attributes:
        name: what messages call it.
        paths: the files, in order.
        columns: where to find what.
    """

    name: str
    paths: tuple[Path, ...]
    columns: Columns

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name

    @cached_property
    def ids(self) -> list[str]:
        """Of the rows in turn: their ids' column, or their places from 0 if there is none of different values."""
        if self.columns.ids is not None:
            values = read_column(self.paths, self.columns.ids)
            found = ["" if value is None else str(value) for value in values]
            if "" not in found and len(set(found)) == len(found):
                return found
        return [str(row) for row in range(self._ends[-1])]

    @cached_property
    def _ends(self) -> list[int]:
        """How many rows there are up to the end of each file."""
        counts = []
        for path in self.paths:
            with _opened(path) as file, _errors(path):
                counts.append(file.metadata.num_rows)
        return list(itertools.accumulate(counts))

    def open(self, scratch: Path, progress: Progress | None = None) -> Listing:
        """Lists it. Raises DataError."""
        if not self.ids:
            raise ArchiveError(f"{self.label}: has no rows.")
        order = natural_order(self.ids)
        return Listing(
            self.label,
            [self.ids[row] for row in order],
            {str(row): place for place, row in enumerate(order)},
            lambda image_size: decoded(self._members(), self._where, image_size),
            self._where,
        )

    def identify(self, progress: Progress | None = None) -> tuple[str, str]:
        """As of `Origin`."""
        state = self.state()
        column = self.columns.image + str(self.columns.ids)
        return digest("parquet", column, hash_of_files(list(self.paths), progress)), state

    def state(self) -> str:
        """As of `Origin`."""
        return files_state(list(self.paths), self.label)

    def _where(self, name: str) -> str:
        place = bisect.bisect_right(self._ends, int(name))
        return f"{self.paths[place].name}: row {int(name) - (self._ends[place - 1] if place else 0)}"

    def _members(self) -> Generator[tuple[str, bytes]]:
        """Each row's number over all files, and its image's file. Memory stays flat, however large a row group is."""
        row = 0
        for path in self.paths:
            columns = [f"{self.columns.image}.bytes" if self.columns.is_struct else self.columns.image]
            with _opened(path) as file, _errors(path):
                if self.columns.image not in file.schema_arrow.names:
                    raise DataError(f"{path}: has no column {self.columns.image}, which the other files have.")
                for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                    column = batch.column(0)
                    for value in column.flatten()[0] if self.columns.is_struct else column:
                        yield str(row), self._file(str(row), value)
                        row += 1

    def _file(self, name: str, value: Any) -> bytes:
        if not value.is_valid:
            raise ImageError(f"{self._where(name)} has no image in the file; a path alone can't be read.")
        buffer = value.as_buffer()
        if buffer.size > MAX_MEMBER_BYTES:
            raise ArchiveError(
                f"{self._where(name)} has {buffer.size:,} bytes; more than {MAX_MEMBER_BYTES:,} is refused."
            )
        return bytes(buffer)
