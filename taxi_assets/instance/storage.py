"""The storage classes that `dagster.yaml` names: runs and events in PostgreSQL, the rest below `TAXI_HOME`.

Dagster passes the configuration of these classes to its subprocesses on their command lines, which every user of the
machine can read. So they have none: each process reads the database's address and password from the settings.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from sqlalchemy import URL
from sqlalchemy.exc import InternalError

from taxi_assets.environment import Environment, environment_of, with_environment
from taxi_assets.instance.dagster_private import (
    ConfigurableClassData,
    LocalArtifactStorage,
    LocalComputeLogManager,
)
from taxi_assets.instance.home import dagster_folder
from taxi_assets.pipeline import read_pipelines
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import PostgresAddress, connect, lock, postgres_address
from taxi_assets.stores.postgres.schema import create_schema

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import PartitionBackfill

_ABORTED_TRANSACTION = "25P02"

SCHEMA = "dagster"
"""The schema of Dagster's tables."""


class TaxiRunStorage(PostgresRunStorage):
    """Dagster's runs, each with its environment from the moment of its creation.

    Every way to create a run ends here: the UI, backfills, schedules, sensors, automation conditions, retries and
    `dagster asset materialize`.
    """

    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Adds a run, with the environment of the run that it repeats, or else of this process's settings."""
        config = dagster_run.run_config
        if _takes_environment(self._job_snapshot(dagster_run)):
            parent = self._get_run_by_id(dagster_run.parent_run_id) if dagster_run.parent_run_id else None
            asked = environment_of(config) or (environment_of(parent.run_config) if parent else {})
            environment = Environment.here().completed(asked)
            dagster_run = dagster_run._replace(run_config=with_environment(config, environment))
        return super().add_run(dagster_run)

    def _job_snapshot(self, run: dg.DagsterRun) -> Any:
        known = run.job_snapshot_id and self.has_job_snapshot(run.job_snapshot_id)
        return self.get_job_snapshot(str(run.job_snapshot_id)) if known else None

    def add_backfill(self, partition_backfill: PartitionBackfill) -> None:
        """Adds a backfill of the platform's months; its runs get the environment of whoever asked for the backfill."""
        if _is_of_pipelines(partition_backfill):
            config = with_environment(partition_backfill.run_config or {}, Environment.here())
            partition_backfill = partition_backfill._replace(run_config=config)
        super().add_backfill(partition_backfill)


def _takes_environment(job: Any) -> bool:
    """Whether the snapshot is of a job of this project: its executor's configuration has the environment."""
    if job is None:
        return False
    fields = job.config_schema_snapshot.all_config_snaps_by_key
    key = job.mode_def_snaps[0].root_config_key
    for name in ("execution", "config", "environment"):
        key = next((field.type_key for field in fields[key].fields or () if field.name == name), None)
        if key is None:
            return False
    return True


def _is_of_pipelines(backfill: PartitionBackfill) -> bool:
    pipelines = read_pipelines()
    if backfill.asset_selection:
        return all(key.path[0] in pipelines for key in backfill.asset_selection)
    return backfill.job_name in {pipeline.job for pipeline in pipelines.values()}


class TaxiEventLogStorage(PostgresEventLogStorage):
    """Dagster's event log, without the error of two runs that are the first in a pool at the same time.

    The second insert of the pool fails, and Dagster (1.13) goes on in that transaction, which PostgreSQL has aborted.
    The first insert has made the pool and its slots, so nothing is left to do.
    """

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Makes the pool, if it is new; returns whether it has a limit."""
        try:
            return bool(super().initialize_concurrency_limit_to_default(concurrency_key))
        except InternalError as error:
            if getattr(error.orig, "pgcode", None) == _ABORTED_TRANSACTION:
                return True
            raise


class TaxiDagsterStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the schema `dagster`.

    Starts the embedded PostgreSQL where the settings name no server.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration; see the module."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> TaxiDagsterStorage:
        """Connects to the database of the settings.

        Raises:
            TaxiError: It cannot be reached, or refuses.
        """
        address = postgres_address(settings())
        with connect(address, "dagster") as connection:
            create_schema(connection, SCHEMA)
            with connection.transaction():
                # Of processes that create Dagster's tables at the same time, all but one fail and try again.
                lock(connection, "Dagster's tables")
                return cls(postgres_url=_url(address), inst_data=inst_data)

    @cached_property
    def run_storage(self) -> TaxiRunStorage:
        """The runs; the base class has made their tables."""
        return TaxiRunStorage(self.postgres_url, should_autocreate_tables=False)

    @cached_property
    def event_log_storage(self) -> TaxiEventLogStorage:
        """The event log; the base class has made its tables."""
        return TaxiEventLogStorage(self.postgres_url, should_autocreate_tables=False)


class TaxiArtifactStorage(LocalArtifactStorage):
    """Dagster's files below `TAXI_HOME`."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration; see the module."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> TaxiArtifactStorage:
        """The folder `dagster` there."""
        return cls(str(dagster_folder()), inst_data=inst_data)


class TaxiComputeLogs(LocalComputeLogManager):
    """The output of steps, below `TAXI_HOME`."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration; see the module."""
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
