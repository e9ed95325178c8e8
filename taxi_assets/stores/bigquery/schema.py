"""Tables in BigQuery, created and kept as the registry describes them, and values in its SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.resource import BigQuerySession
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import date_column
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.table import Table, TableRef, quoted
from taxi_assets.trips.columns import SOURCE_MONTH, Column, Service

if TYPE_CHECKING:
    from google.cloud import bigquery

REJECTED = "_rejected"
"""What the name of the table of rejected rows ends with."""
LOG_TABLE = "taxi_assets_load_log"
STAGING_HOURS = 6
"""After these hours BigQuery drops a staging table."""
LABELS = {"managed_by": "taxi_assets"}

_LOG_TYPES = {"int": "INT64", "float | None": "FLOAT64", "int | None": "INT64", "date": "DATE"}
_STANDARD_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
LOG_COLUMNS = {
    "loaded_at": "TIMESTAMP",
    **{
        item.name: _LOG_TYPES.get(str(item.type), "STRING")
        for item in fields(LoadEntry)
        if item.name not in ("id", "loaded_at")
    },
    "load_job": "STRING",
    "manifest": "STRING",
    "generation": "INT64",
}
"""The columns of the load log and their types; mappings are JSON text. `manifest` and `generation` name the month of
the lake that was loaded, in its version."""


def value_in_sql(value: Any) -> str:
    """A value as a literal of BigQuery's SQL. Scripts of several statements take no parameters in the emulator."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
    if isinstance(value, date):
        return f"DATE '{value:%Y-%m-%d}'"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(text, ensure_ascii=False)


def schema(columns: Sequence[Column]) -> list[bigquery.SchemaField]:
    """The registry's columns as BigQuery describes them."""
    from google.cloud.bigquery import SchemaField

    return [SchemaField(column.name, column.type.bigquery, description=column.comment) for column in columns]


def staging_columns(cloud: GoogleCloud, service: Service, shape: str) -> list[Column]:
    """The columns of the staging table: those of the lake's files.

    Files partitioned by day leave the day out. The emulator reads files by position and appends the folder's key;
    BigQuery does not, unless it is asked.
    """
    columns = list(service.columns)
    if shape == "date":
        day = date_column(service)
        columns.remove(day)
        if cloud.kind != "google":
            columns.append(day)
    return columns


def selected(service: Service, shape: str) -> str:
    """What fills the table's columns from the staging table."""
    day = date_column(service) if shape == "date" else None
    return ", ".join(
        f"DATE({quoted(service.pickup)})" if column == day else quoted(column.name) for column in service.columns
    )


def trips_table(session: BigQuerySession, service: Service, declared: TableRef) -> Table:
    """The table for the trips of a service."""
    description = f"{service.title}: the trips of the TLC's monthly files, replaced month by month."
    return Table(session.table(declared), service.columns, description, service.pickup)


def rejected_table(session: BigQuerySession, service: Service, declared: TableRef) -> Table:
    """The table for the rejected rows of a service, beside that of the trips."""
    description = f"{service.title}: the rows that were left out of {declared.name}, and why; replaced month by month."
    ref = session.table(declared).with_suffix(REJECTED)
    return Table(ref, service.rejected_columns, description, service.pickup)


def log_table(table: TableRef) -> TableRef:
    """The load log beside a table of trips."""
    return table.model_copy(update={"name": LOG_TABLE})


