"""The warehouse: a month from the lake into its table in BigQuery, whole or not at all.

A load job brings the lake's objects into a staging table, which is compared with what was cleaned. Then one transaction
takes the month's old rows out, puts the new ones in, compares once more and adds to the log of loads: readers see the
old month until it commits. A killed load leaves a staging table, which the next load of that month removes, or BigQuery
after some hours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.bigquery.client import JOB_SECONDS, TOTALS, Warehouse, connected
from taxi_assets.stores.bigquery.schema import (
    LABELS,
    LOG_COLUMNS,
    Target,
    ensure_tables,
    expires,
    name_in_sql,
    schema,
    selected,
    staging_columns,
    value_in_sql,
)
from taxi_assets.stores.google.errors import TRANSIENT_REASONS, is_conflict
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.load import verify_objects
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.trips.columns import SERVICES

if TYPE_CHECKING:
    from google.cloud import bigquery

CONFLICT_SECONDS = 300
"""How long a replacement is tried again while other transactions change the same table."""


@dataclass(frozen=True)
class BigQueryLoadResult:
    """What a load into BigQuery did.

    Attributes:
        place: The table.
        rows: Rows of the month, now.
        cents: Whole cents of their `total_amount`.
        load_job: The job that read the lake's objects.
        replace_job: The job that replaced the month.
        bytes: Bytes that the jobs read, where the service says so.
        slot_millis: Their slot time, where the service says so.
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


def target_of(cloud: GoogleCloud, service: str, dataset: str, table: str, project: str | None = None) -> Target:
    """The table of a pipeline; BIGQUERY_DATASET wins over the pipeline's dataset."""
    return Target(SERVICES[service], project or cloud.project or "", cloud.dataset or dataset, table)


def replace_month(
    cloud: GoogleCloud, load: LakeLoad, dataset: str, table: str, run_id: str | None = None
) -> BigQueryLoadResult:
    """Loads a month from the lake into its table, in the place of the month's rows there.

    Args:
        cloud: Where the bucket and the table are.
        load: What the lake's log says of the month.
        dataset: The dataset, unless BIGQUERY_DATASET overrides it.
        table: The table.
        run_id: Dagster's run.

    Raises:
        TransientError: The service was lost, or other transactions kept changing the table.
        TaxiError: An object was changed after it was stored, the load job failed, or BigQuery holds other rows than
            were cleaned; the table is as it was before.
    """
    began = time.monotonic()
    verify_objects(cloud, load)
    service, month = load.entry.service, load.entry.source_month
    where = f"{cloud.dataset or dataset}.{table}"
    with connected(cloud, f"Loading {service} {load.month} into BigQuery", where) as warehouse:
        target = target_of(cloud, service, dataset, table, warehouse.client.project)
        ensure_tables(warehouse.client, cloud, target, warehouse.retry)
        _sweep(warehouse, target, month)
        staging = target.staging(month, uuid4().hex[:8])
        try:
            loaded = _load(warehouse, target, load, staging)
            verify_objects(cloud, load)
            _verify_staging(warehouse, target, load, staging)
            logged = _logged(load, target, run_id, loaded.job_id, time.monotonic() - began)
            script = _replacement(target, load, staging, logged)
            done = run_transaction(warehouse, script, f"taxi_replace_{service}_{load.month}")
        finally:
            with suppress(Exception):
                name = f"{target.project}.{target.dataset}.{staging}"
                warehouse.client.delete_table(name, not_found_ok=True, retry=warehouse.retry)
    return BigQueryLoadResult(
        place=str(target),
        rows=load.entry.rows_kept,
        cents=load.entry.cents,
        load_job=loaded.job_id,
        replace_job=done.job_id,
        bytes=_sum(loaded.input_file_bytes, done.total_bytes_processed),
        slot_millis=_sum(_slot_millis(loaded), _slot_millis(done)),
        seconds=time.monotonic() - began,
    )


def _logged(load: LakeLoad, target: Target, run_id: str | None, load_job: str, seconds: float) -> dict[str, Any]:
    """The row for the log of loads."""
    entry = replace(
        load.entry,
        store="bigquery",
        place=str(target),
        run_id=run_id or load.entry.run_id,
        loaded_at=datetime.now(UTC),
        seconds=round(seconds, 3),
    )
    return {**asdict(entry), "load_job": load_job}


def _sum(*values: int | None) -> int | None:
    """The sum of what is reported; the emulator reports nothing, or 0."""
    return sum(value for value in values if value) or None


def _slot_millis(job: Any) -> int:
    # The client shows it of query jobs only.
    return int(job._properties.get("statistics", {}).get("totalSlotMs") or 0)


def _sweep(warehouse: Warehouse, target: Target, month: date) -> None:
    """Removes what killed loads of that month left. A load of it that still runs fails then, and is tried again."""
    prefix = target.staging_prefix(month)
    for found in warehouse.client.list_tables(f"{target.project}.{target.dataset}", retry=warehouse.retry):
        if found.table_id.startswith(prefix):
            warehouse.client.delete_table(found.reference, not_found_ok=True, retry=warehouse.retry)


