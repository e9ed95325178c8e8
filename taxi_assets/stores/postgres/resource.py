"""PostgreSQL as a Dagster resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.month import CleanedMonth, LoadEntry
from taxi_assets.stores.postgres.connection import (
    LOADER,
    OWNER,
    READER,
    PostgresAddress,
    connect,
    connect_as,
    postgres_address,
    roles_in_use,
    set_role,
)
from taxi_assets.stores.postgres.errors import clear_errors
from taxi_assets.stores.postgres.load import LoadResult, load_month
from taxi_assets.stores.postgres.load_log import ensure_log, latest_loads, write_load
from taxi_assets.stores.postgres.lock import month_locked
from taxi_assets.stores.postgres.verify import count_month
from taxi_assets.stores.provenance import Provenance
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


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
            TransientError: The database cannot be reached, or was lost.
            TaxiError: It refuses.
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

    def newest_load(self, store: str, service: str, month: date, place: str) -> LoadEntry:
        """The newest load of a month into a place of a store.

        Raises:
            TaxiError: The load log has none.
        """
        for entry in self.latest_loads(store=store, service=service, months=[month]):
            if entry.place == place:
                return entry
        name = month_name(month)
        raise TaxiError(
            f"{service} {name} is not loaded into {place}.",
            expected="an entry of that month in the load log",
            next_step=f"load it: taxi run {service} --months {name} --only {store}",
        )

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
