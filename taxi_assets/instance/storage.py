"""Dagster's own records, in the platform's database and below `TAXI_HOME`: what `dagster.yaml` names.

Dagster hands the configuration of these classes to its subprocesses on their command lines, where every user of the
machine can read it. So they take none: where the database is, and its password, each process reads from the settings.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from psycopg import sql
from sqlalchemy import URL
from sqlalchemy.exc import InternalError

from taxi_assets.instance.dagster_private import ConfigurableClassData, LocalArtifactStorage, LocalComputeLogManager
from taxi_assets.instance.home import dagster_folder
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import PostgresAddress, connect, postgres_address

_ABORTED = "25P02"

SCHEMA = "dagster"
"""The schema of Dagster's tables."""


class PoolsMadeOnce(PostgresEventLogStorage):
    """Dagster's event log, with a race mended: two runs that are the first in a pool at the same time.

    Dagster (1.13) answers the loser's IntegrityError with a statement in the same transaction, which PostgreSQL has
    aborted by then. The winner has made the pool with its slots by that time, so there is nothing left to do.
    """

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Makes the pool, if it is new."""
        try:
            return bool(super().initialize_concurrency_limit_to_default(concurrency_key))
        except InternalError as error:
            if getattr(error.orig, "pgcode", None) == _ABORTED:
                return True
            raise


class TaxiDagsterStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the schema `dagster` of the platform's database.

    Starts the embedded server where the settings name none.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: see the module."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> TaxiDagsterStorage:
        """Connects to the database of the settings.

        Raises:
            TaxiError: It cannot be reached, or refuses.
        """
        address = postgres_address(settings())
        _ensure_schema(address)
        return cls(postgres_url=_url(address), inst_data=inst_data)

    @cached_property
    def event_log_storage(self) -> PoolsMadeOnce:
        """The event log; its tables exist by then, since the base class makes them."""
        return PoolsMadeOnce(self.postgres_url, should_autocreate_tables=False)


class TaxiArtifactStorage(LocalArtifactStorage):
    """Dagster's files below `TAXI_HOME`."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: see the module."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> TaxiArtifactStorage:
        """The folder `dagster` there."""
        return cls(str(dagster_folder()), inst_data=inst_data)


class TaxiComputeLogs(LocalComputeLogManager):
    """What steps print, below `TAXI_HOME`."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: see the module."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> TaxiComputeLogs:
        """The folder `dagster/storage` there."""
        return cls(base_dir=str(dagster_folder() / "storage"), inst_data=inst_data)


def _url(address: PostgresAddress) -> str:
    query = {
        "host": address.host,
        "port": str(address.port),
        "connect_timeout": str(address.connect_timeout),
        "application_name": "dagster",
        "options": f"-csearch_path={SCHEMA}",
    }
    password = address.password.get_secret_value() if address.password else None
    url = URL.create("postgresql", address.user, password, database=address.dbname, query=query)
    return url.render_as_string(hide_password=False)


def _ensure_schema(address: PostgresAddress) -> None:
    with connect(address, "dagster") as connection:
        if not connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [SCHEMA]).rowcount:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
