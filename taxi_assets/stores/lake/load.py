"""Stores a cleaned month in the lake: Parquet in a bucket, and a manifest that names the objects of the month.

    _loads/{pipeline}/{month}.json                             the manifest: which objects are the month
    {pipeline}/{date column}={day}/{pipeline}_{month}-{hash}.parquet   shape `date`: Hive's folders
    _objects/{pipeline}/{pipeline}_{month}-{hash}.parquet      shape `month`: one object a month
    _objects/{pipeline}/rejected_{month}-{hash}.parquet        the rows left out, with the reason
    {pipeline}/{pipeline}_{month}.parquet                      a copy of the month's one object, for people
    rejected/{pipeline}/{month}.parquet                        a copy of the rejected rows, for people
    _intents/{pipeline}/{month}/{attempt}.json                 what a load is about to change: see `intents`

A load takes effect when its manifest replaces the old one: before, objects are only added; after, the copies are
written and the objects that earlier manifests named are removed. A reader of the objects that the manifest names sees
the old month or the new one. Cloud Storage replaces only single objects at once: a reader that lists a pipeline's day
folders, instead of reading the manifest, sees old and new days side by side for the second between, told apart by their
hash. In the shape `month` the copy is replaced at once, for every reader, a moment after the manifest.

No lock is needed. A load names the version of the manifest that it replaces; one that was beaten begins again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.copies import fixed_objects, write_copies
from taxi_assets.stores.lake.files import LakeFile, Shape, month_files, rejected_file
from taxi_assets.stores.lake.intents import Intent, forget, intents_folder, record, sweep
from taxi_assets.stores.lake.manifest import LakeLoad, manifest_name, read_current
from taxi_assets.stores.lake.objects import LakeObject, month_objects, put, put_text, side_by_side
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import NO_RUN, CleanedMonth, LoadEntry, Provenance
from taxi_assets.stores.table import lake_uri
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from google.cloud.storage import Blob

ATTEMPTS = 4
"""How often a load begins, where other loads of the month beat it."""
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
        TransientError: The service was lost, or other loads of this month kept beating this one.
        TaxiError: The bucket is missing or refuses, or a fixed name is an object of somebody else; the old month is
            still what the manifest names then.
    """
    began = time.monotonic()
    entry = month.entry("lake", lake_uri(cloud.bucket, month.pipeline, month.month, shape), provenance)
    files = (*month_files(month, shape, folder), rejected_file(month))
    with lake_session(cloud, f"Storing {month} in the lake") as session:
        load = _Load(session, entry, shape, files, began, progress)
        done = load.begin()
        for _ in range(ATTEMPTS - 1):
            if done is None:
                time.sleep(random.uniform(0, 1))  # noqa: S311
                done = load.begin()
        if done is None:
            raise load.beaten()
    return done


