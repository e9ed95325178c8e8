"""PostgreSQL in Dagster: the resource with its settings, and the IO manager that loads a month."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import as_failure
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.load_log import LoadEntry, ensure_log, latest_loads, write_load
from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.stores.month_lock import month_locked
from taxi_assets.stores.postgres_address import PostgresAddress, connect, postgres_address
from taxi_assets.stores.postgres_errors import clear_errors
from taxi_assets.stores.postgres_load import LoadResult, load_month
from taxi_assets.stores.postgres_roles import LOADER, OWNER, READER, connect_as, roles_in_use, set_role
from taxi_assets.stores.postgres_verify import count_month

if TYPE_CHECKING:
    from taxi_assets.stores.postgres_address import Connection


class PostgresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database of the trips. The password is no part of it: it is read from the settings when it is used."""

    host: str | None = Field(None, description="Server; null: the embedded one, started when it is needed.")
    port: int = Field(5432, description="Its port.")
    dbname: str = Field("taxi", description="Database.")
    user: str = Field("taxi", description="User that loads.")
    connect_timeout: int = Field(10, description="Seconds to wait for a connection.")

    @classmethod
    def from_settings(cls, found: Settings) -> PostgresResource:
        """The database that the settings name."""
        return cls(
            host=found.postgres_host,
            port=found.postgres_port,
            dbname=found.postgres_dbname,
            user=found.postgres_user,
            connect_timeout=found.postgres_connect_timeout,
        )

    def address(self) -> PostgresAddress:
        """Where the database is; starts the embedded server where no host is set.

        Raises:
            TaxiError: The embedded server did not start.
        """
        names = ("host", "port", "dbname", "user", "connect_timeout")
        ours = {f"postgres_{name}": getattr(self, name) for name in names}
        return postgres_address(settings().model_copy(update=ours))

    @contextmanager
    def connect(self, role: str = READER) -> Iterator[Connection]:
        """A connection that works as that role; as the reader, it can only read.

        Raises:
            PassingError: The database cannot be reached, or was lost.
            TaxiError: It refuses.
        """
        address = self.address()
        with clear_errors(address, "The query"), connect_as(role, address) as connection:
            if role == READER:
                connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            yield connection

    def load(self, month: MonthOfTrips, progress: Callable[[int], None] | None = None) -> LoadResult:
        """Replaces the month in its tables: see `load_month`."""
        return load_month(self.address(), month, progress=progress)

    def count_month(self, schema: str, table: str, month: date) -> tuple[int, int]:
        """Rows and whole cents of `total_amount` of the month that stand in the table."""
        with self.connect() as connection:
            return count_month(connection, schema, table, month)

    def latest_loads(
        self, *, store: str | None = None, service: str | None = None, months: Sequence[date] | None = None
    ) -> list[LoadEntry]:
        """The newest load of each store, place and month."""
        with self.connect() as connection:
            return latest_loads(connection, store=store, service=service, months=months)

    def month_locked(self, name: str) -> AbstractContextManager[None]:
        """One load of a month at a time, into any store: see `month_locked` in `month_lock`."""
        return month_locked(self.address(), name)

    def write_load(self, entry: LoadEntry) -> int:
        """Adds a load of any store to the log; returns its number."""
        address = self.address()
        with clear_errors(address, "Writing the log of loads"), connect(address, "taxi log") as connection:
            if roles := roles_in_use(connection, address):
                connection.execute(set_role(OWNER))
            ensure_log(connection, roles)
            if roles:
                connection.execute(set_role(LOADER))
            return write_load(connection, entry)


class PostgresIOManager(dg.ConfigurableIOManager):
    """Loads a `MonthOfTrips` into its table, and shows what was done."""

    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: MonthOfTrips) -> None:
        """Replaces the month.

        Raises:
            Failure: The load failed; nothing has changed then.
        """
        with as_failure(), progress.task(f"load {obj} into PostgreSQL", "rows") as report:
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
        with as_failure():
            raise TaxiError(
                f"{context.asset_key.to_user_string()} is not read back into Python.",
                next_step="query it through the resource `postgres`, or take clean_taxi as the input",
            )
