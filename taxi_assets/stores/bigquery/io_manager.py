"""Small tables of the warehouse in Dagster: the IO managers for rows in Arrow and for data frames of pandas.

The asset's definition says what the table is, in its metadata: `table_metadata` writes it, `table_of` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.client import connected
from taxi_assets.stores.bigquery.load import replace_month
from taxi_assets.stores.bigquery.replace import SmallTable, Written, fitted, replace_rows
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.months import parse_month

INTACT = "the table as it was before"


def table_metadata(table: SmallTable) -> dict[str, Any]:
    """What the definition of an asset says of its table: with dagster-gcp's keys where it has them."""
    columns = [dg.TableColumn(column.name, column.type.value, column.comment) for column in table.columns]
    return {
        "schema": table.dataset,
        "table": table.table,
        "dagster/table_name": str(table),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **({"partition_expr": "source_month"} if table.monthly else {}),
    }


def table_of(cloud: GoogleCloud, context: dg.OutputContext) -> SmallTable:
    """The table that the metadata of an asset describes; BIGQUERY_DATASET wins over its dataset."""
    metadata = context.definition_metadata or {}
    columns = tuple(
        Column(column.name, ColumnType(column.type), column.description or "")
        for column in metadata["dagster/column_schema"].columns
    )
    description = context.asset_spec.description or context.asset_key.to_user_string()
    return SmallTable(cloud.dataset or metadata["schema"], metadata["table"], columns, description)


def month_of(context: dg.OutputContext | dg.InputContext) -> date | None:
    """The month of a run's partition; None where the asset has none."""
    return parse_month(context.partition_key) if context.has_partition_key else None


def output_metadata(written: Written, month: date | None) -> dict[str, Any]:
    """What a replacement tells Dagster."""
    counted = "dagster/partition_row_count" if month else "dagster/row_count"
    where = f" where source_month = '{month}'" if month else ""
    return {
        counted: written.rows,
        "dagster/table_name": written.place,
        "replace_job": written.job,
        "look": dg.MetadataValue.md(f'`taxi bq "select * from {written.place}{where} limit 10"`'),  # noqa: S608
    }


class ArrowTableIOManager(dg.ConfigurableIOManager):
    """Replaces a month of a table, or all of it, by the rows of an Arrow table."""

    cloud: GoogleCloud

    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        """Writes the rows.

        Raises:
            Failure: BigQuery cannot be reached or refuses; the table is as it was.
        """
        name = context.asset_key.to_user_string()
        table = table_of(self.cloud, context)
        doing = f"Writing {name} to BigQuery"
        with dagster_failures(), connected(self.cloud, doing, str(table), INTACT) as warehouse:
            written = replace_rows(warehouse, table, fitted(obj, table.columns), month_of(context))
        context.add_output_metadata(output_metadata(written, month_of(context)))

    def load_input(self, context: dg.InputContext) -> None:
        """Refuses: what stands in BigQuery is read there.

        Raises:
            Failure: Always.
        """
        with dagster_failures():
            raise TaxiError(
                f"{context.asset_key.to_user_string()} is not read back into Python.",
                next_step="query it through the resource `cloud`",
            )


class DataFrameIOManager(dg.ConfigurableIOManagerFactory[Any]):
    """The project's `BigQueryPandasIOManager`, imported where a step needs it: pandas takes 50 MB and a second."""

    cloud: GoogleCloud

    def create_io_manager(self, context: dg.InitResourceContext) -> Any:
        """Makes it."""
        from taxi_assets.stores.bigquery.pandas_io_manager import TaxiBigQueryPandasIOManager

        return TaxiBigQueryPandasIOManager.of(self.cloud).create_io_manager(context)


@dataclass(frozen=True)
class MonthForWarehouse:
    """A month of the lake on its way into a table of BigQuery.

    Attributes:
        load: What the lake's log says of the month.
        dataset: The pipeline's dataset.
        table: The table.
        place: The table with its project, as the log of loads names it.
        run_id: Dagster's run.
        started_by: Who or what started it.
    """

    load: LakeLoad
    dataset: str
    table: str
    place: str
    run_id: str
    started_by: str


class WarehouseIOManager(dg.ConfigurableIOManager):
    """Loads a month of the lake into its table in BigQuery."""

    cloud: GoogleCloud
    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: MonthForWarehouse) -> None:
        """Replaces the month in its table.

        Raises:
            Failure: The load failed; the table is as it was.
        """
        name = f"load {obj.load.entry.service} {obj.load.month} into BigQuery"
        # As in the lake; and two first loads of a month, which delete nothing, would not be in each other's way.
        with dagster_failures(), self.postgres.month_locked(f"{obj.place} {obj.load.month}"):
            with progress.task(name, "rows") as report:
                done = replace_month(self.cloud, obj.load, obj.dataset, obj.table, obj.run_id)
                report(done.rows, done.rows)
            entry = replace(
                obj.load.entry,
                store="bigquery",
                place=obj.place,
                run_id=obj.run_id,
                started_by=obj.started_by,
                seconds=round(done.seconds, 3),
            )
            log_id = self.postgres.write_load(entry)
        context.add_output_metadata(
            {
                "dagster/partition_row_count": done.rows,
                "dagster/table_name": done.place,
                "load_job": done.load_job,
                "replace_job": done.replace_job,
                "load_seconds": round(done.seconds, 2),
                "load_log_id": log_id,
                "look": dg.MetadataValue.md(_look(done.place, obj.load.entry.source_month)),
                **({} if done.bytes is None else {"bytes_processed": done.bytes}),
                **({} if done.slot_millis is None else {"slot_milliseconds": done.slot_millis}),
            }
        )

    def load_input(self, context: dg.InputContext) -> None:
        """Refuses: what stands in BigQuery is read there.

        Raises:
            Failure: Always.
        """
        with dagster_failures():
            raise TaxiError(
                f"{context.asset_key.to_user_string()} is not read back into Python.",
                next_step="query it through the resource `cloud`, or take gcs_parquet as the input",
            )


def _look(place: str, month: date) -> str:
    return f"`taxi bq \"select * from {place} where source_month = '{month}' limit 10\"`"  # noqa: S608
