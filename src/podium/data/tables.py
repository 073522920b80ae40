"""The competition's CSV files: trainLabels.csv and sampleSubmission.csv.

A byte-order mark, CRLF line ends and extra columns are no matter. Rows are numbered as an editor numbers lines.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from podium.errors import TableError

__all__ = ["Table", "read_table"]

ID_COLUMNS = ("id", "image_id", "imageid", "image", "image_name", "filename", "file_name", "file", "name")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "breed", "species")


@dataclass(frozen=True)
class Table:
    """Two columns of a CSV file.

    Attributes:
        name: what messages call the file.
        columns: names of the id column and the label column, as the header has them.
        ids: each row's id; no two are equal.
        labels: each row's label; none is empty.
        lines: each row's line in the file.
    """

    name: str
    columns: tuple[str, str]
    ids: list[str]
    labels: list[str]
    lines: list[int]


def read_table(data: bytes, name: str) -> Table:
    """Reads a CSV file's id and label columns.

    Args:
        data: the file's content, UTF-8.
        name: what messages call it.

    Raises:
        TableError: it is empty, not UTF-8, without header, or has a row with a missing or doubled id or no label.
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
        id_column, label_column = _columns(header, name)
        last = max(id_column, label_column)
        ids: list[str] = []
        labels: list[str] = []
        lines: list[int] = []
        for row in reader:
            if not row:
                continue
            if len(row) <= last:
                raise TableError(
                    f"{name}, line {reader.line_num}: has {len(row)} of the header's {len(header)} columns."
                )
            ids.append(row[id_column].strip())
            labels.append(row[label_column].strip())
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TableError(f"{name}, line {reader.line_num}: {error}. Mend that line.") from error
    if not ids:
        raise TableError(f"{name}: has a header but no rows.")
    table = Table(name, (header[id_column].strip(), header[label_column].strip()), ids, labels, lines)
    _check(table)
    return table


def _columns(header: list[str], name: str) -> tuple[int, int]:
    names = [column.strip().lower() for column in header]
    id_column = next((names.index(known) for known in ID_COLUMNS if known in names), None)
    if id_column is None or len(names) < 2:
        raise TableError(
            f"{name}, line 1: {','.join(header)[:60]!r} is no header. The first line must name the columns, for "
            "instance id,label."
        )
    others = [i for i in range(len(names)) if i != id_column]
    label_column = next((names.index(known) for known in LABEL_COLUMNS if known in names), others[0])
    if len(others) > 1 and names[label_column] not in LABEL_COLUMNS:
        raise TableError(f"{name}, line 1: none of the columns {', '.join(header)} is called label.")
    return id_column, label_column


def _check(table: Table) -> None:
    if len(set(table.ids)) != len(table.ids):
        first: dict[str, int] = {}
        for value, line in zip(table.ids, table.lines, strict=True):
            if value in first:
                raise TableError(
                    f"{table.name}, line {line}: id {value!r} is already in line {first[value]}. Take one out."
                )
            first[value] = line
    for column, values in zip(table.columns, (table.ids, table.labels), strict=True):
        if "" in values:
            raise TableError(f"{table.name}, line {table.lines[values.index('')]}: {column} is empty.")
