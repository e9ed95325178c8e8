"""A month's Parquet file as record batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.trips.columns import Column, ColumnType, Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.convert import EXPECTED, convert, first_invalid, readable
from taxi_assets.trips.reading.match import ColumnMatch, match_columns

PARQUET_MAGIC = b"PAR1"
BATCH_ROWS = 16_384
BUFFER_BYTES = 1 << 18


@contextmanager
def open_parquet(
    path: Path, file: str, service: Service, month: date
) -> Iterator[tuple[ColumnMatch, Iterator[pa.RecordBatch]]]:
    """Opens a Parquet file.

    Yields:
        The match of its columns, and batches of the matched columns with the registry's names and types.

    Raises:
        InvalidFile: It cannot be read; the batches raise it too.
    """
    with _clear_arrow_errors(file):
        # A buffer in the place of reading ahead: the TLC's row groups can be as long as the month.
        opened = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
    with opened as parquet:
        match = match_columns(parquet.schema_arrow.names, service, month, file)
        for name, column in match.found.items():
            _refuse_type(parquet.schema_arrow.field(name), column, file)
        yield match, _batches(parquet, file, match)


def _batches(parquet: pq.ParquetFile, file: str, match: ColumnMatch) -> Iterator[pa.RecordBatch]:
    rows = 0
    with _clear_arrow_errors(file):
        for batch in parquet.iter_batches(BATCH_ROWS, columns=list(match.found), use_threads=False):
            yield _converted(batch, match, rows, file)
            rows += batch.num_rows


def _converted(batch: pa.RecordBatch, match: ColumnMatch, rows_before: int, file: str) -> pa.RecordBatch:
    try:
        return pa.RecordBatch.from_pydict(
            {column.name: convert(batch[name], column.type) for name, column in match.found.items()}
        )
    except pa.ArrowInvalid as error:
        misfits = ((first_invalid(batch[name], column.type), name) for name, column in match.found.items())
        row, name = min((row, name) for row, name in misfits if row is not None)
        type = match.found[name].type
        values = batch[name].cast(pa.binary()) if type is ColumnType.TEXT else batch[name]
        raise InvalidFile(
            f"A value does not fit the column {name}.",
            expected=EXPECTED[type],
            found=str(values[row]),
            where=f"{file}, row {rows_before + row + 1}, column {name}",
        ) from error


def _refuse_type(field: pa.Field, column: Column, file: str) -> None:
    if not readable(field.type, column.type):
        raise InvalidFile(
            f"The column {field.name} has a type that cannot be read as {column.type}.",
            expected=EXPECTED[column.type],
            found=f"values of the type {field.type}",
            where=f"{file}, column {field.name}",
        )


@contextmanager
def _clear_arrow_errors(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidFile(
            "The Parquet file is cut off or damaged.",
            expected="a whole Parquet file",
            found=str(error)[:500],
            where=file,
        ) from error
