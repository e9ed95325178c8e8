"""The first error of a CSV file, with its line, column and value.

pyarrow's errors name no column and not always a row. So the part that it failed on is read again, line by line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.values import EXPECTED, first_invalid

CHUNK_LINES = 2_000


class _Line(NamedTuple):
    number: int
    text: str


class _Row(NamedTuple):
    line: int
    values: list[str]


def first_error(
    lines: Iterable[bytes], header: Sequence[str], columns: Mapping[str, Column], file: str, skip_rows: int
) -> InvalidFile | None:
    """Reads the lines of a CSV file to the first error.

    Args:
        lines: The lines after the header.
        header: The names of the columns.
        columns: The registry's column by the file's name.
        file: The file's name, for errors.
        skip_rows: Rows at the beginning that are known to be right.
    """
    rows = islice(_filled_lines(lines), skip_rows, None)
    error = None
    while not error and (chunk := list(islice(rows, CHUNK_LINES))):
        error = _error_in(chunk, header, columns, file)
    return error


def _filled_lines(lines: Iterable[bytes]) -> Iterator[_Line]:
    for number, line in enumerate(lines, start=2):
        if line.strip(b"\r\n"):
            yield _Line(number, line.decode(errors="surrogateescape"))


def _error_in(
    chunk: Sequence[_Line], header: Sequence[str], columns: Mapping[str, Column], file: str
) -> InvalidFile | None:
    rows: list[_Row] = []
    for line in chunk:
        row = _split(line, header, file)
        if isinstance(row, InvalidFile):
            return _wrong_value(rows, header, columns, file) or row
        rows.append(row)
    return _wrong_value(rows, header, columns, file)


def _split(line: _Line, header: Sequence[str], file: str) -> _Row | InvalidFile:
    where = f"{file}, line {line.number}"
    text = repr(line.text[:200].rstrip("\r\n"))
    if not line.text.endswith("\n"):
        return InvalidFile(
            "The last line of the file breaks off.",
            expected=f"{len(header)} values and a line break at the end",
            found=text,
            where=where,
            next_step="fetch the file again; if it is whole, end its last line with a line break",
        )
    try:
        values = next(csv.reader([line.text], strict=True))
    except csv.Error:
        return InvalidFile(
            "A quotation mark is not closed.", expected="values that end on their line", found=text, where=where
        )
    if len(values) != len(header):
        return InvalidFile(
            f"A line has {len(values)} values in the place of {len(header)}.",
            expected=f"{len(header)} values, one for each column of the header",
            found=f"{len(values)} values: {text}",
            where=where,
        )
    return _Row(line.number, values)


def _wrong_value(
    rows: Sequence[_Row], header: Sequence[str], columns: Mapping[str, Column], file: str
) -> InvalidFile | None:
    wrong: list[tuple[int, str, Column]] = []
    for index, name in enumerate(header):
        if column := columns.get(name):
            position = _first_invalid([row.values[index] for row in rows], column.type)
            if position is not None:
                wrong.append((position, name, column))
    if not wrong:
        return None
    position, name, column = min(wrong, key=lambda entry: entry[0])
    row = rows[position]
    return InvalidFile(
        f"A value does not fit the column {name}.",
        expected=EXPECTED[column.type],
        found=repr(row.values[header.index(name)][:200]),
        where=f"{file}, line {row.line}, column {name}",
    )


def _first_invalid(values: Sequence[str], type: ColumnType) -> int | None:
    if type is ColumnType.TEXT:
        return next((index for index, value in enumerate(values) if not _is_utf8(value)), None)
    # A value that is no UTF-8 is no number either: the mark in its place fails as a number.
    return first_invalid(
        pa.array([value.encode(errors="replace").decode() or None for value in values], pa.string()), type
    )


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
