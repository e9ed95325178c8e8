"""What is wrong with a CSV file, to the line, column and value.

pyarrow's errors name no column and not always a row. So the part that it failed on is read again, line by line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.convert import EXPECTED, first_invalid
from taxi_assets.trips.reading.csv_lines import Lines, open_lines
from taxi_assets.trips.reading.match import ColumnMatch

CHUNK_LINES = 2_000


class _Line(NamedTuple):
    number: int
    text: str


class _Row(NamedTuple):
    line: int
    values: list[str]


def first_error(path: Path, file: str, match: ColumnMatch, skip_rows: int) -> InvalidFile | None:
    """Reads a CSV file slowly to the first thing that is wrong with it.

    Args:
        path: Where the file is.
        file: Its name, for errors.
        match: Its columns.
        skip_rows: Rows at its beginning that are known to be right.

    Returns:
        The first fault; None if there is none.

    Raises:
        InvalidFile: Its gzip is cut off or damaged, which comes first as the cause of everything else.
    """
    fault = None
    with open_lines(path, file) as lines:
        rows = islice(_filled_lines(lines), skip_rows, None)
        while not fault and (chunk := list(islice(rows, CHUNK_LINES))):
            fault = _fault_in(chunk, lines.header, file, match)
        while lines.read(1 << 20):
            pass
    return fault


def _filled_lines(lines: Lines) -> Iterator[_Line]:
    for number, line in enumerate(lines, start=2):
        if line.strip(b"\r\n"):
            yield _Line(number, line.decode(errors="surrogateescape"))


def _fault_in(chunk: Sequence[_Line], header: Sequence[str], file: str, match: ColumnMatch) -> InvalidFile | None:
    rows: list[_Row] = []
    for line in chunk:
        row = _split(line, header, file)
        if isinstance(row, InvalidFile):
            return _wrong_value(rows, header, file, match) or row
        rows.append(row)
    return _wrong_value(rows, header, file, match)


def _split(line: _Line, header: Sequence[str], file: str) -> _Row | InvalidFile:
    where = f"{file}, line {line.number}"
    shown = repr(line.text[:200].rstrip("\r\n"))
    if not line.text.endswith("\n"):
        return InvalidFile(
            "The last line of the file breaks off.",
            expected=f"{len(header)} values and a line break at the end",
            found=shown,
            where=where,
            next_step="fetch the file again; if it is whole, end its last line with a line break",
        )
    try:
        values = next(csv.reader([line.text], strict=True))
    except csv.Error:
        return InvalidFile(
            "A quotation mark is not closed.", expected="values that end on their line", found=shown, where=where
        )
    if len(values) != len(header):
        return InvalidFile(
            f"A line has {len(values)} values in the place of {len(header)}.",
            expected=f"{len(header)} values, one for each column of the header",
            found=f"{len(values)} values: {shown}",
            where=where,
        )
    return _Row(line.number, values)


def _wrong_value(rows: Sequence[_Row], header: Sequence[str], file: str, match: ColumnMatch) -> InvalidFile | None:
    wrong: list[tuple[int, str, Column]] = []
    for index, name in enumerate(header):
        if column := match.found.get(name):
            misfit = _first_misfit([row.values[index] for row in rows], column.type)
            if misfit is not None:
                wrong.append((misfit, name, column))
    if not wrong:
        return None
    misfit, name, column = min(wrong, key=lambda found: found[0])
    row = rows[misfit]
    return InvalidFile(
        f"A value does not fit the column {name}.",
        expected=EXPECTED[column.type],
        found=repr(row.values[header.index(name)][:200]),
        where=f"{file}, line {row.line}, column {name}",
    )


def _first_misfit(values: Sequence[str], type: ColumnType) -> int | None:
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
