"""The IO manager that loads a cleaned month into PostgreSQL."""

from __future__ import annotations

import dagster as dg

from taxi_assets import progress
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.month import CleanedMonth, LoadEntry, Provenance
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.table import declared_table
from taxi_assets.trips.months import parse_month


class PostgresIOManager(dg.ConfigurableIOManager):
    """Loads a cleaned month into the table that its asset's metadata names."""

    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: CleanedMonth) -> None:
        """Replaces the month.

        Raises:
            Failure: The load failed; nothing has changed then.
        """
        with dagster_failures(), progress.task(f"load {obj} into PostgreSQL", "rows") as report:
            table = self.postgres.table(declared_table(context), trial=obj.trial)
            result = self.postgres.load(obj, table, Provenance.of(context), lambda rows: report(rows, obj.kept.rows))
            address = self.postgres.address()
        context.add_output_metadata(
            {
                **({} if obj.trial else {"dagster/partition_row_count": result.rows}),
                "rejected_rows": result.rejected_rows,
                "replaced_rows": result.replaced_rows,
                "load_seconds": round(result.seconds, 2),
                "table": f"{result.place}, partition {table.name}_{obj.month:%Y_%m}",
                "database": str(address),
                "look": dg.MetadataValue.md(f'`taxi sql "table {result.place}_{obj.month:%Y_%m} limit 10"`'),
                "load_log_id": result.log_id,
            }
        )

    def load_input(self, context: dg.InputContext) -> LoadEntry:
        """The newest load of the month into its table.

        Raises:
            Failure: The month was never loaded, or the database cannot be reached.
        """
        with dagster_failures():
            table = self.postgres.table(declared_table(context))
            pipeline, month = context.asset_key.path[0], parse_month(context.partition_key)
            return self.postgres.newest_load("postgres", pipeline, month, str(table))
