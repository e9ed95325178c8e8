"""The IO manager that loads a cleaned month into PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.month import MonthOfTrips

if TYPE_CHECKING:
    pass


from taxi_assets.stores.postgres.resource import PostgresResource


class PostgresIOManager(dg.ConfigurableIOManager):
    """Loads a `MonthOfTrips` into its table, and shows what was done."""

    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: MonthOfTrips) -> None:
        """Replaces the month.

        Raises:
            Failure: The load failed; nothing has changed then.
        """
        with dagster_failures(), progress.task(f"load {obj} into PostgreSQL", "rows") as report:
            done = self.postgres.load(obj, lambda rows: report(rows, obj.kept.rows))
            address = self.postgres.address()
        context.add_output_metadata(
            {
                "dagster/partition_row_count": done.rows,
                "rejected_rows": done.rejected_rows,
                "replaced_rows": done.replaced_rows,
                "load_seconds": round(done.seconds, 2),
                "table": f"{done.place}, partition {obj.table}_{obj.month:%Y_%m}",
                "database": str(address),
                "look": dg.MetadataValue.md(f'`taxi sql "table {done.place}_{obj.month:%Y_%m} limit 10"`'),
                "load_log_id": done.log_id,
            }
        )

    def load_input(self, context: dg.InputContext) -> None:
        """Refuses: what stands in the database is read there.

        Raises:
            Failure: Always.
        """
        with dagster_failures():
            raise TaxiError(
                f"{context.asset_key.to_user_string()} is not read back into Python.",
                next_step="query it through the resource `postgres`, or take clean_taxi as the input",
            )
