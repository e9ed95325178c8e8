"""Every schedule and sensor starts in the state that its YAML says."""

from __future__ import annotations

import dagster as dg
import pytest

from taxi_assets.definitions import defs
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import read_pipelines

PIPELINES = read_pipelines()


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return defs().get_repository_def()


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_schedule_and_sensor(repository: dg.RepositoryDefinition, pipeline: PipelineSpec) -> None:
    assert pipeline.schedule
    assert pipeline.publication
    schedule = repository.get_schedule_def(f"{pipeline.job}_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (
        pipeline.schedule.cron,
        pipeline.schedule.timezone,
    )
    assert schedule.default_status.value.lower() == pipeline.schedule.state
    assert schedule.job_name == pipeline.job
    sensor = repository.get_sensor_def(f"{pipeline.name}_publication")
    assert sensor.default_status.value.lower() == pipeline.publication.state
    freshness = repository.get_schedule_def(f"{pipeline.name}_freshness_schedule")
    assert freshness.default_status == dg.DefaultScheduleStatus.RUNNING


def test_green_taxi_etl_runs_daily_at_five(repository: dg.RepositoryDefinition) -> None:
    schedule = repository.get_schedule_def("green_taxi_etl_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 5 * * *", "UTC")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_job_of_a_month_holds_no_check_of_lateness(repository: dg.RepositoryDefinition) -> None:
    names = {node.name for node in repository.get_job("green_taxi_etl").nodes}
    assert "green__raw_taxi" in names
    assert not [name for name in names if "late" in name]
