"""A month in the lake, read back with pyarrow and compared with its log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import count, date_column
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.lake.objects import LakeObject, month_objects, retry, side_by_side
from taxi_assets.trips.columns import SERVICES
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


@dataclass(frozen=True)
class LakeContents:
    """What stands in the lake.

    Attributes:
        rows: Rows of the month's objects together.
        cents: Whole cents of their `total_amount`.
        rows_by_object: Rows of each, by name.
        missing: Objects that the log names and the bucket does not have.
        strays: Objects of the month that no load wrote.
        wrong_schemas: Objects whose columns are not the registry's, each with what differs.
    """

    rows: int
    cents: int
    rows_by_object: dict[str, int]
    missing: list[str]
    strays: list[str]
    wrong_schemas: dict[str, str]


def read_back(cloud: GoogleCloud, load: LakeLoad, folder: Path) -> LakeContents:
    """Fetches the objects of a month one by one and counts them.

    Args:
        cloud: Where the bucket is.
        load: What the log says of the month.
        folder: A folder for one file a thread.

    Raises:
        TransientError: The service was lost.
        TaxiError: It refuses.
    """
    with clear_errors(f"Reading {load.entry.service} {load.month} back from the lake", f"gs://{load.bucket}"):
        bucket = cloud.storage().bucket(load.bucket)
        there = month_objects(bucket, load.entry.service, load.month, cloud.retry_seconds)
        present = [found for found in load.objects if found.name in there]
        read = side_by_side(lambda found: _read(bucket, load, found, folder, cloud.retry_seconds), present)
    named = {found.name for found in load.objects}
    return LakeContents(
        rows=sum(rows for rows, _, _ in read),
        cents=sum(whole for _, whole, _ in read),
        rows_by_object={found.name: rows for found, (rows, _, _) in zip(present, read, strict=True)},
        missing=sorted(named - there.keys()),
        strays=sorted(there.keys() - named),
        wrong_schemas={found.name: wrong for found, (_, _, wrong) in zip(present, read, strict=True) if wrong},
    )


def _read(
    bucket: Bucket, load: LakeLoad, found: LakeObject, folder: Path, retry_seconds: float
) -> tuple[int, int, str]:
    path = folder / found.name.replace("/", "_")
    try:
        bucket.blob(found.name).download_to_filename(str(path), checksum="crc32c", retry=retry(retry_seconds))
        try:
            schema = TripTable(path).schema
            return *count(path), _difference(load, schema)
        except (pa.ArrowInvalid, KeyError) as error:
            return 0, 0, f"no Parquet file of trips: {error}"
    finally:
        path.unlink(missing_ok=True)


def _difference(load: LakeLoad, schema: pa.Schema) -> str:
    service = SERVICES[load.entry.service]
    wanted = service.schema
    if load.shape == "date":
        wanted = wanted.remove(wanted.get_field_index(date_column(service).name))
    pairs = {(field.name, str(field.type)) for field in wanted} ^ {(field.name, str(field.type)) for field in schema}
    undescribed = [field.name for field in schema if not (field.metadata or {}).get(b"description")]
    parts = [", ".join(sorted(f"{name} {kind}" for name, kind in pairs))] if pairs else []
    if undescribed:
        parts.append("without a description: " + ", ".join(undescribed))
    return "; ".join(parts)
