"""Replaces rows of a table in BigQuery: a month of it, all of it, or the table with its columns.

The new rows come as an Arrow table, as Parquet objects of a bucket, or as a query. A load job brings an Arrow table or
objects into a staging table, which is verified; then one transaction deletes the old rows, inserts the new ones and
counts once more. Readers see the old rows until it commits. A killed load leaves a staging table, which BigQuery drops
after some hours. `month` does the same with a month of trips and of rejected rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.resource import JOB_SECONDS, BigQuerySession, totals
from taxi_assets.stores.bigquery.schema import LABELS, ensure_table, expires, schema, value_in_sql
from taxi_assets.stores.google.errors import is_conflict, is_passing, load_job_errors
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
    next_step: str = "see what BigQuery says"


@dataclass(frozen=True)
class Replaced:
    """A replacement that is done: the rows of the month or the table now, and the jobs."""

    rows: int
    replace_job: bigquery.QueryJob
    load_job: bigquery.LoadJob | None = None


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
        job = run_transaction(session, transaction(replacement(table, rows.sql, month)), ids(name))
        counted = f"SELECT COUNT(*) AS trips FROM {table.ref.bigquery} WHERE {_where(month)}"  # noqa: S608
        (row,) = session.query(counted)[1]
        return Replaced(int(row.trips), job)
    staging = _staging(table.ref, month)
    with dropped(session, staging):
        load_job = _load_rows(session, rows, staging, schema(table.columns))
        script = replacement(table, f"SELECT {names} FROM {staging.bigquery}", month, rows.num_rows)  # noqa: S608
        return Replaced(rows.num_rows, run_transaction(session, transaction(script), ids(name)), load_job)


def replace_table(session: BigQuerySession, table: TableRef, objects: Objects, description: str) -> Replaced:
    """Replaces a table, columns included, by the rows of objects; readers see the old table or the new one.

    In BigQuery a load job alone would do; in the emulator, neither that nor a copy job takes new columns.
    """
    staging = _staging(table, None)
    with dropped(session, staging):
        load_job = begin_load(session, objects, staging, f"taxi_load_{objects.job}_{uuid4().hex[:8]}")
        end_load(session, objects, load_job)
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


@contextmanager
def dropped(session: BigQuerySession, *staging: TableRef, resumed: bool = False) -> Iterator[None]:
    """Drops staging tables after the block; `resumed`: not after an error that passes, as the next try needs them."""
    kept = False
    try:
        yield
    except Exception as error:
        kept = resumed and is_passing(error)
        raise
    finally:
        for table in () if kept else staging:
            with suppress(Exception):
                session.client.delete_table(str(table), not_found_ok=True, retry=session.retry)


def _staged(
    session: BigQuerySession, staging: TableRef, fields: Sequence[bigquery.SchemaField], labels: dict[str, str]
) -> tuple[Any, Any]:
    """Creates a staging table; returns it, and the configuration of the job that fills it."""
    from google.cloud import bigquery

    table = bigquery.Table(str(staging), fields)
    table.expires, table.labels = expires(), labels
    session.client.create_table(table, exists_ok=True, retry=session.retry)
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=fields,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels=labels,
    )
    return table.reference, config


def _load_rows(
    session: BigQuerySession, rows: pa.Table, staging: TableRef, fields: Sequence[bigquery.SchemaField]
) -> bigquery.LoadJob:
    """Creates the staging table and fills it by a load job, which it returns done."""
    table, config = _staged(session, staging, fields, LABELS)
    file = io.BytesIO()
    pq.write_table(rows.select([field.name for field in fields]), file, compression="zstd")
    # Without its size the client sends it in a resumable upload, in chunks that are retried. The emulator refuses the
    # media type of the other kind, which the client takes for what is small.
    job = session.client.load_table_from_file(file, table, rewind=True, size=None, job_config=config)
    job.result(retry=session.retry, timeout=JOB_SECONDS)
    return job


def begin_load(session: BigQuerySession, objects: Objects, staging: TableRef, job_id: str) -> bigquery.LoadJob:
    """Creates the staging table and starts the load job of that id; where it exists already, returns it."""
    from google.api_core.exceptions import Conflict

    table, config = _staged(session, staging, objects.fields, {**LABELS, **objects.labels})
    with load_job_errors(f"The load job {job_id} of {objects.name}", objects.uris, objects.next_step):
        try:
            return session.client.load_table_from_uri(
                objects.uris, table, job_id=job_id, job_config=config, retry=session.retry
            )
        except Conflict:  # an answer was lost: the job has a name of its own, and runs once
            return cast("bigquery.LoadJob", session.client.get_job(job_id, retry=session.retry))


def end_load(session: BigQuerySession, objects: Objects, job: bigquery.LoadJob) -> None:
    """Waits for a load job.

    Raises:
        TaxiError: It failed; says why and on which object.
    """
    with load_job_errors(f"The load job {job.job_id} of {objects.name}", objects.uris, objects.next_step):
        job.result(retry=session.retry, timeout=JOB_SECONDS)


def _verify_staging(session: BigQuerySession, objects: Objects, staging: TableRef, table: TableRef) -> None:
    (row,) = session.query(f"{totals(objects.cents is not None)} {staging.bigquery}")[1]
    require_totals(objects, (row.trips, row.cents), table)


def require_totals(objects: Objects, counted: tuple[int, int | None], table: TableRef) -> None:
    """Makes sure that a staging table holds what the objects hold.

    Raises:
        TaxiError: It does not.
    """
    if counted != (objects.rows, objects.cents):
        raise TaxiError(
            f"BigQuery read other rows of {objects.name} than were cleaned.",
            expected=_totals(objects.rows, objects.cents),
            found=_totals(*counted),
            where=f"the staging table of {table.in_database}",
            intact="the table as it was before",
            next_step=objects.next_step,
        )


def _totals(rows: int, cents: int | None) -> str:
    return f"{rows} rows" + ("" if cents is None else f", {cents} cents")


def replacement(
    table: Table, select: str, month: date | None, rows: int | None = None, cents: int | None = None
) -> list[str]:
    """The statements that replace rows and count them: one raises an error where the count is another."""
    name, names = table.ref.bigquery, ", ".join(quoted(column.name) for column in table.columns)
    script = [f"DELETE FROM {name} WHERE {_where(month)}", f"INSERT INTO {name} ({names}) {select}"]  # noqa: S608
    if rows is not None:
        text = value_in_sql(f"{_totals(rows, cents)} were to be written; {table.ref.in_database} would hold others")
        expected = f"trips = {rows}" + ("" if cents is None else f" AND cents = {cents}")
        counted = f"{totals(cents is not None)} {name} WHERE {_where(month)}"
        script.append(f"SELECT IF({expected}, 0, ERROR({text})) FROM ({counted})")  # noqa: S608
    return script


def transaction(statements: Sequence[str]) -> str:
    """A script that runs them in one transaction: after an error, BigQuery takes everything back."""
    return ";\n".join(["BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION", ""])


def ids(name: str) -> Iterator[str]:
    """Ids of jobs with that name."""
    return (f"{name}_{uuid4().hex[:8]}" for _ in count())


def run_transaction(session: BigQuerySession, script: str, job_ids: Iterator[str]) -> bigquery.QueryJob:
    """Runs a script as the job of the first of these ids; of the next one when another transaction was in its way."""
    from google.api_core.exceptions import Conflict
    from google.cloud.bigquery import QueryJob, QueryJobConfig

    def once() -> bigquery.QueryJob:
        job_id = next(job_ids)
        try:
            return session.query(script, job_id=job_id, job_config=QueryJobConfig(labels=LABELS))[0]
        except Conflict:  # an answer was lost: the job has a name of its own, and runs once
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
