"""A trial in the launchpad: it ends well, without lake and BigQuery, and leaves the month as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from taxi_assets.instance.dagster_private import execute_run
from taxi_assets.instance.runs import reconstructable_job
from taxi_assets.settings import settings
from taxi_assets.stores.cleaned import CleanedFiles
from taxi_assets.trips.months import month_name
from taxi_assets_tests.published import ASSETS, Waiting

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

JOB = "yellow_taxi_etl"
TRIAL = {"ops": {"yellow_clean": {"config": {"limit": 2}}}}


def run(waiting: Waiting, month: str, config: Any, assets: Any = None) -> dg.DagsterRun:
    """The pipeline's whole job, or some of its assets, as a launched run does it."""
    keys = frozenset(dg.AssetKey(["yellow", name]) for name in assets) if assets else None
    created = waiting.instance.create_run_for_job(
        job_def=waiting.job.get_subset(asset_selection=keys) if keys else waiting.job,
        asset_selection=keys,
        run_config=config,
        tags=waiting.job.get_tags_for_partition_key(month, None),
    )
    execute_run(reconstructable_job(JOB), created, waiting.instance, raise_on_error=False)
    done = waiting.instance.get_run_by_id(created.run_id)
    assert done
    return done


def cleaned_home(waiting: Waiting, month: str) -> Path:
    """The home of the cleaned files: the definitions may be of an earlier test, with its settings."""
    records = waiting.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(["yellow", "clean_taxi"]), asset_partitions=[month]), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization
    return Path(str(materialization.metadata["path"].value)).parents[3]


def newest(waiting: Waiting, asset: str, month: str) -> str | None:
    """The run of the newest materialization of a month, as the UI shows it."""
    records = waiting.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(["yellow", asset]), asset_partitions=[month]), limit=1
    ).records
    return records[0].run_id if records else None


def checked(waiting: Waiting, month: str) -> Any:
    """The newest result of a blocking check of the month."""
    key = dg.AssetCheckKey(dg.AssetKey(["yellow", "clean_taxi"]), "rows_accounted_for")
    storage = waiting.instance.event_log_storage
    (record,) = storage.get_asset_check_execution_history(key, limit=1)
    return record.run_id, record.status.value


def test_a_trial_of_the_whole_job_succeeds_and_leaves_the_month(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = month_name(waiting.months[0])
    waiting.publish(waiting.months[0], 5)
    full = run(waiting, month, {}, ASSETS)
    assert full.is_success
    before = checked(waiting, month)
    monkeypatch.setenv("POSTGRES_SCHEMA", "")
    settings.cache_clear()
    trial = run(waiting, month, TRIAL)
    assert trial.is_success
    events: Any = waiting.instance.all_logs(trial.run_id)
    kinds = {event.dagster_event.event_type_value for event in events if event.dagster_event}
    skipped = {event.step_key for event in events if event.dagster_event_type == dg.DagsterEventType.STEP_SKIPPED}
    assert {"yellow__bigquery_table", "yellow_lake_checks", "yellow_bigquery_checks"} <= skipped
    assert "STEP_FAILURE" not in kinds, "so nobody is alerted"
    assert [newest(waiting, asset, month) for asset in ASSETS] == [trial.run_id, *[full.run_id] * 3]
    assert checked(waiting, month) == before
    seen = waiting.instance.fetch_observations(dg.AssetKey(["yellow", "clean_taxi"]), limit=1).records[0]
    assert seen.asset_observation
    assert seen.asset_observation.metadata["trial"].value == "only the first 2 rows of the file"
    rows = CleanedFiles(cleaned_home(waiting, month), "yellow", month).find("clean", ["another run"])
    assert rows
    assert rows.rows == 5
    assert waiting.rows()[month] == 5


def test_a_trial_where_nothing_stands_makes_no_month(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    month = month_name(waiting.months[1])
    waiting.publish(waiting.months[1], 5)
    trial = run(waiting, month, TRIAL, ASSETS)
    assert trial.is_success
    assert [newest(waiting, asset, month) for asset in ASSETS[1:]] == [None] * 3
    assert waiting.rows()[month] == 2
    assert month in waiting.look()[0], "the sensor asks for the full month"
