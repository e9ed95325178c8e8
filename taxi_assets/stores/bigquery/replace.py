"""Small tables in BigQuery, such as summaries: a month of one, or all of it, replaced in one transaction.

The new rows come as an Arrow table, loaded into a staging table first, or as a query that BigQuery runs inside the
transaction. Readers see the old rows until it commits; a load that is killed leaves a staging table, which BigQuery
drops after some hours.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.client import JOB_SECONDS, Warehouse
from taxi_assets.stores.bigquery.load import run_transaction
from taxi_assets.stores.bigquery.schema import LABELS, expires, name_in_sql, schema, value_in_sql
from taxi_assets.trips.columns import SOURCE_MONTH, Column, arrow_schema

if TYPE_CHECKING:
    from google.cloud import bigquery


@dataclass(frozen=True)
class SmallTable:
    """A table of the warehouse.

    Attributes:
        dataset: Its dataset.
        table: Its name.
        columns: Its columns; where `source_month` is among them, it is partitioned by it.
        description: What it holds, for whoever finds it in BigQuery.
    """

    dataset: str
    table: str
    columns: tuple[Column, ...]
    description: str

    def __str__(self) -> str:
        return f"{self.dataset}.{self.table}"

    @property
    def monthly(self) -> bool:
        """Whether it is replaced month by month."""
        return SOURCE_MONTH in self.columns

    def in_sql(self, project: str) -> str:
        """Its name, quoted for SQL."""
        return name_in_sql(project, self.dataset, self.table)


@dataclass(frozen=True)
class Query:
    """Rows as a query of BigQuery's SQL that names the table's columns in their order."""

    sql: str


@dataclass(frozen=True)
class Written:
    """What a replacement did: where, how many rows stand there now, and the job of the transaction."""

    place: str
    rows: int
    job: str


def replace_rows(warehouse: Warehouse, table: SmallTable, rows: pa.Table | Query, month: date | None = None) -> Written:
    """Replaces a month of a table, or all of a table that has no months.

    Args:
        warehouse: Where the table is; made with its dataset where it is missing.
        table: The table.
        rows: The new rows.
        month: The month; None exactly where the table has no months.

    Raises:
        TaxiError: The table there has other columns. It is as it was.
        google.api_core.exceptions.GoogleAPICallError: BigQuery refused; the table is as it was.
    """
    if (month is not None) != table.monthly:
        raise ValueError(f"{table} {'has' if table.monthly else 'has no'} months")
    _ensure(warehouse, table)
    if isinstance(rows, Query):
        return _replace(warehouse, table, rows.sql, month)
    with _staged(warehouse, table, rows) as staging:
        return _replace(warehouse, table, f"SELECT {_names(table)} FROM {staging}", month, rows.num_rows)  # noqa: S608


def _names(table: SmallTable) -> str:
    return ", ".join(name_in_sql(column.name) for column in table.columns)


def _replace(
    warehouse: Warehouse, table: SmallTable, select: str, month: date | None, expected: int | None = None
) -> Written:
    """The transaction; rows that do not arrive whole are an error, and BigQuery takes everything back."""
    name = table.in_sql(warehouse.client.project)
    where = "TRUE" if month is None else f"{SOURCE_MONTH.name} = {value_in_sql(month)}"
    count = f"SELECT COUNT(*) AS found FROM {name} WHERE {where}"  # noqa: S608
    script = [f"DELETE FROM {name} WHERE {where}", f"INSERT INTO {name} ({_names(table)}) {select}"]  # noqa: S608
    if expected is not None:
        says = value_in_sql(f"{expected} rows were to be written; {table} would hold others")
        script.append(f"SELECT IF(found = {expected}, 0, ERROR({says})) FROM ({count})")  # noqa: S608
    lines = ";\n".join(["BEGIN TRANSACTION", *script, "COMMIT TRANSACTION"])
    job = run_transaction(warehouse, f"{lines};", f"taxi_replace_{table.table}")
    (row,) = warehouse.ask(count)[1]
    return Written(f"{warehouse.client.project}.{table}", int(row.found), job.job_id)


@contextmanager
def _staged(warehouse: Warehouse, table: SmallTable, rows: pa.Table) -> Iterator[str]:
    """The rows in a table of their own, whose name it yields, quoted for SQL."""
    from google.cloud import bigquery

    client = warehouse.client
    columns = schema(table.columns)
    name = f"{table.table}_staging_{uuid4().hex[:8]}"
    staging = bigquery.Table(f"{client.project}.{table.dataset}.{name}", columns)
    staging.expires, staging.labels = expires(), LABELS
    client.create_table(staging, retry=warehouse.retry)
    try:
        load(warehouse, rows, staging.reference, columns)
        yield name_in_sql(client.project, table.dataset, name)
    finally:
        with suppress(Exception):
            client.delete_table(staging.reference, not_found_ok=True, retry=warehouse.retry)


def load(warehouse: Warehouse, rows: pa.Table, target: Any, columns: list[bigquery.SchemaField]) -> None:
    """A load job that puts these rows into a table, in the place of its rows."""
    from google.cloud import bigquery

    file = io.BytesIO()
    names = [column.name for column in columns]
    pq.write_table(rows.select(names), file, compression="zstd")
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=columns,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels=LABELS,
    )
    # Without its size the client sends it in a resumable upload, in chunks that are tried again. The emulator refuses
    # the media type of the other kind, which the client takes for what is small.
    job = warehouse.client.load_table_from_file(file, target, rewind=True, size=None, job_config=config)
    job.result(retry=warehouse.retry, timeout=JOB_SECONDS)


def read_rows(warehouse: Warehouse, table: SmallTable, month: date | None) -> pa.Table:
    """The rows of a month of a table, or all of them where `month` is None."""
    where = "" if month is None else f" WHERE {SOURCE_MONTH.name} = {value_in_sql(month)}"
    sql = f"SELECT {_names(table)} FROM {table.in_sql(warehouse.client.project)}{where}"  # noqa: S608
    # No emulator has BigQuery's Storage API.
    rows = warehouse.ask(sql)[1].to_arrow(create_bqstorage_client=warehouse.cloud.kind == "google")
    return fitted(rows, table.columns)


def _ensure(warehouse: Warehouse, table: SmallTable) -> None:
    """Makes dataset and table where they are missing.

    Raises:
        TaxiError: The table that is there has other columns.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    client = warehouse.client
    wanted = bigquery.Table(f"{client.project}.{table}", schema(table.columns))
    wanted.description, wanted.labels = table.description, LABELS
    if table.monthly:
        kind = bigquery.TimePartitioningType.MONTH
        wanted.time_partitioning = bigquery.TimePartitioning(kind, field=SOURCE_MONTH.name)
    try:
        found = client.get_table(wanted.reference, retry=warehouse.retry)
    except NotFound:
        ensure_dataset(warehouse, table.dataset)
        found = client.create_table(wanted, exists_ok=True, retry=warehouse.retry)
    names, there = [column.name for column in table.columns], [field.name for field in found.schema]
    if names != there:
        raise TaxiError(
            f"The table {table} in BigQuery has other columns than its summary.",
            expected=", ".join(names),
            found=", ".join(there),
            where=f"{client.project}.{table}",
            intact="the table and its rows",
            next_step="drop the table and materialize its months again, or name another one in the YAML file",
        )


def ensure_dataset(warehouse: Warehouse, name: str) -> None:
    """Makes a dataset where it is missing."""
    from google.cloud import bigquery

    dataset = bigquery.Dataset(f"{warehouse.client.project}.{name}")
    dataset.labels = LABELS
    if warehouse.cloud.location:
        dataset.location = warehouse.cloud.location
    warehouse.client.create_dataset(dataset, exists_ok=True, retry=warehouse.retry)


def fitted(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """Rows with the columns, types and order that a table declares.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit its column's type.
    """
    wanted = arrow_schema(columns)
    return rows.select(wanted.names).cast(wanted)
