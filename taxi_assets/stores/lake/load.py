"""Stores a cleaned month in the lake: Parquet in a bucket, and a manifest that names the objects of the month.

    {service}/{service}_{month}.parquet                        shape `month`: one object a month
    {service}/{date column}={day}/{service}_{month}-{hash}.parquet   shape `date`: Hive's folders
    rejected/{service}/{month}.parquet                         the rows left out, with the reason
    _loads/{service}/{month}.json                              the manifest: which objects are the month

A load takes effect when its manifest replaces the old one: before, objects are only added; after, those that the
manifest does not name are removed. A reader of the objects that the manifest names sees the old month or the new one,
and a killed load leaves objects that the next one removes. Cloud Storage replaces only single objects at once: a reader
that lists a service's day folders, instead of reading the manifest, sees old and new days side by side for the second
between. In the shape `month` the one object is replaced at once, for every reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import LakeFile, Shape, month_files, rejected_name
from taxi_assets.stores.lake.manifest import LakeLoad, manifest_name, read_generation
from taxi_assets.stores.lake.objects import LakeObject, month_objects, put, remove, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import NO_RUN, CleanedMonth, Provenance
from taxi_assets.stores.table import lake_uri
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob

EARLIER_LOADS = 100
"""How many earlier loads of a month its manifest keeps."""


@dataclass(frozen=True)
class LakeLoadResult:
    """What a load into the lake did: the new manifest, and how many objects were sent and removed."""

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
        TaxiError: The bucket is missing or refuses; the old month is still what the manifest names then.
    """
    began = time.monotonic()
    service, name = month.service.name, month_name(month.month)
    entry = month.entry("lake", lake_uri(cloud.bucket, service, month.month, shape), provenance)
    files = month_files(month, shape, folder)
    files.append(LakeFile(rejected_name(service, name), month.rejected.path, month.rejected.rows))
    with lake_session(cloud, f"Storing {month} in the lake") as session:
        before, generation = read_generation(session, service, name)
        existing = month_objects(session, service, name)
        done = _put_all(session, files, existing, progress)
        load = LakeLoad(
            entry=replace(entry, seconds=round(time.monotonic() - began, 3), loaded_at=datetime.now(UTC)),
            bucket=cloud.bucket,
            shape=shape,
            objects=tuple(item for item, _ in done[:-1]),
            rejected=done[-1][0],
            earlier=_earlier(before),
        )
        _write_manifest(session, load, generation)
        named = {item.name for item in load.objects}
        strays = [blob for blob in existing.values() if blob.name not in named]
        remove(session, strays)
        _verify_after(session, load)
    return LakeLoadResult(load, sum(sent for _, sent in done), len(strays), time.monotonic() - began)


def _write_manifest(session: LakeSession, load: LakeLoad, generation: int) -> None:
    """Replaces that generation of the manifest: from now on, the month is the new one."""
    session.bucket.blob(manifest_name(load.entry.service, load.month)).upload_from_string(
        load.to_json(),
        content_type="application/json",
        if_generation_match=generation,
        checksum="crc32c",
        retry=session.retry,
    )


def _put_all(
    session: LakeSession,
    files: list[LakeFile],
    existing: Mapping[str, Blob],
    progress: Callable[[int], None] | None,
) -> list[tuple[LakeObject, bool]]:
    rows = 0

    def one(file: LakeFile) -> tuple[LakeObject, bool]:
        nonlocal rows
        blob = existing.get(file.name) or session.bucket.get_blob(file.name, retry=session.retry)
        done = put(session, file, blob)
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


def _verify_after(session: LakeSession, load: LakeLoad) -> None:
    if wrong := _changed(session, load):
        raise TransientError(
            f"Another program changed {load.entry.service} {load.month} in the lake while it was stored.",
            expected="the objects as they were sent",
            found="; ".join(wrong[:5]),
            where=f"gs://{load.bucket}",
            next_step="try again",
        )


def _changed(session: LakeSession, load: LakeLoad) -> list[str]:
    existing = month_objects(session, load.entry.service, load.month)
    wrong = []
    for item in load.objects:
        blob = existing.get(item.name)
        if not item.is_still(blob):
            wrong.append(f"gs://{load.bucket}/{item.name} is {'gone' if blob is None else 'another version'}")
    return wrong


def verify_objects(cloud: GoogleCloud, load: LakeLoad) -> None:
    """Makes sure that the objects of a month are the ones that were stored.

    Raises:
        TaxiError: One is gone or was overwritten; it is named.
    """
    doing = f"Looking at {load.entry.service} {load.month} in the lake"
    with lake_session(cloud.at_bucket(load.bucket), doing) as session:
        wrong = _changed(session, load)
    if wrong:
        raise TaxiError(
            f"Another program changed {load.entry.service} {load.month} in the lake after it was stored.",
            expected="the objects that the lake's manifest names, in the versions that were stored",
            found="; ".join(wrong[:5]) + (f"; {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            where=f"gs://{load.bucket}/{manifest_name(load.entry.service, load.month)}",
            intact="PostgreSQL and BigQuery",
            next_step=f"store the month again: taxi run {load.entry.service} --months {load.month} --only lake --force",
        )
