"""PostgreSQL as a Dagster resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, PrivateAttr

from taxi_assets.environment import Environment, read_environment
from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.guard import HeldMonth, synthetic_beside
from taxi_assets.stores.month import CleanedMonth, LoadEntry, Provenance
from taxi_assets.stores.postgres.connection import (
    OWNER,
    READER,
    PostgresAddress,
    clear_errors,
    connect,
    connect_as,
    postgres_address,
    roles_in_use,
    set_role,
)
from taxi_assets.stores.postgres.ledger import ensure_ledger
from taxi_assets.stores.postgres.load import LoadResult, load_month
from taxi_assets.stores.postgres.load_log import latest_loads, log_writer, write_load
from taxi_assets.stores.postgres.verify import count_month
from taxi_assets.stores.table import TableRef, postgres_table
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


class PostgresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database of the trips. Its password is not part of the resource, but read from the settings."""

    host: str | None = Field(default=None, description="Server; null: the embedded one, which starts on demand.")
    port: int = Field(default=5432, description="Its port.")
    dbname: str = Field(default="taxi", description="Database.")
    user: str = Field(default="taxi", description="User that loads.")
    connect_timeout: int = Field(default=10, description="Seconds to wait for a connection.")

    _run: Environment | None = PrivateAttr(None)

    @classmethod
    def from_settings(cls, configured: Settings) -> PostgresResource:
        """The database that the settings name."""
        return cls(
            host=configured.postgres_host,
            port=configured.postgres_port,
            dbname=configured.postgres_dbname,
            user=configured.postgres_user,
            connect_timeout=configured.postgres_connect_timeout,
        )

    def create_resource(self, context: dg.InitResourceContext) -> PostgresResource:
        """The resource of a run."""
        resource = self.model_copy()
        resource._run = read_environment(context.run.run_config if context.run else None)
        return resource

    def table(self, declared: TableRef, *, trial: bool = False) -> TableRef:
        """The table in the schema that the run was asked for with; outside a run, POSTGRES_SCHEMA overrides it.

        Args:
            declared: The table that the pipeline's YAML names.
            trial: Whether the rows are those of a trial.
        """
        schema = self._run.postgres.schema_override if self._run else settings().postgres_schema
        return postgres_table(declared, schema, trial=trial)

    def address(self) -> PostgresAddress:
        """The address of the database. Without a host, starts the embedded server.

        Raises:
            TaxiError: The embedded server did not start, or the run was asked for with another database.
        """
        if self._run:
            self._run.require_postgres(Environment.here())
        names = ("host", "port", "dbname", "user", "connect_timeout")
        fields = {f"postgres_{name}": getattr(self, name) for name in names}
        return postgres_address(settings().model_copy(update=fields))

    @contextmanager
    def connect(self, role: str = READER) -> Iterator[Connection]:
        """Connects as a role; a connection of the reader is read-only.

        Raises:
            TransientError: The database cannot be reached, or the connection was lost.
            TaxiError: The server refuses.
        """
        address = self.address()
        with clear_errors(address, "The query"), connect_as(role, address) as connection:
            if role == READER:
                connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            yield connection

    def load(
        self,
        month: CleanedMonth,
        table: TableRef,
        provenance: Provenance,
        progress: Callable[[int], None] | None = None,
    ) -> LoadResult:
        """Replaces the month in its tables: see `load_month`."""
        return load_month(self.address(), month, table, provenance, progress=progress)

    def count_month(self, table: TableRef, month: date) -> tuple[int, int]:
        """The row count and the cents of the month in the table: see `count_month`."""
        with self.connect() as connection:
            return count_month(connection, table, month)

    def latest_loads(
        self, *, store: str | None = None, pipeline: str | None = None, months: Sequence[date] | None = None
    ) -> list[LoadEntry]:
        """The newest load of each store, place and month."""
        with self.connect() as connection:
            return latest_loads(connection, store=store, pipeline=pipeline, months=months)

    def synthetic_beside(self, month: date, table: TableRef) -> list[str]:
        """The synthetic months beside a real one in its table, by the load log; none beside a synthetic one."""
        loads = [load for load in self.latest_loads(store="postgres") if load.place == str(table)]
        newest = next((load for load in loads if load.source_month == month), None)
        return synthetic_beside(newest, map(HeldMonth.of, loads)) if newest else []

    def newest_load(self, store: str, pipeline: str, month: date, place: str) -> LoadEntry:
        """The newest load of a month into a place of a store.

        Raises:
            TaxiError: The load log has none.
        """
        for entry in self.latest_loads(store=store, months=[month]):
            if entry.place == place:
                return entry
        name = month_name(month)
        raise TaxiError(
            f"{pipeline} {name} is not loaded into {place}.",
            expected="an entry of that month in the load log",
            next_step=f"load it: taxi run {pipeline} --months {name} --only {store}",
        )

    def ledger_identity(self) -> str:
        """The identity of the ledger, for the records of the stores that it does not stand in.

        Asked for before a load: it makes or migrates the ledger.

        Raises:
            TransientError: The database cannot be reached.
            TaxiError: The ledger is newer than this code: a load would not be written into it.
        """
        address = self.address()
        with clear_errors(address, "Reading the ledger"), connect(address, "taxi ledger") as connection:
            if roles := roles_in_use(connection, address):
                connection.execute(set_role(OWNER))
            return ensure_ledger(connection, roles).identity

    def write_load(self, entry: LoadEntry) -> int:
        """Adds a load into any store to the load log; returns its id."""
        address = self.address()
        with clear_errors(address, "Writing the load log"), log_writer(address, "taxi log") as connection:
            return write_load(connection, entry)
