"""A month's file, CSV or Parquet, as record batches of the registry's schema.

Memory does not grow with the month.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from taxi_assets.trips.columns import SOURCE_MONTH, Column, Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.months import month_name
from taxi_assets.trips.reading.csv import open_csv
from taxi_assets.trips.reading.parquet import PARQUET_MAGIC, open_parquet
from taxi_assets.trips.registry import require_known
from taxi_assets.trips.values import day


@dataclass(frozen=True)
class ColumnMatch:
    """The columns of one file.

    Attributes:
        columns: The file's columns that are read: the registry's column by the file's name.
        unknown: The file's columns that the registry does not have. They are left out.
        absent: The registry's optional columns that the file does not have. They are null.
    """

    columns: Mapping[str, Column]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """A month's file that is being read.

    Attributes:
        match: Which of its columns are read, unknown and absent.
        batches: Its rows in its order, with exactly the service's schema; an iterator for one pass.
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
        InvalidFile: It cannot be read, has no rows, lacks a required column, or a value does not fit its column. The
            batches raise it too.
        UsageError: The registry does not know the service's columns in that month.
    """
    require_known(service, month)
    with path.open("rb") as head:
        opener = open_parquet if head.read(4) == PARQUET_MAGIC else open_csv
    with opener(path, file) as opened:
        match = _match(opened.names, service, month, file)
        yield Reading(match, _complete(opened.batches(match.columns), file, service, month))


def _match(names: Sequence[str], service: Service, month: date, file: str) -> ColumnMatch:
    """Finds the registry's columns among a file's, by the names they have in files.

    Raises:
        InvalidFile: A required column is missing, or the file has a column twice.
    """
    known = {source: column for column in service.columns for source in column.sources}
    columns = {name: known[name] for name in names if name in known}
    _refuse_duplicates(names, columns, file)
    missing = [column for column in service.columns if column.sources and column not in columns.values()]
    if required := [column for column in missing if column.required(month)]:
        wanted = ", ".join(" or ".join(column.sources) for column in required)
        raise InvalidFile(
            f"The file lacks the column{'s' if len(required) > 1 else ''} {wanted}.",
            expected=f"{wanted}, which a {service.name} file of {month_name(month)} must have",
            found=f"the columns {_listed(names)}",
            where=file,
            next_step="see that it is a file of this service and month; if the TLC dropped the column, say so in its "
            f"`required_until` in taxi_assets/services/{service.name}.yaml",
        )
    return ColumnMatch(
        columns=columns,
        unknown=tuple(name for name in names if name not in known),
        absent=tuple(column.name for column in missing),
    )


def _refuse_duplicates(names: Sequence[str], columns: Mapping[str, Column], file: str) -> None:
    same_name = [name for name, times in Counter(names).items() if times > 1]
    meanings = Counter(column.name for column in columns.values())
    same_meaning = [name for name, column in columns.items() if meanings[column.name] > 1]
    if twice := same_name or same_meaning:
        raise InvalidFile(
            f"The file has a column twice: {_listed(twice)}.",
            expected="each column once",
            found=f"the columns {_listed(names)}",
            where=file,
        )


def _listed(names: Sequence[str], limit: int = 40) -> str:
    listed = ", ".join(name[:60] for name in names[:limit])
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"


def _complete(batches: Iterator[pa.RecordBatch], file: str, service: Service, month: date) -> Iterator[pa.RecordBatch]:
    """Adds the columns that the file does not have.

    Raises:
        InvalidFile: There are no rows.
    """
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
