"""A month's file, CSV or Parquet, as record batches of the registry's schema.

Memory does not grow with the month.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from taxi_assets.trips.columns import SOURCE_MONTH, Column, Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.csv import open_csv
from taxi_assets.trips.reading.match import ColumnMatch
from taxi_assets.trips.reading.parquet import PARQUET_MAGIC, open_parquet
from taxi_assets.trips.scalars import day


@dataclass(frozen=True)
class Reading:
    """A month's file that is being read.

    Attributes:
        match: Which of its columns are read, which are unknown and which absent.
        batches: Its rows, in its order, with exactly the service's schema. Can be gone through once.
    """

    match: ColumnMatch
    batches: Iterator[pa.RecordBatch]


@contextmanager
def read_trips(path: Path, *, file: str, service: Service, month: date) -> Iterator[Reading]:
    """Opens a month's file: CSV, gzipped or plain, or Parquet, whatever its name says.

    Args:
        path: Where the file is.
        file: Its name, for errors.
        service: The service whose trips it holds.
        month: Its month.

    Raises:
        InvalidFile: It cannot be read, has no rows, lacks a required column, or a value does not fit its column; the
            batches raise it too.
    """
    with path.open("rb") as head:
        opener = open_parquet if head.read(4) == PARQUET_MAGIC else open_csv
    with opener(path, file, service, month) as (match, batches):
        yield Reading(match, _complete(batches, file, service, month))


def _complete(batches: Iterator[pa.RecordBatch], file: str, service: Service, month: date) -> Iterator[pa.RecordBatch]:
    rows, schema = 0, service.schema
    for batch in batches:
        rows += batch.num_rows
        arrays = [_values(column, batch, month) for column in service.columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    if not rows:
        raise InvalidFile(
            "The file has a header and no rows.", expected="a month of trips", found="no rows", where=file
        )


def _values(column: Column, batch: pa.RecordBatch, month: date) -> pa.Array:
    if column.name in batch.schema.names:
        return batch[column.name]
    if column.name == SOURCE_MONTH.name:
        return pa.repeat(day(month), batch.num_rows)
    if column.day_of:
        return batch[column.day_of].cast(column.type.arrow)
    return pa.nulls(batch.num_rows, column.type.arrow)