def ensure_trips_tables(session: BigQuerySession, tables: Sequence[Table], service: Service) -> None:
    """Creates dataset, load log and tables where they are missing, and adds new columns.

    Args:
        session: Where they are.
        tables: The tables of trips and of rejected rows, of one dataset.
        service: The service.

    Raises:
        TaxiError: A table has a column of another type, or is not partitioned by the file's month.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    columns = [bigquery.SchemaField(name, kind) for name, kind in LOG_COLUMNS.items()]
    log = bigquery.Table(str(log_table(tables[0].ref)), columns)
    log.description = "One row a load of a month of trips: from which file, how much, by whom. Rows are only added."
    log.labels = LABELS
    for table, described in [(None, log), *((each, _described(each, service=service.name)) for each in tables)]:
        try:
            existing = session.client.get_table(described.reference, retry=session.retry)
        except NotFound:
            if table is None:
                ensure_dataset(session, tables[0].ref)
            existing = session.client.create_table(described, exists_ok=True, retry=session.retry)
        if table:
            _fit(session, table, existing)
        else:
            _add_columns(session, log_table(tables[0].ref), LOG_COLUMNS, existing)


def _add_columns(
    session: BigQuerySession, table: TableRef, columns: Mapping[str, str], existing: bigquery.Table
) -> None:
    present = {field.name for field in existing.schema}
    for name, kind in columns.items():
        if name not in present:  # a statement each: the emulator takes one column at a time
            session.query(f"ALTER TABLE {table.bigquery} ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}")


def ensure_table(session: BigQuerySession, table: Table) -> None:
    """Creates dataset and table where they are missing.

    Raises:
        TaxiError: The existing table has other columns.
    """
    from google.api_core.exceptions import NotFound

    try:
        existing = session.client.get_table(str(table), retry=session.retry)
    except NotFound:
        ensure_dataset(session, table.ref)
        existing = session.client.create_table(_described(table), exists_ok=True, retry=session.retry)
    names, existing_names = [column.name for column in table.columns], [field.name for field in existing.schema]
    if names != existing_names:
        raise TaxiError(
            f"The table {table.ref.in_database} in BigQuery has other columns than its summary.",
            expected=", ".join(names),
            found=", ".join(existing_names),
            where=str(table),
            intact="the table and its rows",
            next_step="drop the table and materialize its months again, or name another one in the YAML file",
        )


def ensure_dataset(session: BigQuerySession, table: TableRef) -> None:
    """Creates the dataset of a table where it is missing."""
    from google.cloud import bigquery

    dataset = bigquery.Dataset(f"{table.database}.{table.namespace}")
    dataset.labels = LABELS
    if session.cloud.location:
        dataset.location = session.cloud.location
    session.client.create_dataset(dataset, exists_ok=True, retry=session.retry)


def _described(table: Table, **labels: str) -> bigquery.Table:
    from google.cloud import bigquery

    described = bigquery.Table(str(table), schema(table.columns))
    described.description, described.labels = table.description, {**LABELS, **labels}
    if table.monthly:
        kind = bigquery.TimePartitioningType.MONTH
        described.time_partitioning = bigquery.TimePartitioning(kind, field=SOURCE_MONTH.name)
    if table.pickup:
        described.clustering_fields = [table.pickup]
    return described


def _fit(session: BigQuerySession, table: Table, existing: bigquery.Table) -> None:
    wanted = {column.name: column for column in table.columns}
    types = {field.name: _STANDARD_TYPES.get(field.field_type, field.field_type) for field in existing.schema}
    wrong = [name for name, kind in types.items() if name in wanted and kind != wanted[name].type.bigquery]
    partition = existing.time_partitioning.field if existing.time_partitioning else None
    if wrong or partition != SOURCE_MONTH.name:
        raise TaxiError(
            f"The table {table.ref.in_database} in BigQuery is not one of this platform's.",
            expected=f"partitions by {SOURCE_MONTH.name}; "
            + ", ".join(f"{name} {wanted[name].type.bigquery}" for name in wrong),
            found=f"partitions by {partition}; {', '.join(f'{name} {types[name]}' for name in wrong)}",
            where=str(table),
            intact="the table and its rows",
            next_step="rename that table, or name another one in the pipeline's YAML",
        )
    missing = [column for column in table.columns if column.name not in types]
    _add_columns(session, table.ref, {column.name: column.type.bigquery for column in table.columns}, existing)
    descriptions = {field.name: field.description for field in existing.schema}
    changed = [name for name, column in wanted.items() if descriptions.get(name, column.comment) != column.comment]
    if missing or changed:
        fields = [schema([wanted[field.name]])[0] if field.name in wanted else field for field in existing.schema]
        existing.schema = [*fields, *schema(missing)]
        session.client.update_table(existing, ["schema"], retry=session.retry)


def expires() -> datetime:
    """When BigQuery drops a staging table that is created now."""
    return datetime.now(UTC) + timedelta(hours=STAGING_HOURS)
