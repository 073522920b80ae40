"""What a table lists: which of its columns names images, and which image each of its rows is."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from podium.data.sources.packed import and_more
from podium.data.sources.paths import Paths
from podium.data.sources.top import role_in, role_of, role_of_images
from podium.data.sources.tree import parts_of
from podium.data.tables import (
    ID_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    Columns,
    find_label_column,
    normal,
    read_table,
    rows_of,
)
from podium.errors import DataError, TableError

__all__ = ["NoLabelsError", "Rows", "columns_of", "has_classes", "rows_in"]

PEEKED_ROWS = 50


class NoLabelsError(TableError):
    """The table lists images, but which column has their labels isn't clear."""


@dataclass(frozen=True)
class Rows:
    """A part's rows of the tables.

    Attributes:
        label_column: the column that the labels come from; "" if there is none.
        names: the image of each row, as it lies below the folder.
        ids: what the table calls it.
        labels: its label, or "".
        wheres: its table and line, for messages.
    """

    label_column: str
    names: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    wheres: list[str] = field(default_factory=list)


def has_classes(paths: Paths) -> bool:
    """Whether the images lie in folders of classes, and so do without a table."""
    try:
        return bool(parts_of(paths.names, ""))
    except DataError:
        return False


def columns_of(data: bytes, name: str, paths: Paths, labels: str | None, *, is_meant: bool) -> Columns | None:
    """Where paths, labels and parts stand in a table; None if it lists no images."""
    (_, header), *peeked = islice(rows_of(data, name), 1 + PEEKED_ROWS)
    rows = [row for _, row in peeked if len(row) == len(header)]
    names = normal(header)
    hits = [paths.best([row[i] for row in rows])[1] for i in range(len(header))]
    if not rows or not max(hits):
        return None
    # A list of classes may bear numbers that are names of images too; but it is short.
    if not is_meant and (data.count(b"\n") - 1) * 2 < len(paths.names) and has_classes(paths):
        return None
    rank = {known: place for place, known in enumerate(ID_COLUMNS)}
    ids = max(range(len(header)), key=lambda i: (hits[i], -rank.get(names[i], len(rank)), -i))
    splits = next((i for i in range(len(header)) if i != ids and names[i] in SPLIT_COLUMNS), None)
    if splits is not None and not any(role_of(row[splits]) for row in rows):
        splits = None
    taken = [ids] if splits is None else [ids, splits]
    if role_in(name) == "test" and not any(
        names[i] in (*LABEL_COLUMNS, labels) for i in range(len(header)) if i != ids
    ):
        return Columns(ids, None, splits)
    try:
        return Columns(ids, find_label_column(header, name, taken, labels), splits)
    except TableError as error:
        raise NoLabelsError(str(error)) from error


def rows_in(data: bytes, name: str, columns: Columns, paths: Paths, root: Path) -> dict[str, Rows]:
    """The rows of each part; of "" if the table doesn't say."""
    table = read_table(data, name, columns=columns, allow_unlabelled=True)
    scheme, _ = paths.best(table.ids)
    members = [paths.find(image_id, scheme) for image_id in table.ids]
    if None in members:
        row = members.index(None)
        raise TableError(
            f"{name}, line {table.lines[row]}: {table.ids[row]!r} "
            f"{paths.complaint(table.ids[row], scheme, f'below {root}{and_more(members.count(None))}')}"
        )
    parts: dict[str, Rows] = {}
    seen: dict[str, int] = {}
    for row, member in enumerate(members):
        assert member is not None
        line = table.lines[row]
        if member in seen:
            raise TableError(f"{name}, line {line}: {member} is already in line {seen[member]}. Take one out.")
        seen[member] = line
        role = role_of(table.splits[row]) if table.splits else ""
        if role is None:
            raise TableError(f"{name}, line {line}: {table.splits[row]!r} is none of train, val and test.")
        folder = member.partition("/")[0]
        if not paths.is_explicit(scheme) and role_of_images(folder) not in (None, role or role_in(name) or "train"):
            raise TableError(
                f"{name}, line {line}: {table.ids[row]!r} has no image but {member}, which is of another part.\n"
                "Add the folder of its own part; or give paths instead of names, if that one is meant."
            )
        part = parts.setdefault(role, Rows(table.columns[1]))
        part.names.append(member)
        part.ids.append(table.ids[row])
        part.labels.append(table.labels[row])
        part.wheres.append(f"{name}, line {line}")
    return parts
