"""Data frames in BigQuery: dagster-gcp-pandas' IO manager, with what it lacks for this platform.

| it | here |
|---|---|
| makes its own client: no emulator's address, no anonymous credentials | takes the platform's client |
| writes column names in capitals, and types as pandas guesses them | writes the columns that the asset declares |
| deletes, then loads: a reader, or a kill, finds neither in between | replaces in one transaction |
| names the table like the asset | takes the table's name from the YAML file |
| compares a date with a text that holds a time, which BigQuery refuses | compares it with the month |
| reads through BigQuery's Storage API, which no emulator has | reads through it on Google Cloud only |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
from dagster._core.definitions.partitions.utils import TimeWindow
from dagster._core.storage.db_io_manager import DbIOManager, TableSlice
from dagster_gcp.bigquery.io_manager import BigQueryClient
from dagster_gcp_pandas import BigQueryPandasIOManager, BigQueryPandasTypeHandler

from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.client import Warehouse, connected
from taxi_assets.stores.bigquery.io_manager import INTACT, month_of, output_metadata, table_of
from taxi_assets.stores.bigquery.replace import replace_rows
from taxi_assets.stores.bigquery.schema import name_in_sql, value_in_sql
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.trips.columns import arrow_schema


class TaxiBigQueryPandasIOManager(BigQueryPandasIOManager):
    """`BigQueryPandasIOManager` on the platform's BigQuery."""

    cloud: GoogleCloud

    @classmethod
    def of(cls, cloud: GoogleCloud) -> TaxiBigQueryPandasIOManager:
        """The one for this BigQuery."""
        return cls(cloud=cloud, project=cloud.project or "", dataset=cloud.dataset, location=cloud.location)

    def create_io_manager(self, context: dg.InitResourceContext) -> DbIOManager:
        """Dagster's IO manager of databases, with the mended parts."""
        return _DeclaredTables(self.cloud)


class _DeclaredTables(DbIOManager):
    def __init__(self, cloud: GoogleCloud) -> None:
        super().__init__(
            type_handlers=[_DataFrames()],
            db_client=_Client(cloud),
            database=cloud.project or "",
            schema=cloud.dataset,
            io_manager_name="BigQueryIOManager",
        )
        self._cloud = cloud

    def _get_table_slice(
        self, context: dg.OutputContext | dg.InputContext, output_context: dg.OutputContext
    ) -> TableSlice:
        found = super()._get_table_slice(context, output_context)
        declared = output_context.definition_metadata or {}
        with dagster_failures():
            project = self._cloud.project or self._cloud.bigquery().project
        dataset = self._cloud.dataset or found.schema
        return found._replace(database=project, schema=dataset, table=declared.get("table", found.table))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Writes a data frame.

        Raises:
            Failure: BigQuery cannot be reached or refuses; the table is as it was.
        """
        with dagster_failures():
            super().handle_output(context, obj)

    def load_input(self, context: dg.InputContext) -> object:
        """Reads a data frame.

        Raises:
            Failure: BigQuery cannot be reached or refuses.
        """
        with dagster_failures():
            return super().load_input(context)


class _Client(BigQueryClient):
    def __init__(self, cloud: GoogleCloud) -> None:
        super().__init__()
        self._cloud = cloud

    @contextmanager
    def connect(  # type: ignore[override]
        self, context: dg.OutputContext | dg.InputContext, table_slice: TableSlice
    ) -> Iterator[Warehouse]:
        doing = "Writing" if isinstance(context, dg.OutputContext) else "Reading"
        what = f"{doing} {context.asset_key.to_user_string()} in BigQuery"
        with connected(self._cloud, what, f"{table_slice.schema}.{table_slice.table}", INTACT) as warehouse:
            yield warehouse

    @staticmethod
    def ensure_schema_exists(context: dg.OutputContext, table_slice: TableSlice, connection: Warehouse) -> None:
        """The replacement makes what is missing."""

    @staticmethod
    def delete_table_slice(context: dg.OutputContext, table_slice: TableSlice, connection: Warehouse) -> None:
        """The replacement deletes, in its transaction."""

    @staticmethod
    def get_select_statement(table_slice: TableSlice) -> str:
        columns = ", ".join(name_in_sql(name) for name in table_slice.columns) if table_slice.columns else "*"
        name = name_in_sql(str(table_slice.database), table_slice.schema, table_slice.table)
        months = [
            f"{name_in_sql(dimension.partition_expr)} = {value_in_sql(dimension.partitions.start.date())}"
            for dimension in table_slice.partition_dimensions or []
            if isinstance(dimension.partitions, TimeWindow)
        ]
        return f"SELECT {columns} FROM {name}{' WHERE ' if months else ''}{' AND '.join(months)}"  # noqa: S608


class _DataFrames(BigQueryPandasTypeHandler):
    def handle_output(
        self, context: dg.OutputContext, table_slice: TableSlice, obj: pd.DataFrame, connection: Warehouse
    ) -> Mapping[str, Any]:
        table = table_of(connection.cloud, context)
        rows = pa.Table.from_pandas(obj, arrow_schema(table.columns), preserve_index=False)
        return output_metadata(replace_rows(connection, table, rows, month_of(context)), month_of(context))

    def load_input(self, context: dg.InputContext, table_slice: TableSlice, connection: Warehouse) -> pd.DataFrame:
        rows = connection.ask(_Client.get_select_statement(table_slice))[1]
        found: pd.DataFrame = rows.to_arrow(create_bqstorage_client=connection.cloud.kind == "google").to_pandas()
        return found
