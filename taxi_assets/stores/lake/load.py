"""The lake: a cleaned month as Parquet in a bucket, and the log of what stands there.

    {service}/{service}_{month}.parquet                        shape `month`: one object a month
    {service}/{date column}={day}/{service}_{month}-{hash}.parquet   shape `date`: Hive's folders
    rejected/{service}/{month}.parquet                         the rows left out, with the reason
    _loads/{service}/{month}.json                              the log: which objects are the month

A load is done at the moment when its log object takes the place of the old one: before, objects are only added; after,
those that the log does not name are removed. So whoever reads the objects that the log names sees the old month or the
new one, and a killed load leaves objects that the next one sweeps. Cloud Storage has no such moment for several
objects: who lists a service's day folders, instead of reading the log, sees old and new days side by side for the
second between. In the shape `month` the one object is replaced at once, for every reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile, Shape, month_files, rejected_name
from taxi_assets.stores.lake.manifest import LakeLoad, log_name, read_log
from taxi_assets.stores.lake.objects import LakeObject, month_objects, put, remove, retry, side_by_side
from taxi_assets.stores.locations import lake_uri
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.provenance import NO_RUN, Provenance
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

EARLIER_LOADS = 100
"""How many earlier loads of a month its log remembers."""


@dataclass(frozen=True)
class LakeLoadResult:
    """What a load into the lake did: the month as it stands there now, and how many objects were sent and removed."""

    load: LakeLoad
    sent: int
    removed: int
    seconds: float


def store_month(
    cloud: GoogleCloud,
    month: CleanedMonth,
    shape: Shape,
    folder: Path,
    provenance: Provenance = NO_RUN,
    *,
    progress: Callable[[int], None] | None = None,
) -> LakeLoadResult:
    """Replaces a month in the lake.

    Args:
        cloud: Where the bucket is.
        month: The cleaned month.
        shape: One object a month, or a folder a day.
        folder: An empty folder for temporary files.
        provenance: The run that loads.
        progress: Called with the number of rows sent so far.

    Raises:
        TransientError: The service was lost, or another load of this month took place at the same time.
        TaxiError: The bucket is missing or refuses; the old month is still what the log names then.
    """
    began = time.monotonic()
    service, name, retry_seconds = month.service.name, month_name(month.month), cloud.retry_seconds
    entry = month.entry("lake", lake_uri(cloud.bucket, service, month.month, shape), provenance)
    files = month_files(month, shape, folder)
    files.append(LakeFile(rejected_name(service, name), month.rejected.path, month.rejected.rows))
    with clear_errors(f"Storing {month} in the lake", f"gs://{cloud.bucket}"):
        bucket = cloud.storage().bucket(cloud.bucket)
        before, generation = read_log(bucket, service, name, retry_seconds)
        there = month_objects(bucket, service, name, retry_seconds)
        done = _put_all(bucket, files, there, retry_seconds, progress)
        load = LakeLoad(
            entry=replace(entry, seconds=round(time.monotonic() - began, 3), loaded_at=datetime.now(UTC)),
            bucket=cloud.bucket,
            shape=shape,
            objects=tuple(found for found, _ in done[:-1]),
            rejected=done[-1][0],
            earlier=_earlier(before),
        )
        _switch(bucket, load, generation, retry_seconds)
        named = {found.name for found in load.objects}
        strays = [blob for blob in there.values() if blob.name not in named]
        remove(strays, retry_seconds)
        _verify_after(cloud, bucket, load)
    return LakeLoadResult(load, sum(sent for _, sent in done), len(strays), time.monotonic() - began)


def _switch(bucket: Bucket, load: LakeLoad, generation: int, retry_seconds: float) -> None:
    """Puts the log in the place of that generation: from now on, the month is the new one."""
    bucket.blob(log_name(load.entry.service, load.month)).upload_from_string(
        load.to_json(),
        content_type="application/json",
        if_generation_match=generation,
        checksum="crc32c",
        retry=retry(retry_seconds),
    )


def _put_all(
    bucket: Bucket,
    files: list[LakeFile],
    there: Mapping[str, Blob],
    retry_seconds: float,
    progress: Callable[[int], None] | None,
) -> list[tuple[LakeObject, bool]]:
    rows = 0

    def one(file: LakeFile) -> tuple[LakeObject, bool]:
        nonlocal rows
        found = there.get(file.name) or bucket.get_blob(file.name, retry=retry(retry_seconds))
        done = put(bucket, file, found, retry_seconds)
        rows += file.rows
        if progress:
            progress(rows)
        return done

    return side_by_side(one, files)


def _earlier(before: LakeLoad | None) -> tuple[Mapping[str, Any], ...]:
    if before is None:
        return ()
    entry = before.entry
    short = {"loaded_at": str(entry.loaded_at), "run_id": entry.run_id, "sha256": entry.sha256, "rows": entry.rows_kept}
    return (short, *before.earlier)[:EARLIER_LOADS]


def _verify_after(cloud: GoogleCloud, bucket: Bucket, load: LakeLoad) -> None:
    if wrong := _changed(bucket, load, cloud.retry_seconds):
        raise TransientError(
            f"Another program changed {load.entry.service} {load.month} in the lake while it was stored.",
            expected="the objects as they were sent",
            found="; ".join(wrong[:5]),
            where=f"gs://{load.bucket}",
            next_step="try again",
        )


def _changed(bucket: Bucket, load: LakeLoad, retry_seconds: float) -> list[str]:
    there = month_objects(bucket, load.entry.service, load.month, retry_seconds)
    wrong = []
    for found in load.objects:
        blob = there.get(found.name)
        if not found.is_still(blob):
            wrong.append(f"gs://{load.bucket}/{found.name} is {'gone' if blob is None else 'another version'}")
    return wrong


def verify_objects(cloud: GoogleCloud, load: LakeLoad) -> None:
    """Makes sure that the objects of a month are the ones that were stored.

    Raises:
        TaxiError: One is gone or was overwritten; it is named.
    """
    with clear_errors(f"Looking at {load.entry.service} {load.month} in the lake", f"gs://{load.bucket}"):
        wrong = _changed(cloud.storage().bucket(load.bucket), load, cloud.retry_seconds)
    if wrong:
        raise TaxiError(
            f"Another program changed {load.entry.service} {load.month} in the lake after it was stored.",
            expected="the objects that the lake's log names, in the versions that were stored",
            found="; ".join(wrong[:5]) + (f"; {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            where=f"gs://{load.bucket}/{log_name(load.entry.service, load.month)}",
            intact="PostgreSQL and BigQuery",
            next_step=f"store the month again: taxi run {load.entry.service} --months {load.month} --only lake --force",
        )
