"""A month's Parquet file as record batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.values import EXPECTED, convert, convertible, first_invalid

PARQUET_MAGIC = b"PAR1"
BATCH_ROWS = 16_384
BUFFER_BYTES = 1 << 18


class ParquetFile:
    """An open Parquet file.

    Attributes:
        names: Its columns, in its order.
    """

    def __init__(self, file: str, parquet: pq.ParquetFile) -> None:
        self.names: list[str] = parquet.schema_arrow.names
        self._file, self._parquet = file, parquet

    def batches(self, columns: Mapping[str, Column]) -> Iterator[pa.RecordBatch]:
        """Batches of these columns, with the registry's names and types.

        Args:
            columns: The registry's column by the file's name.

        Raises:
            InvalidFile: A column's type or a value does not fit the registry's column.
        """
        for name, column in columns.items():
            _refuse_type(self._parquet.schema_arrow.field(name), column, self._file)
        rows = 0
        with _clear_arrow_errors(self._file):
            for batch in self._parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                yield _converted(batch, columns, rows, self._file)
                rows += batch.num_rows


@contextmanager
def open_parquet(path: Path, file: str) -> Iterator[ParquetFile]:
    """Opens a Parquet file and reads its footer.

    Args:
        path: Where the file is.
        file: Its name, for errors.

    Raises:
        InvalidFile: It is cut off or damaged.
    """
    with _clear_arrow_errors(file):
        # A buffer in the place of reading ahead: the TLC's row groups can be as long as the month.
        opened = pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
    with opened as parquet:
        yield ParquetFile(file, parquet)


def _converted(batch: pa.RecordBatch, columns: Mapping[str, Column], rows_before: int, file: str) -> pa.RecordBatch:
    try:
        return pa.RecordBatch.from_pydict(
            {column.name: convert(batch[name], column.type) for name, column in columns.items()}
        )
    except pa.ArrowInvalid as error:
        invalid = ((first_invalid(batch[name], column.type), name) for name, column in columns.items())
        row, name = min((row, name) for row, name in invalid if row is not None)
        type = columns[name].type
        values = batch[name].cast(pa.binary()) if type is ColumnType.TEXT else batch[name]
        raise InvalidFile(
            f"A value does not fit the column {name}.",
            expected=EXPECTED[type],
            found=str(values[row]),
            where=f"{file}, row {rows_before + row + 1}, column {name}",
        ) from error


def _refuse_type(field: pa.Field, column: Column, file: str) -> None:
    if not convertible(field.type, column.type):
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
