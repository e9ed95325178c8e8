"""Replaces rows of a table in BigQuery: a month of it, all of it, or the table with its columns.

The new rows come as an Arrow table, as Parquet objects of a bucket, or as a query. A load job brings an Arrow table or
objects into a staging table, which is verified; then one transaction deletes the old rows, inserts the new ones,
counts once more and runs further statements, such as that of the load log. Readers see the old rows until it commits.
A killed load leaves a staging table, which the next load of the month removes, or BigQuery after some hours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.resource import JOB_SECONDS, TOTALS, BigQuerySession
from taxi_assets.stores.bigquery.schema import LABELS, ensure_table, expires, schema, value_in_sql
from taxi_assets.stores.google.errors import is_conflict, load_job_errors
from taxi_assets.stores.table import Table, TableRef, quoted
from taxi_assets.trips.columns import SOURCE_MONTH, Column, arrow_schema

if TYPE_CHECKING:
    from google.cloud import bigquery

CONFLICT_SECONDS = 300
"""How long a replacement is retried while other transactions change the same table."""


@dataclass(frozen=True)
class Query:
    """Rows as a query of BigQuery's SQL that names the table's columns in their order."""

    sql: str


@dataclass(frozen=True)
class Objects:
    """Rows as Parquet objects of a bucket.

    Attributes:
        uris: The objects, `gs://…`.
        fields: Their columns.
        name: What they are, for errors: `yellow 2021-01`.
        job: What the names of their jobs hold: `yellow_2021-01`.
        rows: Their row count.
        cents: Whole cents of their `total_amount`; None: they have none.
        select: What fills the table's columns.
        labels: Labels of the staging table and of the jobs.
        verify: Called after the load job: raises when the objects are others than before.
        next_step: What a person does when they cannot be loaded.
    """

    uris: Sequence[str]
    fields: Sequence[bigquery.SchemaField]
    name: str
    job: str
    rows: int
    cents: int | None = None
    select: str = "*"
    labels: dict[str, str] = field(default_factory=dict)
    verify: Callable[[], None] = lambda: None
    next_step: str = "see what BigQuery says"


@dataclass(frozen=True)
class Replaced:
    """A replacement that is done: the rows of the month or the table now, and the jobs."""

    rows: int
    replace_job: bigquery.QueryJob
    load_job: bigquery.LoadJob | None = None


Statements = Callable[["bigquery.LoadJob"], Sequence[str]]
"""Makes further statements for the transaction, from the load job that is done."""


def replace_rows(session: BigQuerySession, table: Table, rows: pa.Table | Query, month: date | None = None) -> Replaced:
    """Replaces a month of a table, or all of a table that has no months.

    Args:
        session: Where the table is; it is created with its dataset where it is missing.
        table: The table, with its project.
        rows: The new rows.
        month: The month; None exactly where the table has no months.

    Raises:
        TaxiError: The existing table has other columns. It is as it was.
        google.api_core.exceptions.GoogleAPICallError: BigQuery refused; the table is as it was.
    """
    if (month is not None) != table.monthly:
        raise ValueError(f"{table} {'has' if table.monthly else 'has no'} months")
    ensure_table(session, table)
    name, names = f"taxi_replace_{table.ref.name}", ", ".join(quoted(column.name) for column in table.columns)
    if isinstance(rows, Query):
        job = run_transaction(session, _script(table, rows.sql, month), name)
        count = f"SELECT COUNT(*) AS trips FROM {table.ref.bigquery} WHERE {_where(month)}"  # noqa: S608
        (row,) = session.query(count)[1]
        return Replaced(int(row.trips), job)
    staging = _staging(table.ref, month)
    with _dropped(session, staging):
        load_job = _load(session, rows, staging, schema(table.columns))
        script = _script(table, f"SELECT {names} FROM {staging.bigquery}", month, rows.num_rows)  # noqa: S608
        return Replaced(rows.num_rows, run_transaction(session, script, name), load_job)


def replace_month(
    session: BigQuerySession, table: Table, objects: Objects, month: date, statements: Statements
) -> Replaced:
    """Replaces a month of a table by the rows of objects. The caller holds the lock of the month.

    Args:
        session: Where the table is.
        table: The table, with its project; it exists.
        objects: The new rows.
        month: The month.
        statements: Further statements for the transaction.

    Raises:
        TaxiError: The load job failed, or BigQuery read other rows than `objects` declares; the table is as it was.
        google.api_core.exceptions.GoogleAPICallError: BigQuery refused; the table is as it was.
    """
    staging = _staging(table.ref, month)
    _sweep(session, staging)
    with _dropped(session, staging):
        load_job = _load(session, objects, staging, objects.fields)
        objects.verify()
        _verify_staging(session, objects, staging, table.ref)
        select = f"SELECT {objects.select} FROM {staging.bigquery}"  # noqa: S608
        script = _script(table, select, month, objects.rows, objects.cents, statements(load_job))
        return Replaced(objects.rows, run_transaction(session, script, f"taxi_replace_{objects.job}"), load_job)


def replace_table(session: BigQuerySession, table: TableRef, objects: Objects, description: str) -> Replaced:
    """Replaces a table, columns included, by the rows of objects; readers see the old table or the new one.

    In BigQuery a load job alone would do; in the emulator, neither that nor a copy job takes new columns.
    """
    staging = _staging(table, None)
    with _dropped(session, staging):
        load_job = _load(session, objects, staging, objects.fields)
        _verify_staging(session, objects, staging, table)
        labels = ", ".join(f"({value_in_sql(key)}, {value_in_sql(text)})" for key, text in objects.labels.items())
        options = f"description = {value_in_sql(description)}, labels = [{labels}]"
        select = f"SELECT {objects.select} FROM {staging.bigquery}"  # noqa: S608
        job, _ = session.query(f"CREATE OR REPLACE TABLE {table.bigquery} OPTIONS ({options}) AS {select}")
        # The descriptions of the columns; and in the emulator, which forgets them, the options as well.
        new = session.client.get_table(str(table), retry=session.retry)
        new.description, new.labels, new.schema = description, objects.labels, list(objects.fields)
        session.client.update_table(new, ["description", "labels", "schema"], retry=session.retry)
    return Replaced(objects.rows, job, load_job)


def read_rows(session: BigQuerySession, table: Table, month: date | None = None) -> pa.Table:
    """The rows of a month of a table, or all of a table that has no months."""
    # No emulator has BigQuery's Storage API.
    rows = session.query(select_rows(table, month))[1].to_arrow(create_bqstorage_client=session.cloud.kind == "google")
    return fitted(rows, table.columns)


def select_rows(table: Table, month: date | None) -> str:
    """The query for these rows."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    return f"SELECT {names} FROM {table.ref.bigquery} WHERE {_where(month)}"  # noqa: S608


