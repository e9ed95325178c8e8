"""A month in the lake, read back with pyarrow and compared with its manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.copies import lagging_copies
from taxi_assets.stores.lake.files import count, date_column
from taxi_assets.stores.lake.manifest import LakeLoad, read_manifests
from taxi_assets.stores.lake.objects import LakeObject, month_objects, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import VerifiedMonth
from taxi_assets.trips.registry import read_service
from taxi_assets.trips.table import TripTable


@dataclass(frozen=True)
class LakeContents:
    """What is in the lake.

    Attributes:
        rows: Rows of the month's objects together.
        cents: Whole cents of their `total_amount`.
        rejected: Row count and cents of the object with the rejected rows.
        rows_by_object: Rows of each, by name.
        missing: Objects that the manifest names and the bucket does not have.
        strays: Objects of the month that no load wrote.
        wrong_schemas: Objects whose columns are not the registry's, each with what differs.
    """

    rows: int
    cents: int
    rejected: tuple[int, int]
    rows_by_object: dict[str, int]
    missing: list[str]
    strays: list[str]
    wrong_schemas: dict[str, str]


def read_back(cloud: GoogleCloud, load: LakeLoad, folder: Path) -> LakeContents:
    """Fetches the objects of a month one by one and counts them.

    Args:
        cloud: Where the bucket is.
        load: The month's manifest.
        folder: A folder for one file a thread.

    Raises:
        TransientError: The service was lost.
        TaxiError: It refuses.
    """
    doing = f"Reading {load.entry.pipeline} {load.month} back from the lake"
    with lake_session(cloud.at_bucket(load.bucket), doing) as session:
        existing = month_objects(session, load.entry.pipeline, load.month)
        present = [item for item in load.objects if item.name in existing]
        read = side_by_side(lambda item: _read(session, load, item, folder), present)
        rejected = _read_rejected(session, load, folder)
    named = {item.name for item in load.objects}
    return LakeContents(
        rows=sum(rows for rows, _, _ in read),
        cents=sum(whole for _, whole, _ in read),
        rejected=rejected or (0, 0),
        rows_by_object={item.name: rows for item, (rows, _, _) in zip(present, read, strict=True)},
        missing=sorted(named - existing.keys()) + ([] if rejected else [load.rejected.name]),
        strays=sorted(existing.keys() - load.names),
        wrong_schemas={item.name: wrong for item, (_, _, wrong) in zip(present, read, strict=True) if wrong},
    )


def verify_months(
    cloud: GoogleCloud, pipeline: str, folder: Path, months: Collection[date] | None = None
) -> Iterator[VerifiedMonth]:
    """Counts every month of a pipeline that has a manifest; `folder` is for one file a thread.

    With `months`, it counts these alone.
    """
    for load in read_manifests(cloud, pipeline):
        if months is not None and load.entry.source_month not in months:
            continue
        contents = read_back(cloud, load, folder)
        counted = contents.rows, contents.cents
        gone = (*contents.missing, *lagging_copies(cloud, load))
        yield VerifiedMonth.of(load.logged_entry, counted, contents.rejected, gone)


def _read_rejected(session: LakeSession, load: LakeLoad, folder: Path) -> tuple[int, int] | None:
    """Row count and cents of the rejected rows; None: the object is gone."""
    from google.api_core.exceptions import NotFound

    try:
        rows, cents, _ = _read(session, load, load.rejected, folder)
    except NotFound:
        return None
    return rows, cents


def _read(session: LakeSession, load: LakeLoad, item: LakeObject, folder: Path) -> tuple[int, int, str]:
    path = folder / item.name.replace("/", "_")
    try:
        session.bucket.blob(item.name).download_to_filename(str(path), checksum="crc32c", retry=session.retry)
        try:
            schema = TripTable(path).schema
            return *count(path), _difference(load, schema)
        except (pa.ArrowInvalid, KeyError) as error:
            return 0, 0, f"no Parquet file of trips: {error}"
    finally:
        path.unlink(missing_ok=True)


def _difference(load: LakeLoad, schema: pa.Schema) -> str:
    service = read_service(load.entry.service)
    wanted = service.schema
    if load.shape == "date":
        wanted = wanted.remove(wanted.get_field_index(date_column(service).name))
    pairs = {(field.name, str(field.type)) for field in wanted} ^ {(field.name, str(field.type)) for field in schema}
    undescribed = [field.name for field in schema if not (field.metadata or {}).get(b"description")]
    parts = [", ".join(sorted(f"{name} {kind}" for name, kind in pairs))] if pairs else []
    if undescribed:
        parts.append("without a description: " + ", ".join(undescribed))
    return "; ".join(parts)
