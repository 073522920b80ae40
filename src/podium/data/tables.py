"""CSV files: labels of images, sample submissions, lists of paths.

A byte-order mark, CRLF line ends and extra columns are no matter. Rows are numbered as an editor numbers lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from podium.errors import TableError

__all__ = [
    "ID_COLUMNS",
    "SPLIT_COLUMNS",
    "Columns",
    "Table",
    "find_columns",
    "find_label_column",
    "normal",
    "read_table",
    "rows_of",
]

ID_COLUMNS = (
    *("id", "image_id", "imageid", "image", "image_name", "filename", "file_name", "file", "name"),
    *("id_code", "img_id", "img", "img_name", "image_path", "img_path", "path", "file_path", "filepath", "filepaths"),
    *("image_file", "fname", "uuid"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "category", "target", "breed", "species"),
    *("class_name", "classname", "label_name", "diagnosis", "class_id", "classid", "label_id", "target_name"),
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "data_set", "dataset", "phase")


@dataclass(frozen=True)
class Columns:
    """Where in a row to find what.

    Attributes:
        ids: the column of ids.
        labels: the column of labels; None: there is none.
        splits: the column that says which part a row belongs to; None: there is none.
    """

    ids: int
    labels: int | None
    splits: int | None = None


@dataclass(frozen=True)
class Table:
    """Some columns of a CSV file.

    Attributes:
        name: what messages call the file.
        columns: names of the id column and the label column, as the header has them.
        ids: each row's id; no two are equal.
        labels: each row's label; none is empty, unless that was allowed.
        lines: each row's line in the file.
        splits: each row's part of the data set; empty if the table doesn't say.
    """

    name: str
    columns: tuple[str, str]
    ids: list[str]
    labels: list[str]
    lines: list[int]
    splits: list[str]


def rows_of(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that isn't empty, and its line; the header comes first.

    Args:
        data: the file's content, UTF-8.
        name: what messages call it.

    Raises:
        TableError: it is empty, not UTF-8, or no CSV.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(f"{name}, line {line}: is not UTF-8. Save the file again as UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise TableError(f"{name}: is empty. Its first line must name the columns, for instance id,label.")
        yield reader.line_num, header
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise TableError(f"{name}, line {reader.line_num}: {error}. Mend that line.") from error


def read_table(
    data: bytes,
    name: str,
    labels: str | None = None,
    columns: Columns | None = None,
    *,
    allow_unlabelled: bool = False,
) -> Table:
    """Reads a CSV file's ids and labels.

    Args:
        data: the file's content, UTF-8.
        name: what messages call it.
        labels: the column of labels; None: told by the usual names.
        columns: which is which; None: told by their names.
        allow_unlabelled: whether labels may be missing, all or some: they are "" then.

    Raises:
        TableError: it is empty, not UTF-8, without header, or has a row with a missing or doubled id or no label.
    """
    rows = rows_of(data, name)
    _, header = next(rows)
    columns = columns or find_columns(header, name, labels)
    last = max(column for column in (columns.ids, columns.labels, columns.splits) if column is not None)
    ids: list[str] = []
    found: list[str] = []
    lines: list[int] = []
    splits: list[str] = []
    for line, row in rows:
        if len(row) <= last:
            raise TableError(f"{name}, line {line}: has {len(row)} of the header's {len(header)} columns.")
        ids.append(row[columns.ids].strip())
        found.append("" if columns.labels is None else row[columns.labels].strip())
        lines.append(line)
        if columns.splits is not None:
            splits.append(row[columns.splits].strip())
    if not ids:
        raise TableError(f"{name}: has a header but no rows.")
    label_name = "" if columns.labels is None else header[columns.labels].strip()
    table = Table(name, (header[columns.ids].strip(), label_name), ids, found, lines, splits)
    _check(table, allow_unlabelled=allow_unlabelled)
    return table


def find_columns(header: list[str], name: str, labels: str | None = None) -> Columns:
    """Ids and labels by the usual names of their columns. Raises TableError if one isn't found."""
    names = normal(header)
    id_column = next((names.index(known) for known in ID_COLUMNS if known in names), None)
    if id_column is None or len(names) < 2:
        raise TableError(
            f"{name}, line 1: {','.join(header)[:60]!r} is no header. The first line must name the columns, for "
            "instance id,label."
        )
    return Columns(id_column, find_label_column(header, name, [id_column], labels))


def find_label_column(header: list[str], name: str, taken: list[int], labels: str | None = None) -> int:
    """The column of labels: the one that is asked for, the only one there is, or the one with a usual name.

    Args:
        header: names of the columns.
        name: what messages call the file.
        taken: columns that are something else.
        labels: the name that is asked for, if one is.

    Raises:
        TableError: there is none, or none that can be told from the others.
    """
    names = normal(header)
    others = [i for i in range(len(names)) if i not in taken]
    if labels is not None:
        for i in others:
            if labels in (header[i].strip(), names[i]):
                return i
        raise TableError(f"{name}, line 1: has no column {labels!r} for the labels; it has {', '.join(header)[:200]}.")
    for known in LABEL_COLUMNS:
        if known in names and names.index(known) in others:
            return names.index(known)
    if len(others) != 1:
        raise TableError(
            f"{name}, line 1: none of the columns {', '.join(header)[:200]} is called label.\n"
            "Say which one it is: --labels COLUMN."
        )
    return others[0]


def normal(header: list[str]) -> list[str]:
    """The columns' names in lower case, words joined by "_"."""
    return ["_".join(column.lower().replace("-", " ").split()) for column in header]


def _check(table: Table, *, allow_unlabelled: bool) -> None:
    if len(set(table.ids)) != len(table.ids):
        first: dict[str, int] = {}
        for value, line in zip(table.ids, table.lines, strict=True):
            if value in first:
                raise TableError(
                    f"{table.name}, line {line}: id {value!r} is already in line {first[value]}. Take one out."
                )
            first[value] = line
    checked = [(table.columns[0], table.ids)] + ([] if allow_unlabelled else [(table.columns[1], table.labels)])
    for column, values in checked:
        if "" in values:
            raise TableError(f"{table.name}, line {table.lines[values.index('')]}: {column} is empty.")