def fitted(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """Rows with the columns, types and order that a table declares.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit its column's type.
    """
    wanted = arrow_schema(columns)
    return rows.select(wanted.names).cast(wanted)


def _where(month: date | None) -> str:
    return "TRUE" if month is None else f"{SOURCE_MONTH.name} = {value_in_sql(month)}"


def _staging(table: TableRef, month: date | None) -> TableRef:
    """A staging table for a load of that month, beside its table."""
    return table.with_suffix(f"_staging_{f'{month:%Y%m}_' if month else ''}{uuid4().hex[:8]}")


def _sweep(session: BigQuerySession, staging: TableRef) -> None:
    """Removes what killed loads of the month left."""
    prefix = staging.name[:-8]
    for item in session.client.list_tables(f"{staging.database}.{staging.namespace}", retry=session.retry):
        if item.table_id.startswith(prefix):
            session.client.delete_table(item.reference, not_found_ok=True, retry=session.retry)


@contextmanager
def _dropped(session: BigQuerySession, staging: TableRef) -> Iterator[None]:
    """Drops the staging table after the block."""
    try:
        yield
    finally:
        with suppress(Exception):
            session.client.delete_table(str(staging), not_found_ok=True, retry=session.retry)


def _load(
    session: BigQuerySession, rows: pa.Table | Objects, staging: TableRef, fields: Sequence[bigquery.SchemaField]
) -> bigquery.LoadJob:
    """Creates the staging table and fills it by a load job, which it returns done."""
    from google.cloud import bigquery

    labels = {**LABELS, **rows.labels} if isinstance(rows, Objects) else LABELS
    table = bigquery.Table(str(staging), fields)
    table.expires, table.labels = expires(), labels
    session.client.create_table(table, retry=session.retry)
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=fields,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels=labels,
    )
    if isinstance(rows, Objects):
        return _load_objects(session, rows, table, config)
    file = io.BytesIO()
    pq.write_table(rows.select([field.name for field in fields]), file, compression="zstd")
    # Without its size the client sends it in a resumable upload, in chunks that are retried. The emulator refuses the
    # media type of the other kind, which the client takes for what is small.
    job = session.client.load_table_from_file(file, table.reference, rewind=True, size=None, job_config=config)
    job.result(retry=session.retry, timeout=JOB_SECONDS)
    return job


