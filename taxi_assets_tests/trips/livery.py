"""A service that the project does not have, declared in YAML, and made files of it in the shape of the TLC's fhv.

Some pickups, dropoffs and zones are missing, SR_Flag nearly always; some base numbers end with blanks.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.trips.rules import Rule

SERVICE = """
title: Liveries
first_month: 2020-01
pickup: pickup_datetime
dropoff: dropoff_datetime
columns:
  - {name: dispatching_base_num, type: text, description: Base that dispatched the trip.}
  - {name: pickup_datetime, type: datetime, description: "When the trip began, New York time."}
  - {name: dropoff_datetime, type: datetime, sources: [dropOff_datetime], description: When the trip ended.}
  - {name: pu_location_id, type: smallint, sources: [PUlocationID], description: Zone of the pickup.}
  - {name: do_location_id, type: smallint, sources: [DOlocationID], description: Zone of the dropoff.}
  - {name: sr_flag, type: smallint, sources: [SR_Flag], description: Shared ride., values: {1: shared}}
  - {name: affiliated_base_number, type: text, sources: [Affiliated_base_number], description: Base of the vehicle.}
"""
PIPELINE = """
type: taxi_assets.components.TaxiPipeline
attributes:
  service: livery
  owners: [team:data-platform]
  reject:
    - {column: pickup_datetime, missing: true}
    - {column: dropoff_datetime, missing: true}
    - {column: pu_location_id, missing: true}
  postgres: {schema: tlc, table: livery}
  lake: {shape: month}
  bigquery: {dataset: tlc, table: livery}
"""
RULES = [Rule(column=name, missing=True) for name in ("pickup_datetime", "dropoff_datetime", "pu_location_id")]
NAMES = (
    *("dispatching_base_num", "pickup_datetime", "dropOff_datetime", "PUlocationID", "DOlocationID", "SR_Flag"),
    "Affiliated_base_number",
)
Row = tuple[Any, ...]


def trips(month: date, rows: int) -> list[Row]:
    """The rows of a month."""
    found = []
    for i in range(rows):
        pickup = datetime(month.year, month.month, 1) + timedelta(minutes=13 * i)
        dropoff = None if i % 40 == 7 else pickup + timedelta(minutes=9)
        zones = None if i % 5 == 2 else 1 + i % 260, 7 if i % 4 == 0 else None
        bases = f"B{i % 7:05d}{'   ' if i % 3 == 0 else ''}", f"B{i % 5:05d}  "
        found.append((bases[0], None if i % 50 == 11 else pickup, dropoff, *zones, 1 if i % 9 == 0 else None, bases[1]))
    return found


def reason(row: Row) -> str | None:
    """The reason for which the rules reject a row, written out again."""
    for name, value in zip(("pickup_datetime", "dropoff_datetime", "pu_location_id"), row[1:4], strict=True):
        if value is None:
            return f"{name} missing"
    return None


def kept(rows: list[Row]) -> list[Row]:
    """The rows that no rule rejects."""
    return [row for row in rows if not reason(row)]


def csv_bytes(rows: list[Row], names: Sequence[str] = NAMES) -> bytes:
    """The rows as gzipped CSV."""
    lines = [tuple(names), *(tuple("" if value is None else str(value) for value in row) for row in rows)]
    return gzip.compress("".join(",".join(line) + "\n" for line in lines).encode())


def parquet_bytes(rows: list[Row]) -> bytes:
    """The rows as Parquet, with the types of the TLC's fhv: doubles for zones, a column of nulls for SR_Flag."""
    columns = dict(zip(NAMES, zip(*rows, strict=True), strict=True))
    types = {"PUlocationID": pa.float64(), "DOlocationID": pa.float64()}
    table = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    file = io.BytesIO()
    pq.write_table(pa.table({**table, "SR_Flag": pa.nulls(len(rows))}), file)
    return file.getvalue()


def declare(folder: Path, service: str = SERVICE, name: str = "livery") -> Path:
    """Declares a service in a folder of service files; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(service)
    return folder
