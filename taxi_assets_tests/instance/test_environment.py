"""A run keeps the environment that it was asked for with, whichever process creates, repeats or executes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
import psycopg
import pytest

from taxi_assets.environment import Environment, environment_of
from taxi_assets.instance.dagster_private import add_backfill, execute_run
from taxi_assets.instance.runs import reconstructable_job
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import connect
from taxi_assets.trips.months import month_name
from taxi_assets_tests.published import ASSETS, Waiting

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

JOB = "yellow_taxi_etl"
PRODUCTION = "ny_taxi"


class Processes:
    """Processes with settings of their own, one after the other."""

    def __init__(self, waiting: Waiting, patch: pytest.MonkeyPatch) -> None:
        self.waiting, self.patch = waiting, patch

    def begin(self, **names: str) -> None:
        """A process with these settings; an empty one is unset."""
        for name, value in names.items():
            self.patch.setenv(name, value)
        settings.cache_clear()

    def create(self, month: str, run_config: Any = None, assets: Sequence[str] = ASSETS, **more: Any) -> dg.DagsterRun:
        """Creates a run of the month; without other assets into PostgreSQL."""
        job = self.waiting.job
        keys = frozenset(dg.AssetKey(["yellow", name]) for name in assets)
        return self.waiting.instance.create_run_for_job(
            job_def=job.get_subset(asset_selection=keys),
            asset_selection=keys,
            run_config=run_config or {},
            tags=job.get_tags_for_partition_key(month, None),
            **more,
        )

    def execute(self, run: dg.DagsterRun) -> str:
        """Executes it; returns the text of the first failure."""
        # As a process reads it that did not create it.
        stored = self.waiting.instance.get_run_by_id(run.run_id)
        assert stored
        result = execute_run(reconstructable_job(JOB), stored, self.waiting.instance, raise_on_error=False)
        failed: Any = result.filter_events(lambda event: event.is_step_failure)
        return failed[0].step_failure_data.user_failure_data.description if failed else ""

    def rows(self, schema: str, month: str) -> int:
        with connect(self.waiting.postgres) as connection:
            try:
                query = f"SELECT count(*) FROM {schema}.yellow_cab_data WHERE source_month = '{month}-01'"
                row = connection.execute(query.encode()).fetchone()
            except psycopg.errors.UndefinedTable:
                return 0
        return int(row[0]) if row else 0


@pytest.fixture
def processes(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> Processes:
    return Processes(waiting, monkeypatch)


def schema_of(run: dg.DagsterRun) -> Any:
    return environment_of(run.run_config)["postgres"]["schema"]


def test_a_trial_environment_survives_its_process(processes: Processes) -> None:
    """The retry of a killed `POSTGRES_SCHEMA=try1 taxi run …` by a daemon without that setting."""
    waiting = processes.waiting
    month = month_name(waiting.months[0])
    waiting.publish(waiting.months[0], 3)
    processes.begin(POSTGRES_SCHEMA="try1")
    asked = processes.create(month)
    processes.begin(POSTGRES_SCHEMA="")
    retried = processes.create(month, parent_run_id=asked.run_id, root_run_id=asked.run_id)
    assert [schema_of(run) for run in (asked, retried)] == ["try1", "try1"]
    before = processes.rows(PRODUCTION, month)
    assert processes.execute(retried) == ""
    assert (processes.rows("try1", month), processes.rows(PRODUCTION, month)) == (3, before)


def test_the_source_of_a_run_is_loaded_also_where_no_source_is_configured(processes: Processes) -> None:
    waiting = processes.waiting
    month = month_name(waiting.months[1])
    waiting.publish(waiting.months[1], 4)
    run = processes.create(month)
    processes.begin(TAXI_SOURCE_URL="", TAXI_SAMPLE_ROWS="10")
    assert processes.execute(run) == ""
    assert waiting.rows()[month] == 4


def test_a_source_with_a_password_is_loaded_where_it_is_known_and_refused_elsewhere(processes: Processes) -> None:
    waiting = processes.waiting
    month = month_name(waiting.months[2])
    waiting.publish(waiting.months[2], 5)
    url = waiting.server.url.replace("://", "://ada:hidden-word@")
    processes.begin(TAXI_SOURCE_URL=url)
    run = processes.create(month)
    assert "hidden-word" not in str(run.run_config)
    processes.begin(TAXI_SOURCE_URL="")
    error = processes.execute(run)
    assert "another source" in error
    assert "TAXI_SOURCE_URL" in error
    assert "hidden-word" not in error
    assert month not in waiting.rows()
    processes.begin(TAXI_SOURCE_URL=url)
    assert processes.execute(processes.create(month, parent_run_id=run.run_id, root_run_id=run.run_id)) == ""
    assert waiting.rows()[month] == 5


def test_another_database_or_bucket_is_refused(processes: Processes) -> None:
    waiting = processes.waiting
    month = month_name(waiting.months[2])
    waiting.publish(waiting.months[2], 5)
    asked = Environment.here().model_dump()
    asked["postgres"]["server"] = "elsewhere:5432"
    error = processes.execute(processes.create(month, {"execution": {"config": {"environment": asked}}}))
    assert "another database" in error
    assert "POSTGRES_HOST" in error
    assert processes.execute(processes.create(month)) == ""
    asked = Environment.here().model_dump()
    asked["lake"]["bucket"] = "elsewhere"
    config = {"execution": {"config": {"environment": asked}}}
    error = processes.execute(processes.create(month, config, ["gcs_parquet"]))
    assert "another lake" in error
    assert "GCS_BUCKET" in error


def test_synthetic_trips_of_another_run_are_not_loaded_for_a_real_source(processes: Processes) -> None:
    waiting = processes.waiting
    month = month_name(waiting.months[0])
    waiting.publish(waiting.months[0], 3)
    processes.begin(TAXI_SOURCE_URL="", TAXI_SAMPLE_ROWS="10", POSTGRES_SCHEMA="try4")
    assert processes.execute(processes.create(month)) == ""
    processes.begin(TAXI_SOURCE_URL=waiting.server.url, POSTGRES_SCHEMA=waiting.schema)
    error = processes.execute(processes.create(month, assets=["postgres_table"]))
    assert "are synthetic, and the run asks for real ones" in error
    assert month not in waiting.rows()
    assert processes.execute(processes.create(month)) == ""
    assert waiting.rows()[month] == 3


def test_a_backfill_keeps_the_environment_of_who_asked_for_it(processes: Processes) -> None:
    instance = processes.waiting.instance
    processes.begin(POSTGRES_SCHEMA="try2")
    backfill = add_backfill(
        instance,
        _repository(),
        assets=[dg.AssetKey(["yellow", "raw_taxi"])],
        partitions=["2021-01"],
        time=time.time(),
        title="of the UI",
        tags={},
        run_config={},
    )
    processes.begin(POSTGRES_SCHEMA="")
    stored = instance.get_backfill(backfill)
    assert stored
    assert environment_of(stored.run_config or {})["postgres"]["schema"] == "try2"
    assert schema_of(processes.create("2021-01", stored.run_config)) == "try2"


def _repository() -> dg.RepositoryDefinition:
    from taxi_assets.definitions import defs

    return defs().get_repository_def()


def test_schedules_and_sensors_ask_with_their_environment(processes: Processes) -> None:
    waiting = processes.waiting
    waiting.publish(waiting.months[0], 3)
    processes.begin(BIGQUERY_DATASET="try3")
    requests = [*waiting.look()[0].values(), *waiting.tick()[0].values()]
    assert [environment_of(request.run_config)["bigquery"]["dataset"] for request in requests] == ["try3", "try3"]


def test_a_job_of_others_gets_none(waiting: Waiting) -> None:
    @dg.asset
    def other() -> None:
        pass

    job = dg.Definitions([other], jobs=[dg.define_asset_job("others", [other])]).resolve_job_def("others")
    assert waiting.instance.create_run_for_job(job_def=job).run_config == {}


def test_every_job_of_the_project_takes_one(waiting: Waiting) -> None:
    for job in _repository().get_all_jobs():
        run = waiting.instance.create_run_for_job(job_def=job)
        assert environment_of(run.run_config), job.name
        dg.validate_run_config(job, run.run_config)
