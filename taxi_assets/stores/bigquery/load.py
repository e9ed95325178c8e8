"""Loads a month from the lake into its tables in BigQuery, whole or not at all: see `month` and `intents`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.intents import Intent, find_commit, forget, register, require_current
from taxi_assets.stores.bigquery.month import Part, load_id, replace_month, replacement_jobs
from taxi_assets.stores.bigquery.replace import Objects
from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session, totals
from taxi_assets.stores.bigquery.schema import (
    LOG_COLUMNS,
    ensure_trips_tables,
    log_table,
    rejected_table,
    schema,
    selected,
    staging_columns,
    trips_table,
    value_in_sql,
)
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.errors import is_passing
from taxi_assets.stores.lake.load import verify_objects
from taxi_assets.stores.lake.manifest import LakeLoad, manifest_name
from taxi_assets.stores.lake.objects import LakeObject
from taxi_assets.stores.lake.resource import LakeSession, lake_session
from taxi_assets.stores.month import NO_RUN, Provenance
from taxi_assets.stores.record import LEDGER_KEY
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.registry import read_service

MONTH_JOBS = replacement_jobs(len(("kept", "rejected")))
"""The jobs of a load that nothing interrupts, into tables that are up to date."""
_BEATEN = "a newer month of the lake is loaded already"


@dataclass(frozen=True)
class BigQueryLoadResult:
    """What a load into BigQuery did.

    Attributes:
        place: The table.
        rows: Row count of the month now.
        cents: Whole cents of their `total_amount`.
        rejected_rows: Row count of the month's rejected rows.
        load_job: Id of the job that read the lake's objects with the kept rows.
        replace_job: Id of the job that replaced the month.
        bytes: Bytes that the jobs read, where the service reports them.
        slot_millis: Their slot time, where the service reports it.
        seconds: How long it all took.
    """

    place: str
    rows: int
    cents: int
    rejected_rows: int
    load_job: str
    replace_job: str
    bytes: int | None
    slot_millis: int | None
    seconds: float


def load_month(
    cloud: GoogleCloud, load: LakeLoad, declared: TableRef, provenance: Provenance = NO_RUN
) -> BigQueryLoadResult:
    """Loads a month from the lake into its tables, in the place of the month's rows.

    Args:
        cloud: Where the bucket and the tables are.
        load: The month's manifest in the lake.
        declared: The table; BIGQUERY_DATASET overrides its dataset. Rejected rows go into `{table}_rejected`.
        provenance: The run that loads.

    Raises:
        TransientError: The service was lost, other transactions kept changing the tables, or another load of the month
            began since.
        TaxiError: An object was changed after it was stored, a load job failed, or BigQuery holds other rows than were
            cleaned; the tables are as they were before.
    """
    began = time.monotonic()
    verify_objects(cloud, load)
    doing = f"Loading {load.entry.pipeline} {load.month} into BigQuery"
    with (
        lake_session(cloud.at_bucket(load.bucket), doing) as bucket,
        bigquery_session(cloud, doing, declared) as session,
    ):
        job = _Load(cloud, session, bucket, load, declared, provenance, began)
        job.prepare()
        loaded, replaced = job.resume() or job.run()
    return BigQueryLoadResult(
        place=job.parts[0].table.ref.in_database,
        rows=load.entry.rows_kept,
        cents=load.entry.cents,
        rejected_rows=load.entry.rows_rejected,
        load_job=loaded if isinstance(loaded, str) else loaded.job_id,
        replace_job=replaced.job_id,
        bytes=_sum(getattr(loaded, "input_file_bytes", None), replaced.total_bytes_processed),
        slot_millis=_sum(_slot_millis(loaded), _slot_millis(replaced)),
        seconds=time.monotonic() - began,
    )


Jobs = tuple[Any, Any]
"""The load job, or its id, and the job that replaced the month."""


class _Load:
    """A load of a month of the lake into its tables."""

    def __init__(
        self,
        cloud: GoogleCloud,
        session: BigQuerySession,
        bucket: LakeSession,
        load: LakeLoad,
        declared: TableRef,
        provenance: Provenance,
        began: float,
    ) -> None:
        self._cloud, self._session, self._bucket = cloud, session, bucket
        self._load, self._provenance, self._began = load, provenance, began
        self._service = service = read_service(load.entry.service)
        trips, rejected = trips_table(session, service, declared), rejected_table(session, service, declared)
        self.parts = [self._kept(trips), self._rejected(rejected)]
        self._intent = Intent.of(trips.ref, load)

    def _kept(self, table: Table) -> Part:
        entry, service, shape = self._load.entry, self._service, self._load.shape
        fields = schema(staging_columns(self._cloud, service, shape))
        objects = self._objects(self._load.objects, fields, entry.rows_kept, entry.cents)
        return Part(table, replace(objects, select=selected(service, shape)))

    def _rejected(self, table: Table) -> Part:
        entry = self._load.entry
        objects = self._objects([self._load.rejected], schema(table.columns), entry.rows_rejected, entry.cents_rejected)
        name, job = f"rejected rows of {objects.name}", f"{objects.job}_rejected"
        return Part(table, replace(objects, name=name, job=job))

    def _objects(self, items: Sequence[LakeObject], fields: Sequence[Any], rows: int, cents: int) -> Objects:
        pipeline, service, month = self._load.entry.pipeline, self._load.entry.service, self._load.month
        return Objects(
            uris=[f"gs://{self._load.bucket}/{item.name}" for item in items],
            fields=fields,
            name=f"{pipeline} {month}",
            job=f"{pipeline}_{month}",
            rows=rows,
            cents=cents if self._service.has_amounts else None,
            labels={"pipeline": pipeline, "service": service, "source_month": month},
            next_step=f"store the month in the lake again: taxi run {pipeline} --months {month} --force",
        )

    def prepare(self) -> None:
        """Creates what is missing."""
        ensure_trips_tables(self._session, [part.table for part in self.parts], self._service)

    def resume(self) -> Jobs | None:
        """The load that was recorded before, if any, brought to its end; None: it is over, and the month not loaded."""
        intent, recorded = register(self._session, self._bucket, self._intent, again=False)
        if not recorded:
            return self._run(intent)
        committed = find_commit(self._session, intent)
        if committed is None:
            try:
                return self._run(intent)
            except Exception as error:
                # What the other one did since, or left, is no reason to fail.
                if is_passing(error):
                    raise
                committed = find_commit(self._session, intent)
        if committed is None or not self._holds():
            return None
        forget(self._bucket, intent)
        return load_id(self.parts[0], intent), committed

    def run(self) -> Jobs:
        """Records the intent, once more if need be, and loads."""
        intent, _ = register(self._session, self._bucket, self._intent, again=True)
        return self._run(intent)

    def _run(self, intent: Intent) -> Jobs:
        def verify() -> None:
            verify_objects(self._cloud, self._load)
            require_current(self._bucket, intent)

        month = self._load.entry.source_month
        first, last = self._fence(), self._log_statement
        try:
            done = replace_month(self._session, self.parts, month, intent, verify=verify, first=first, last=last)
        except Exception as error:
            if _BEATEN in str(error):
                raise self._beaten() from error
            if not is_passing(error):
                verify()  # an error that another load caused is one that passes
            raise
        forget(self._bucket, intent)
        return done.load_job, done.replace_job

    def _beaten(self) -> TransientError:
        return TransientError(
            f"A newer load of {self._intent.job} into BigQuery was faster than this one.",
            expected=f"version {self._load.generation} of the lake's manifest as the newest",
            found=_BEATEN,
            where=str(self.parts[0].table.ref),
            intact="the newer month",
            next_step="nothing, if the newer month is right; else store the month in the lake again",
        )

    def _holds(self) -> bool:
        """Whether the tables hold what the month of the lake holds."""
        month = value_in_sql(self._load.entry.source_month)
        for part in self.parts:
            sql = f"{totals(part.objects.cents is not None)} {part.table.ref.bigquery} WHERE source_month = {month}"
            (row,) = self._session.query(sql)[1]
            if (row.trips, row.cents) != (part.objects.rows, part.objects.cents):
                return False
        return True

    @property
    def _manifest(self) -> str:
        return f"gs://{self._load.bucket}/{manifest_name(self._load.entry.pipeline, self._load.month)}"

    def _fence(self) -> str:
        """Raises an error where a newer month of the lake is in the log: a late load changes nothing."""
        table, month = self.parts[0].table.ref, value_in_sql(self._load.entry.source_month)
        newer = f"""
            SELECT COUNT(*) AS newer FROM {log_table(table).bigquery}
            WHERE place = {value_in_sql(table.in_database)} AND source_month = {month}
            AND manifest = {value_in_sql(self._manifest)} AND generation > {self._load.generation}"""  # noqa: S608
        return f"SELECT IF(newer = 0, 0, ERROR({value_in_sql(_BEATEN)})) FROM ({newer})"  # noqa: S608

    def _log_statement(self, load_job: str) -> str:
        """Adds the load to the load log."""
        table = self.parts[0].table.ref
        entry = replace(
            self._load.entry,
            store="bigquery",
            place=table.in_database,
            run_id=self._provenance.run_id or self._load.entry.run_id,
            loaded_at=datetime.now(UTC),
            seconds=round(time.monotonic() - self._began, 3),
            configuration={**self._load.entry.configuration, LEDGER_KEY: self._provenance.ledger},
        )
        version = {"manifest": self._manifest, "generation": self._load.generation}
        values = {**asdict(entry), "load_job": load_job, **version}
        literals = ", ".join(value_in_sql(values[name]) for name in LOG_COLUMNS)
        return f"INSERT INTO {log_table(table).bigquery} ({', '.join(LOG_COLUMNS)}) VALUES ({literals})"  # noqa: S608


def _sum(*values: int | None) -> int | None:
    """The sum of the values that are reported; the emulator reports nothing, or 0."""
    return sum(value for value in values if value) or None


def _slot_millis(job: Any) -> int:
    # The client shows it of query jobs only.
    return int(getattr(job, "_properties", {}).get("statistics", {}).get("totalSlotMs") or 0)
