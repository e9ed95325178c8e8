"""Small made files of trips."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.trips.clean import Cleaning, clean_file
from taxi_assets.trips.columns import ColumnType, Service
from taxi_assets.trips.rules import Rule
from taxi_assets_tests.registry import YELLOW

JANUARY = date(2021, 1, 1)
MISSING = Rule(column="passenger_count", missing=True)
ZERO = Rule(column="passenger_count", equals=0)
NO_DISTANCE = Rule(column="trip_distance", at_most=0)
RULES = {"yellow": [MISSING, ZERO], "green": [MISSING, ZERO, NO_DISTANCE]}

HEADER = (
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,RatecodeID,store_and_fwd_flag,"
    "PULocationID,DOLocationID,payment_type,fare_amount,extra,mta_tax,tip_amount,tolls_amount,improvement_surcharge,"
    "total_amount,congestion_surcharge"
)
LINE = "1,2021-01-01 00:30:10,2021-01-01 00:36:12,1,2.10,1,N,142,43,2,8,3,0.5,0,0,0.3,11.8,2.5"


def line(**values: str) -> str:
    """A line of a yellow CSV file; values by the header's names."""
    fields = dict(zip(HEADER.split(","), LINE.split(","), strict=True))
    assert fields.keys() >= values.keys()
    return ",".join((fields | values).values())


def csv_file(folder: Path, *lines: str, header: str = HEADER, end: str = "\n") -> Path:
    """A gzipped CSV file."""
    path = folder / "yellow_tripdata_2021-01.csv.gz"
    path.write_bytes(gzip.compress(("\n".join([header, *lines]) + end).encode()))
    return path


def arrow_trips(service: Service, rows: int, **columns: pa.Array) -> pa.Table:
    """Trips as a Parquet file of the TLC has them, under its names; a column given as None is left out."""
    made: Mapping[ColumnType, Sequence[Any]] = {
        ColumnType.SMALLINT: [1],
        ColumnType.DOUBLE: [2.5],
        ColumnType.TEXT: ["N"],
        ColumnType.DATETIME: [1_609_461_010_000_000],
    }
    table: dict[str, pa.Array] = {
        column.sources[0]: pa.array([*made[column.type]] * rows, column.type.arrow)
        for column in service.columns
        if column.required(JANUARY)
    }
    return pa.table({name: array for name, array in (table | columns).items() if array is not None})


def parquet_file(folder: Path, table: pa.Table, **options: Any) -> Path:
    """A Parquet file."""
    path = folder / "yellow_tripdata_2021-01.parquet"
    pq.write_table(table, path, **options)
    return path


def clean(
    path: Path, folder: Path, service: Service = YELLOW, month: date = JANUARY, *, least_inside: float = 0.0
) -> Cleaning:
    """Cleans a file by the service's usual rules."""
    return clean_file(
        path,
        name=path.name,
        service=service,
        month=month,
        rules=RULES[service.name],
        folder=folder / "cleaned",
        metadata={"made": "for a test"},
        least_inside=least_inside,
    )


def nothing_is_left(folder: Path) -> bool:
    """Whether a cleaning left no file."""
    return not list((folder / "cleaned").iterdir())
