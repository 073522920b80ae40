"""Where the images of a split lie in its shards, and what they are: a few arrays, in a .safetensors file.

The same for shards that podium wrote, where it lies beside them, and for those of others, where it is kept in the
cache once their headers have been read.

Shapes: N images, C shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from podium.data.archive import MAX_MEMBER_BYTES, damaged
from podium.data.encoded import Files, Indices

__all__ = ["ShardTable", "texts"]

MAX_TEXT_BYTES = 4096  # of an id


@dataclass(frozen=True)
class ShardTable:
    """Arrays of N, in the order that the images lie in.

    Attributes:
        shard: int32, which of the split's shards holds each.
        offsets: int64, where in it the image's file begins.
        lengths: int64, its bytes.
        checks: uint32, its CRC-32; None: not known.
        labels: int64, indices into the classes; -1: none.
        rows: int64, each one's place in the data set that the shards were made of.
        ids: bytes, UTF-8.
        names: bytes, UTF-8: of the members.
    """

    shard: npt.NDArray[np.int32]
    offsets: Indices
    lengths: Indices
    checks: npt.NDArray[np.uint32] | None
    labels: Indices
    rows: Indices
    ids: npt.NDArray[np.bytes_]
    names: npt.NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.shard)

    def files(self, containers: Sequence[bytes], origins: Sequence[bytes] | None) -> Files:
        """Where they lie, by row.

        Args:
            containers: path of each shard.
            origins: where each is fetched from; None: from nowhere.
        """
        order = np.argsort(self.rows)
        return Files(
            np.array(containers, np.bytes_),
            self.shard[order],
            self.offsets[order],
            self.lengths[order],
            self.names[order],
            checks=None if self.checks is None else self.checks[order],
            origins=np.array([b""] * len(containers) if origins is None else origins, np.bytes_),
        )

    def labels_by_row(self) -> Indices:
        """The labels, by row."""
        return self.labels[np.argsort(self.rows)]

    def ids_by_row(self) -> npt.NDArray[np.str_]:
        """The ids, by row: str (N,)."""
        return texts(self.ids[np.argsort(self.rows)])

    def encoded(self) -> bytes:
        """As a .safetensors file."""
        return bytes(safetensors.numpy.save({name: _numbers(getattr(self, name)) for name in _KINDS}))

    @classmethod
    def decoded(cls, data: bytes, label: str, sizes: Sequence[int], num_classes: int) -> ShardTable:
        """Of such a file, with every number in it checked.

        Args:
            data: the file's content.
            label: what messages call it.
            sizes: bytes of each shard.
            num_classes: labels lie below it.

        Raises:
            ArchiveError: it is damaged, or doesn't fit the shards.
        """
        try:
            found = safetensors.numpy.load(data)
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise damaged(label, error) from error
        columns = {}
        for name, kind in _KINDS.items():
            array, is_text = found.get(name), kind == np.bytes_
            if array is None or array.dtype != (np.uint8 if is_text else kind) or array.ndim != 1 + is_text:
                raise damaged(label, f"its column {name} is missing or of another kind")
            if is_text and not 1 <= array.shape[1] <= MAX_TEXT_BYTES:
                raise damaged(label, f"its column {name} is absurdly wide")
            columns[name] = np.ascontiguousarray(array).view(f"S{array.shape[1]}")[:, 0] if is_text else array
        if len({len(array) for array in columns.values()}) != 1 or not len(columns["rows"]):
            raise damaged(label, "its columns have different lengths")
        table = cls(**columns)
        limits = np.array(sizes, np.int64)
        fits = (
            0 <= table.shard.min() <= table.shard.max() < len(sizes)
            and table.offsets.min() >= 0
            and 0 < table.lengths.min() <= table.lengths.max() <= MAX_MEMBER_BYTES
            and (table.offsets <= limits[table.shard] - table.lengths).all()
            and -1 <= table.labels.min() <= table.labels.max() < num_classes
            and np.array_equal(np.sort(table.rows), np.arange(len(table)))
        )
        if not fits:
            raise damaged(label, "it speaks of what isn't in the shards")
        return table


def texts(values: npt.NDArray[np.bytes_]) -> npt.NDArray[np.str_]:
    """UTF-8 as str (N,)."""
    try:
        return values.astype(np.str_)
    except UnicodeDecodeError:  # which takes ASCII only, but quickly
        return np.char.decode(values, "utf-8", "replace")


_TYPES = (np.int32, np.int64, np.int64, np.uint32, np.int64, np.int64, np.bytes_, np.bytes_)
_KINDS = dict(zip([field.name for field in fields(ShardTable)], _TYPES, strict=True))


def _numbers(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Texts as uint8 (N, width); numbers as they are."""
    if array.dtype.kind != "S":
        return np.ascontiguousarray(array)
    width = max(1, array.dtype.itemsize)
    return np.ascontiguousarray(array.astype(f"S{width}")).view(np.uint8).reshape(len(array), width)