def _load_objects(session: BigQuerySession, objects: Objects, table: Any, config: Any) -> bigquery.LoadJob:
    from google.api_core.exceptions import Conflict

    job_id = f"taxi_load_{objects.job}_{uuid4().hex[:8]}"
    with load_job_errors(f"The load job {job_id} of {objects.name}", objects.uris, objects.next_step):
        try:
            job = session.client.load_table_from_uri(
                objects.uris, table.reference, job_id=job_id, job_config=config, retry=session.retry
            )
        except Conflict:  # the answer to a first request was lost: the job has a name of its own, and runs once
            job = cast("bigquery.LoadJob", session.client.get_job(job_id, retry=session.retry))
        job.result(retry=session.retry, timeout=JOB_SECONDS)
    return job


def _verify_staging(session: BigQuerySession, objects: Objects, staging: TableRef, table: TableRef) -> None:
    totals = "SELECT COUNT(*) AS trips, NULL AS cents FROM" if objects.cents is None else TOTALS
    (row,) = session.query(f"{totals} {staging.bigquery}")[1]
    if (row.trips, row.cents) != (objects.rows, objects.cents):
        raise TaxiError(
            f"BigQuery read other rows of {objects.name} than were cleaned.",
            expected=_totals(objects.rows, objects.cents),
            found=_totals(row.trips, row.cents),
            where=f"the staging table of {table.in_database}",
            intact="the table as it was before",
            next_step=objects.next_step,
        )


def _totals(rows: int, cents: int | None) -> str:
    return f"{rows} rows" + ("" if cents is None else f", {cents} cents")


def _script(
    table: Table,
    select: str,
    month: date | None,
    rows: int | None = None,
    cents: int | None = None,
    statements: Sequence[str] = (),
) -> str:
    """The transaction: a condition that fails raises an error, and BigQuery takes everything back."""
    name, names = table.ref.bigquery, ", ".join(quoted(column.name) for column in table.columns)
    script = [f"DELETE FROM {name} WHERE {_where(month)}", f"INSERT INTO {name} ({names}) {select}"]  # noqa: S608
    if rows is not None:
        text = value_in_sql(f"{_totals(rows, cents)} were to be written; {table.ref.in_database} would hold others")
        expected = f"trips = {rows}" + ("" if cents is None else f" AND cents = {cents}")
        totals = "SELECT COUNT(*) AS trips FROM" if cents is None else TOTALS
        script.append(f"SELECT IF({expected}, 0, ERROR({text})) FROM ({totals} {name} WHERE {_where(month)})")  # noqa: S608
    return ";\n".join(["BEGIN TRANSACTION", *script, *statements, "COMMIT TRANSACTION", ""])


def run_transaction(session: BigQuerySession, script: str, name: str) -> bigquery.QueryJob:
    """Runs a script with a transaction as a job of that name; again when another transaction was in its way."""
    from google.api_core.exceptions import Conflict
    from google.cloud.bigquery import QueryJob, QueryJobConfig

    def once() -> bigquery.QueryJob:
        job_id = f"{name}_{uuid4().hex[:8]}"
        try:
            return session.query(script, job_id=job_id, job_config=QueryJobConfig(labels=LABELS))[0]
        except Conflict:
            job = cast(QueryJob, session.client.get_job(job_id, retry=session.retry))
            job.result(retry=session.retry, job_retry=None, timeout=JOB_SECONDS)
            return job

    again = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and is_conflict(error)),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        stop=stop_after_delay(CONFLICT_SECONDS),
        reraise=True,
    )
    return again(once)
