"""Data frames in BigQuery: dagster-gcp-pandas' IO manager with a client and a type handler of this platform.

| there | here |
|---|---|
| creates its own client: no emulator's address, no anonymous credentials | takes the platform's client |
| writes column names in capitals, and types as pandas infers them | writes the columns that the asset declares |
| deletes, then loads: a reader, or a kill, finds neither in between | replaces in one transaction |
| names the table like the asset | takes the table's name from the YAML file |
| compares a date with a text that holds a time, which BigQuery refuses | compares it with the month |
| reads through BigQuery's Storage API, which no emulator has | reads through it on Google Cloud only |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
from dagster_gcp.bigquery.io_manager import BigQueryClient
from dagster_gcp_pandas import BigQueryPandasIOManager, BigQueryPandasTypeHandler

from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.metadata import INTACT, month_of, output_metadata, table_of
from taxi_assets.stores.bigquery.replace import read_rows, replace_rows, select_rows
from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import declared_table
from taxi_assets.trips.columns import arrow_schema


class TaxiBigQueryPandasIOManager(BigQueryPandasIOManager):
    """`BigQueryPandasIOManager` on the platform's BigQuery."""

    cloud: GoogleCloudResource

    @staticmethod
    def type_handlers() -> Sequence[BigQueryPandasTypeHandler]:
        """The handler of data frames."""
        return [_DataFrames()]

    def create_io_manager(self, context: dg.InitResourceContext) -> Any:
        """The IO manager that the base class creates, with the platform's client."""
        kind: Any = type(super().create_io_manager(context))
        return kind(
            type_handlers=self.type_handlers(),
            db_client=_Client(self.cloud),
            database=self.project,
            schema=self.dataset,
            io_manager_name="BigQueryIOManager",
        )


class _Client(BigQueryClient):
    """Opens sessions; the handler's replacement creates and deletes. Dagster's slice names the asset, not its table."""

    def __init__(self, cloud: GoogleCloudResource) -> None:
        super().__init__()
        self._cloud = cloud
        self._select = ""

    @contextmanager
    def connect(  # type: ignore[override]
        self, context: dg.OutputContext | dg.InputContext, table_slice: Any
    ) -> Iterator[BigQuerySession]:
        doing = "Writing" if isinstance(context, dg.OutputContext) else "Reading"
        name, declared = f"{doing} {context.asset_key.to_user_string()} in BigQuery", declared_table(context)
        with dagster_failures(), bigquery_session(self._cloud, name, declared, INTACT) as session:
            self._select = select_rows(table_of(session, context), month_of(context))
            yield session

    @staticmethod
    def ensure_schema_exists(context: dg.OutputContext, table_slice: Any, connection: BigQuerySession) -> None:
        """Nothing: the replacement does it."""

    @staticmethod
    def delete_table_slice(context: dg.OutputContext, table_slice: Any, connection: BigQuerySession) -> None:
        """Nothing: the replacement does it, in its transaction."""

    def get_select_statement(self, table_slice: Any) -> str:  # type: ignore[override]
        return self._select


class _DataFrames(BigQueryPandasTypeHandler):
    def handle_output(
        self, context: dg.OutputContext, table_slice: Any, obj: pd.DataFrame, connection: BigQuerySession
    ) -> Mapping[str, Any]:
        table, month = table_of(connection, context), month_of(context)
        rows = pa.Table.from_pandas(obj, arrow_schema(table.columns), preserve_index=False)
        return output_metadata(table, replace_rows(connection, table, rows, month), month)

    def load_input(self, context: dg.InputContext, table_slice: Any, connection: BigQuerySession) -> pd.DataFrame:
        frame: pd.DataFrame = read_rows(connection, table_of(connection, context), month_of(context)).to_pandas()
        return frame