def _load(warehouse: Warehouse, target: Target, load: LakeLoad, staging: str) -> bigquery.LoadJob:
    from google.api_core.exceptions import Conflict
    from google.cloud import bigquery

    client = warehouse.client
    columns = schema(staging_columns(warehouse.cloud, target.service, load.shape))
    table = bigquery.Table(f"{target.project}.{target.dataset}.{staging}", columns)
    table.expires = expires()
    table.labels = LABELS
    client.create_table(table, retry=warehouse.retry)
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=columns,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels={**LABELS, "service": load.entry.service, "source_month": load.month},
    )
    job_id = f"taxi_load_{load.entry.service}_{load.month}_{uuid4().hex[:8]}"
    with _job_errors(f"The load job {job_id} of {load.entry.service} {load.month}", load):
        try:
            job = client.load_table_from_uri(
                load.uris, table.reference, job_id=job_id, job_config=config, retry=warehouse.retry
            )
        except Conflict:  # the answer to a first try was lost: the job has a name of its own, and runs once
            job = cast(bigquery.LoadJob, client.get_job(job_id, retry=warehouse.retry))
        job.result(retry=warehouse.retry, timeout=JOB_SECONDS)
    return job


@contextmanager
def _job_errors(doing: str, load: LakeLoad) -> Iterator[None]:
    """Says the reason of a failed load job and the object that it failed on."""
    from google.api_core.exceptions import GoogleAPICallError

    try:
        yield
    except GoogleAPICallError as error:
        causes = [item for item in error.errors or [] if isinstance(item, dict) and item.get("reason")]
        if not causes or error.code in (401, 403):
            raise
        cause = next((item for item in causes if str(item.get("location", "")).startswith("gs://")), causes[0])
        named = [uri for uri in load.uris if uri in f"{cause.get('location')} {cause.get('message')}"]
        kind = TransientError if cause["reason"] in TRANSIENT_REASONS else TaxiError
        raise kind(
            f"{doing} failed.",
            found=f"{cause['reason']}: {' '.join(str(cause.get('message')).split())[:500]}",
            where=", ".join(named) or f"one of {len(load.uris)} objects, from {load.uris[0]}",
            intact="the month as it was before",
            next_step=f"store the month in the lake again: taxi run {load.entry.service} --months {load.month} --force",
        ) from error


def _verify_staging(warehouse: Warehouse, target: Target, load: LakeLoad, staging: str) -> None:
    name = name_in_sql(target.project, target.dataset, staging)
    (row,) = warehouse.ask(f"{TOTALS} {name}")[1]
    if (row.trips, row.cents) != (load.entry.rows_kept, load.entry.cents):
        raise TaxiError(
            f"BigQuery read other rows of {load.entry.service} {load.month} from the lake than were cleaned.",
            expected=f"{load.entry.rows_kept} rows, {load.entry.cents} cents",
            found=f"{row.trips} rows, {row.cents} cents",
            where=f"the staging table of {target}",
            intact="the month as it was before",
            next_step=f"store the month in the lake again: taxi run {load.entry.service} --months {load.month} --force",
        )


def _replacement(target: Target, load: LakeLoad, staging: str, logged: dict[str, Any]) -> str:
    """The transaction: a condition that fails raises an error, and BigQuery takes everything back."""
    month = value_in_sql(load.entry.source_month)
    columns = ", ".join(name_in_sql(column.name) for column in target.service.columns)
    log_columns = ", ".join(LOG_COLUMNS)
    values = ", ".join(value_in_sql(logged[name]) for name in LOG_COLUMNS)
    expected = f"{load.entry.rows_kept} rows, {load.entry.cents} cents were cleaned; BigQuery would hold others"
    return f"""
        BEGIN TRANSACTION;
        DELETE FROM {target.in_sql} WHERE source_month = {month};
        INSERT INTO {target.in_sql} ({columns})
        SELECT {selected(target.service, load.shape)} FROM {name_in_sql(target.project, target.dataset, staging)};
        SELECT IF(trips = {load.entry.rows_kept} AND cents = {load.entry.cents}, 0, ERROR({value_in_sql(expected)}))
        FROM ({TOTALS} {target.in_sql} WHERE source_month = {month});
        INSERT INTO {target.log} ({log_columns}) VALUES ({values});
        COMMIT TRANSACTION;
    """  # noqa: S608


def run_transaction(warehouse: Warehouse, script: str, name: str) -> bigquery.QueryJob:
    """Runs a script with a transaction as a job of that name; when another transaction was in its way, again."""
    from google.api_core.exceptions import Conflict
    from google.cloud.bigquery import QueryJob, QueryJobConfig

    def once() -> bigquery.QueryJob:
        job_id = f"{name}_{uuid4().hex[:8]}"
        config = QueryJobConfig(labels=LABELS)
        try:
            return warehouse.ask(script, job_id=job_id, job_config=config)[0]
        except Conflict:
            job = cast(QueryJob, warehouse.client.get_job(job_id, retry=warehouse.retry))
            job.result(retry=warehouse.retry, job_retry=None, timeout=JOB_SECONDS)
            return job

    again = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and is_conflict(error)),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        stop=stop_after_delay(CONFLICT_SECONDS),
        reraise=True,
    )
    return again(once)
