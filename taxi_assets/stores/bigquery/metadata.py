"""The metadata of the assets that are tables in BigQuery.

The metadata of an asset's definition says what its table is: `table_metadata` writes it, `table_of` reads it.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg

from taxi_assets.stores.bigquery.replace import Replaced
from taxi_assets.stores.bigquery.resource import BigQuerySession
from taxi_assets.stores.table import Table, declared_metadata, declared_table
from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.months import parse_month

INTACT = "the table as it was before"

Context = dg.OutputContext | dg.InputContext


def table_metadata(table: Table) -> dict[str, Any]:
    """The metadata for the definition of an asset that is this table: with dagster-gcp's keys where it has them."""
    columns = [dg.TableColumn(column.name, column.type.value, column.comment) for column in table.columns]
    return {
        "schema": table.ref.namespace,
        "table": table.ref.name,
        "dagster/table_name": str(table),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **({"partition_expr": "source_month"} if table.monthly else {}),
    }


def table_of(session: BigQuerySession, context: Context) -> Table:
    """The table that the metadata of an asset's definition describes; BIGQUERY_DATASET overrides its dataset."""
    columns = tuple(
        Column(column.name, ColumnType(column.type), column.description or "")
        for column in declared_metadata(context)["dagster/column_schema"].columns
    )
    spec = getattr(context, "asset_spec", None)
    description = (spec and spec.description) or context.asset_key.to_user_string()
    return Table(session.table(declared_table(context)), columns, description)


def month_of(context: Context) -> date | None:
    """The month of the asset that is written or read; None where it has no partitions."""
    return parse_month(context.asset_partition_key) if context.has_asset_partitions else None


def output_metadata(table: Table, done: Replaced, month: date | None) -> dict[str, Any]:
    """The metadata of a materialization that replaced rows of a table."""
    return {
        "dagster/partition_row_count" if month else "dagster/row_count": done.rows,
        "dagster/table_name": str(table),
        "replace_job": done.replace_job.job_id,
        "look": look(str(table), month),
    }


def look(table: str, month: date | None = None) -> dg.MetadataValue[Any]:
    """The command that shows ten rows."""
    where = f" where source_month = '{month}'" if month else ""
    return dg.MetadataValue.md(f'`taxi bq "select * from {table}{where} limit 10"`')  # noqa: S608
