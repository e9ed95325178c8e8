"""Dagster's own records, in the platform's database and below `TAXI_HOME`: what `dagster.yaml` names.

Dagster hands the configuration of these classes to its subprocesses on their command lines, where every user of the
machine can read it. So they take none: where the database is, and its password, each process reads from the settings.
"""

from __future__ import annotations

from typing import Any

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from psycopg import sql
from sqlalchemy import URL

from taxi_assets.local.dagster_home import dagster_folder
from taxi_assets.settings import settings
from taxi_assets.stores.postgres_address import PostgresAddress, connect, postgres_address

SCHEMA = "dagster"
"""The schema of Dagster's tables."""


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
