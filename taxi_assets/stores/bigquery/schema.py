"""Tables in BigQuery, made and kept as the registry describes them, and the SQL that names them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import date_column
from taxi_assets.stores.month import LoadEntry
from taxi_assets.trips.columns import SOURCE_MONTH, Column, Service

if TYPE_CHECKING:
    from google.cloud import bigquery

LOG_TABLE = "taxi_assets_load_log"
STAGING_HOURS = 6
"""After so long BigQuery drops a staging table by itself."""
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
}
"""The columns of the log of loads and their types; mappings are JSON text."""


@dataclass(frozen=True)
class Target:
    """A table for the trips of a service.

    Attributes:
        service: The service and its columns.
        project: The project.
        dataset: The dataset.
        table: The table.
    """

    service: Service
    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.dataset}.{self.table}"

    @property
    def log(self) -> str:
        """The log of loads beside it, quoted for SQL."""
        return name_in_sql(self.project, self.dataset, LOG_TABLE)

    @property
    def in_sql(self) -> str:
        """Its name, quoted for SQL."""
        return name_in_sql(self.project, self.dataset, self.table)

    def staging(self, month: date, run: str) -> str:
        """The name of the table that a load of that month fills first."""
        return f"{self.staging_prefix(month)}{run}"

    def staging_prefix(self, month: date) -> str:
        """How the names of such tables begin."""
        return f"{self.table}_staging_{month:%Y%m}_"


def name_in_sql(*parts: str) -> str:
    """A name of a project, dataset, table or column, quoted for SQL.

    Raises:
        TaxiError: A part holds a character that such names do not have.
    """
    for part in parts:
        if not re.fullmatch(r"[A-Za-z0-9_:.-]+", part):
            raise TaxiError(
                f"{part!r} is no name for BigQuery.",
                expected="letters, digits, _ and -",
                next_step="correct the pipeline's YAML, BIGQUERY_DATASET or GCP_PROJECT",
            )
    return f"`{'.'.join(parts)}`"


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

    Files parted by day leave the day out. The emulator reads files by position and appends the folder's key to them;
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
    day = date_column(service).name if shape == "date" else None
    return ", ".join(
        f"DATE({name_in_sql(service.pickup)})" if column.name == day else name_in_sql(column.name)
        for column in service.columns
    )


def ensure_tables(client: bigquery.Client, cloud: GoogleCloud, target: Target, retry: Any) -> None:
    """Makes dataset, table and log where they are missing, and adds new columns of the registry.

    Raises:
        TaxiError: The table has a column of another type, or is not partitioned by the file's month.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    reference = f"{target.project}.{target.dataset}"
    try:
        found = client.get_table(f"{reference}.{target.table}", retry=retry)
    except NotFound:
        made = bigquery.Dataset(reference)
        if cloud.location:
            made.location = cloud.location
        made.labels = LABELS
        client.create_dataset(made, exists_ok=True, retry=retry)
        found = client.create_table(_described(target), exists_ok=True, retry=retry)
        log = bigquery.Table(
            f"{reference}.{LOG_TABLE}", [bigquery.SchemaField(name, kind) for name, kind in LOG_COLUMNS.items()]
        )
        log.description = "One row a load of a month of trips: from which file, how much, by whom. Rows are only added."
        log.labels = LABELS
        client.create_table(log, exists_ok=True, retry=retry)
    _fit(client, target, found, retry)


def _described(target: Target) -> bigquery.Table:
    from google.cloud import bigquery

    service = target.service
    table = bigquery.Table(f"{target.project}.{target.dataset}.{target.table}", schema(service.columns))
    table.time_partitioning = bigquery.TimePartitioning(bigquery.TimePartitioningType.MONTH, field=SOURCE_MONTH.name)
    table.clustering_fields = [service.pickup]
    table.labels = {**LABELS, "service": service.name}
    table.description = f"{service.title}: the trips of the TLC's monthly files, replaced month by month."
    return table


def _fit(client: bigquery.Client, target: Target, found: bigquery.Table, retry: Any) -> None:
    wanted = {column.name: column for column in target.service.columns}
    there = {field.name: _STANDARD_TYPES.get(field.field_type, field.field_type) for field in found.schema}
    other = [f"{name} {kind}" for name, kind in there.items() if name in wanted and kind != wanted[name].type.bigquery]
    partition = found.time_partitioning.field if found.time_partitioning else None
    if other or partition != SOURCE_MONTH.name:
        raise TaxiError(
            f"The table {target} in BigQuery is not one of this platform's.",
            expected=f"partitions by {SOURCE_MONTH.name}; "
            + ", ".join(f"{name.split()[0]} {wanted[name.split()[0]].type.bigquery}" for name in other),
            found=f"partitions by {partition}; {', '.join(other)}",
            where=f"{target.project}.{target}",
            intact="the table and its rows",
            next_step="rename that table, or name another one in the pipeline's YAML",
        )
    missing = [column for column in target.service.columns if column.name not in there]
    if missing:
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name_in_sql(c.name)} {c.type.bigquery}" for c in missing)
        client.query(f"ALTER TABLE {target.in_sql} {added}", retry=retry, job_retry=None).result(
            retry=retry, job_retry=None
        )
    described = {field.name: field.description for field in found.schema}
    if missing or any(described[name] != column.comment for name, column in wanted.items() if name in described):
        kept = [schema([wanted[field.name]])[0] if field.name in wanted else field for field in found.schema]
        found.schema = [*kept, *schema(missing)]
        client.update_table(found, ["schema"], retry=retry)


def expires() -> datetime:
    """When BigQuery drops a staging table that is made now."""
    return datetime.now(UTC) + timedelta(hours=STAGING_HOURS)
