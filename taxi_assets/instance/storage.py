"""The storage classes that `dagster.yaml` names: runs and events in PostgreSQL, the rest below `TAXI_HOME`.

Dagster passes the configuration of these classes to its subprocesses on their command lines, which every user of the
machine can read. So they have none: each process reads the database's address and password from the settings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage
from sqlalchemy import URL
from sqlalchemy.exc import InternalError

from taxi_assets.environment import Environment, environment_of, with_environment
from taxi_assets.instance.dagster_private import (
    CapturedLogContext,
    ConfigurableClassData,
    LocalArtifactStorage,
    LocalComputeLogManager,
    as_observation,
    redirect_to_file,
)
from taxi_assets.instance.home import dagster_folder
from taxi_assets.pipelines import read_pipelines
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import PostgresAddress, connect, lock, postgres_address
from taxi_assets.stores.postgres.schema import create_schema

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import PartitionBackfill

_ABORTED_TRANSACTION = "25P02"

_MARKS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
"""The events that change what the UI says of a month."""

_STREAMS = {"stdout": "out", "stderr": "err"}
"""Stream → the extension of its file."""

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
    """Dagster's event log, where a trial leaves the months of its assets as they were.

    A run with a `limit` cleans and loads some rows of a month into a place of their own. Its materializations stand
    here as observations, its checks not at all: else the UI showed a few rows as the month, and summaries followed.
    """

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Adds an event; one of a trial only as what it is."""
        if (kept := self._without_trial(event)) is not None:
            super().store_event(kept)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Adds events of one type."""
        changed = [(event, self._without_trial(event)) for event in events]
        if kept := [event for event, seen in changed if seen is event]:
            super().store_event_batch(kept)
        for event, seen in changed:
            if seen is not None and seen is not event:
                super().store_event(seen)

    def _without_trial(self, event: dg.EventLogEntry) -> dg.EventLogEntry | None:
        kind = event.dagster_event.event_type if event.dagster_event else None
        if kind not in _MARKS or not self._is_of_trial(event):
            return event
        return as_observation(event) if kind == dg.DagsterEventType.ASSET_MATERIALIZATION else None

    def _is_of_trial(self, event: dg.EventLogEntry) -> bool:
        key = event.get_dagster_event().asset_key
        # The fetched file is whole.
        if key is not None and key.path[-1] == "raw_taxi":
            return False
        run_id, known = self._last_run
        if event.run_id != run_id:
            run = self._instance.get_run_by_id(event.run_id) if self.has_instance else None
            known = run is not None and is_trial(run.run_config)
            self._last_run = event.run_id, known
        return known

    _last_run = ("", False)

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Makes the pool, if it is new; returns whether it has a limit.

        Of two runs that are the first in a pool at the same time, the second insert fails, and Dagster (1.13) goes on
        in that transaction, which PostgreSQL has aborted. The first has made the pool, so nothing is left to do.
        """
        try:
            return bool(super().initialize_concurrency_limit_to_default(concurrency_key))
        except InternalError as error:
            if getattr(error.orig, "pgcode", None) == _ABORTED_TRANSACTION:
                return True
            raise


def is_trial(run_config: Mapping[str, Any]) -> bool:
    """Whether a run cleans some rows of its month only."""
    ops = (run_config.get("ops") or {}).items()
    return any((op.get("config") or {}).get("limit") for name, op in ops if name.endswith("_clean"))


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

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Redirects the output of the steps to files.

        The base class also copies it to the terminal: by four processes a run, which print stack traces on Ctrl-C.
        """
        paths = {stream: Path(self.get_captured_local_path(log_key, kind)) for stream, kind in _STREAMS.items()}
        with ExitStack() as stack:
            for stream, path in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(redirect_to_file(getattr(sys, stream), str(path)))
            yield CapturedLogContext(log_key)
        Path(self.complete_artifact_path(log_key)).touch()  # type: ignore[no-untyped-call]


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
