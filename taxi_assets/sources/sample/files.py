"""Synthetic months as files: gzipped CSV and Parquet, with the columns and types of the TLC's own."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from filelock import FileLock

from taxi_assets.files import private_folder
from taxi_assets.sources.layouts import LayoutName
from taxi_assets.sources.sample.trips import chunks
from taxi_assets.trips.columns import Service

ZONES = 265
_BOROUGHS = ("Manhattan", "Brooklyn", "Queens", "Bronx", "Staten Island")
# The TLC's Parquet files hold these as floating-point numbers.
_DOUBLES = {"passenger_count", "RatecodeID", "trip_type"}
_ONLY_PARQUET = {"airport_fee"}
_CSV = pa_csv.WriteOptions(include_header=False, batch_size=16_384, quoting_style="none")


def columns(service: Service, month: date, layout: LayoutName) -> list[str]:
    """The TLC's names of the columns of a month's file, in the file's order."""
    optional = {"ehail_fee"} | (_ONLY_PARQUET if layout == "parquet" else set())
    return [
        column.sources[0]
        for column in service.columns
        if column.sources and (column.required(month) or column.name in optional)
    ]


def make_month(path: Path, service: Service, month: date, rows: int, layout: LayoutName) -> None:
    """Generates the file of a month, unless it exists: one process at a time, and never half a file."""
    names = columns(service, month, layout)
    write = _write_csv if layout == "csv" else _write_parquet
    batches = (chunk.select(names) for chunk in chunks(service, month, rows))
    _make(path, month, lambda file: write(file, batches))


def make_zones(path: Path) -> None:
    """Generates the table of taxi zones, unless it exists: the TLC's columns, synthetic names."""
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    table.writerow(("LocationID", "Borough", "Zone", "service_zone"))
    table.writerows(
        (zone, _BOROUGHS[zone % len(_BOROUGHS)], f"Made-up zone {zone}", "Made up") for zone in range(1, ZONES + 1)
    )
    _make(path, date(2019, 1, 1), lambda file: file.write(text.getvalue().encode()))


def _make(path: Path, dated: date, write: Callable[[BinaryIO], object]) -> None:
    if path.exists():
        return
    private_folder(path.parent)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        temporary = path.with_name(f"{path.name}.making")
        with temporary.open("wb") as file:
            write(file)
        # The same time of change whenever it is made: ETag and Last-Modified come from it.
        seconds = datetime(dated.year, dated.month, 1, tzinfo=UTC).timestamp()
        os.utime(temporary, (seconds, seconds))
        temporary.replace(path)


def _write_csv(file: BinaryIO, batches: Iterator[pa.RecordBatch]) -> None:
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        for number, batch in enumerate(batches):
            if number == 0:
                packed.write((",".join(batch.schema.names) + "\n").encode())
            text = pa.BufferOutputStream()
            pa_csv.write_csv(batch, text, _CSV)
            packed.write(text.getvalue())


def _write_parquet(file: BinaryIO, batches: Iterator[pa.RecordBatch]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            schema = pa.schema([_as_published(field) for field in batch.schema], metadata={"taxi_sample": "made up"})
            writer = writer or pq.ParquetWriter(file, schema)
            writer.write_batch(batch.cast(schema))
    finally:
        if writer:
            writer.close()


def _as_published(field: pa.Field) -> pa.Field:
    if pa.types.is_timestamp(field.type):
        return field.with_type(pa.timestamp("us"))
    return field.with_type(pa.float64()) if field.name in _DOUBLES else field