class _Load:
    """A load, in as many attempts as it takes."""

    def __init__(
        self,
        session: LakeSession,
        entry: LoadEntry,
        shape: Shape,
        files: Sequence[LakeFile],
        began: float,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._session, self._entry, self._shape, self._files = session, entry, shape, files
        self._began, self._progress = began, progress
        self._pipeline, self._month = entry.pipeline, month_name(entry.source_month)
        self._id = uuid4().hex
        self._intent: Intent | None = None

    def begin(self) -> LakeLoadResult | None:
        """One attempt; None: another load has replaced the manifest since."""
        session = self._session
        base = read_current(session, self._pipeline, self._month)
        fixed = fixed_objects(session, self._files, base)
        name = f"{intents_folder(self._pipeline, self._month)}{uuid4().hex}.json"
        before = self._intent
        self._intent = record(session, name, base, {file.name for file in self._files} | fixed.keys(), before)
        if before:  # the new one names its objects, too
            forget(session, before)
        done = self._send(base, month_objects(session, self._pipeline, self._month))
        load = self._replace_manifest(base, [item for item, _ in done])
        if load is None:
            return None
        write_copies(session, load, fixed)
        swept = sweep(session, self._pipeline, self._month, self._intent, load)
        if swept.current == load:
            _verify_after(load, swept.listed)
        return LakeLoadResult(load, sum(sent for _, sent in done), swept.removed, time.monotonic() - self._began)

    def _send(self, base: LakeLoad | None, existing: Mapping[str, Blob]) -> list[tuple[LakeObject, bool]]:
        named = base.contents if base else {}
        rows = 0

        def one(file: LakeFile) -> tuple[LakeObject, bool]:
            nonlocal rows
            # What the manifest does not name may be a leftover that another load is about to remove.
            done = put(self._session, file, existing.get(file.name), again=file.name not in named)
            rows += file.rows
            if self._progress:
                self._progress(rows)
            return done

        return side_by_side(one, self._files)

    def _replace_manifest(self, base: LakeLoad | None, objects: Sequence[LakeObject]) -> LakeLoad | None:
        """From now on, the month is the new one; None: another load was first."""
        from google.api_core.exceptions import PreconditionFailed

        load = LakeLoad(
            entry=replace(self._entry, seconds=round(time.monotonic() - self._began, 3), loaded_at=datetime.now(UTC)),
            bucket=self._session.bucket.name,
            shape=self._shape,
            objects=tuple(objects[:-1]),
            rejected=objects[-1],
            earlier=_earlier(base),
            copies={file.fixed_name: file.name for file in self._files if file.fixed_name},
            load_id=self._id,
        )
        name = manifest_name(self._pipeline, self._month)
        try:
            generation = put_text(self._session, name, load.to_json(), base.generation if base else 0)
        except PreconditionFailed:
            return None
        return replace(load, generation=generation)

    def beaten(self) -> TransientError:
        """The error of a load that was beaten each time; removes what it left."""
        assert self._intent  # noqa: S101
        swept = sweep(self._session, self._pipeline, self._month, self._intent)
        entry = swept.current.entry if swept.current else None
        return TransientError(
            f"Other loads of {self._pipeline} {self._month} into the lake were faster than this one.",
            expected=f"no other load of the month during one of {ATTEMPTS} attempts",
            found=f"one of {entry.rows_kept} rows, by run {entry.run_id} ({entry.started_by})" if entry else None,
            where=f"gs://{self._session.bucket.name}/{manifest_name(self._pipeline, self._month)}",
            intact="the month as the other load stored it",
            next_step="find out who loads the same month; then try again",
        )


def _earlier(before: LakeLoad | None) -> tuple[Mapping[str, Any], ...]:
    if before is None:
        return ()
    entry = before.entry
    short = {"loaded_at": str(entry.loaded_at), "run_id": entry.run_id, "sha256": entry.sha256, "rows": entry.rows_kept}
    return (short, *before.earlier)[:EARLIER_LOADS]


def _verify_after(load: LakeLoad, existing: Mapping[str, Blob]) -> None:
    if wrong := _changed(load, existing):
        raise TransientError(
            f"Another program changed {load.entry.pipeline} {load.month} in the lake while it was stored.",
            expected="the objects as they were sent",
            found="; ".join(wrong[:5]),
            where=f"gs://{load.bucket}",
            next_step="try again",
        )


def _changed(load: LakeLoad, existing: Mapping[str, Blob]) -> list[str]:
    wrong = []
    for item in load.objects:
        blob = existing.get(item.name)
        if not item.is_still(blob):
            wrong.append(f"gs://{load.bucket}/{item.name} is {'gone' if blob is None else 'another version'}")
    return wrong


def verify_objects(cloud: GoogleCloud, load: LakeLoad) -> None:
    """Makes sure that the objects of a month are the ones that were stored.

    Raises:
        TransientError: The month was stored again since.
        TaxiError: One is gone or was overwritten; it is named.
    """
    pipeline, month = load.entry.pipeline, load.month
    with lake_session(cloud.at_bucket(load.bucket), f"Looking at {pipeline} {month} in the lake") as session:
        wrong = _changed(load, month_objects(session, pipeline, month))
        current = read_current(session, pipeline, month, load) if wrong else load
    where = f"gs://{load.bucket}/{manifest_name(pipeline, month)}"
    if current and current.generation > load.generation > 0:
        raise TransientError(
            f"{pipeline} {month} was stored in the lake once more, by another load.",
            expected=f"the manifest of version {load.generation}",
            found=f"version {current.generation}, by run {current.entry.run_id} ({current.entry.started_by})",
            where=where,
            intact="PostgreSQL and BigQuery",
            next_step="try again, with the new month",
        )
    if wrong:
        raise TaxiError(
            f"Another program changed {pipeline} {month} in the lake after it was stored.",
            expected="the objects that the lake's manifest names, as they were stored",
            found="; ".join(wrong[:5]) + (f"; {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            where=where,
            intact="PostgreSQL and BigQuery",
            next_step=f"store the month again: taxi run {pipeline} --months {month} --only lake --force",
        )
