"""Loads a month from the lake into its table in BigQuery, whole or not at all: see `replace`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from taxi_assets.stores.bigquery.replace import Objects, replace_month
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.bigquery.schema import (
    LOG_COLUMNS,
    ensure_trips_table,
    log_table,
    schema,
    selected,
    staging_columns,
    trips_table,
    value_in_sql,
)
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.load import verify_objects
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import NO_RUN, Provenance
from taxi_assets.stores.record import LEDGER_KEY
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import SERVICES

if TYPE_CHECKING:
    from google.cloud import bigquery


@dataclass(frozen=True)
class BigQueryLoadResult:
    """What a load into BigQuery did.

    Attributes:
        place: The table.
        rows: Row count of the month now.
        cents: Whole cents of their `total_amount`.
        load_job: Id of the job that read the lake's objects.
        replace_job: Id of the job that replaced the month.
        bytes: Bytes that the jobs read, where the service reports them.
        slot_millis: Their slot time, where the service reports it.
        seconds: How long it all took.
    """

    place: str
    rows: int
    cents: int
    load_job: str
    replace_job: str
    bytes: int | None
    slot_millis: int | None
    seconds: float


def load_month(
    cloud: GoogleCloud, load: LakeLoad, declared: TableRef, provenance: Provenance = NO_RUN
) -> BigQueryLoadResult:
    """Loads a month from the lake into its table, in the place of the month's rows.

    Args:
        cloud: Where the bucket and the table are.
        load: The month's manifest in the lake.
        declared: The table; BIGQUERY_DATASET overrides its dataset.
        provenance: The run that loads.

    Raises:
        TransientError: The service was lost, or other transactions kept changing the table.
        TaxiError: An object was changed after it was stored, the load job failed, or BigQuery holds other rows than
            were cleaned; the table is as it was before.
    """
    began = time.monotonic()
    verify_objects(cloud, load)
    entry, service = load.entry, SERVICES[load.entry.service]
    with bigquery_session(cloud, f"Loading {service.name} {load.month} into BigQuery", declared) as session:
        table = trips_table(session, service, declared)
        ensure_trips_table(session, table, service)

        def log_entry(job: bigquery.LoadJob) -> list[str]:
            seconds = time.monotonic() - began
            return [_log_statement(table.ref, load, provenance, job.job_id, seconds)]

        objects = Objects(
            uris=load.uris,
            fields=schema(staging_columns(cloud, service, load.shape)),
            name=f"{service.name} {load.month}",
            job=f"{service.name}_{load.month}",
            rows=entry.rows_kept,
            cents=entry.cents,
            select=selected(service, load.shape),
            labels={"service": service.name, "source_month": load.month},
            verify=lambda: verify_objects(cloud, load),
            next_step=f"store the month in the lake again: taxi run {service.name} --months {load.month} --force",
        )
        done = replace_month(session, table, objects, entry.source_month, log_entry)
    loaded: Any = done.load_job
    return BigQueryLoadResult(
        place=table.ref.in_database,
        rows=entry.rows_kept,
        cents=entry.cents,
        load_job=loaded.job_id,
        replace_job=done.replace_job.job_id,
        bytes=_sum(loaded.input_file_bytes, done.replace_job.total_bytes_processed),
        slot_millis=_sum(_slot_millis(loaded), _slot_millis(done.replace_job)),
        seconds=time.monotonic() - began,
    )


def _log_statement(table: TableRef, load: LakeLoad, provenance: Provenance, job: str, seconds: float) -> str:
    """Adds the load to the load log."""
    entry = replace(
        load.entry,
        store="bigquery",
        place=table.in_database,
        run_id=provenance.run_id or load.entry.run_id,
        loaded_at=datetime.now(UTC),
        seconds=round(seconds, 3),
        configuration={**load.entry.configuration, LEDGER_KEY: provenance.ledger},
    )
    values = {**asdict(entry), "load_job": job}
    literals = ", ".join(value_in_sql(values[name]) for name in LOG_COLUMNS)
    return f"INSERT INTO {log_table(table).bigquery} ({', '.join(LOG_COLUMNS)}) VALUES ({literals})"  # noqa: S608


def _sum(*values: int | None) -> int | None:
    """The sum of the values that are reported; the emulator reports nothing, or 0."""
    return sum(value for value in values if value) or None


def _slot_millis(job: Any) -> int:
    # The client shows it of query jobs only.
    return int(job._properties.get("statistics", {}).get("totalSlotMs") or 0)
