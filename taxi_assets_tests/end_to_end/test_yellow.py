"""A month of yellow trips: what `taxi run` says, what stands in PostgreSQL, and what Dagster knows of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from taxi_assets.settings import PROJECT_ROOT, settings
from taxi_assets_tests.real_months import EXCERPTS, Counts
from taxi_assets_tests.taxi_command import UNSET, Said, Taxi

pytestmark = pytest.mark.e2e

CHECKS = {
    "yellow/clean_taxi": {
        "rows_accounted_for",
        "no_kept_row_breaks_a_rule",
        "month_not_empty",
        "vendors_known",
        "pickups_in_the_month",
        "columns_known",
    },
    "yellow/postgres_table": {"agrees_with_clean_taxi", "table_not_empty"},
}


@pytest.fixture(scope="module")
def expected() -> Counts:
    return EXCERPTS.counts("yellow", "2021-01")


@pytest.fixture(scope="module")
def said(apart: Taxi) -> Said:
    return apart.well("run", "yellow", "--months", "2021-01", "--only", "postgres")


@pytest.fixture(scope="module")
def instance(apart: Taxi) -> Iterator[dg.DagsterInstance]:
    """Dagster's records of that platform, as the webserver reads them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**UNSET, "TAXI_HOME": str(apart.home), "DAGSTER_HOME": str(PROJECT_ROOT)}.items():
            patch.setenv(name, value)
        settings.cache_clear()
        with dg.DagsterInstance.get() as found:
            yield found
    settings.cache_clear()


@pytest.fixture
def run(said: Said, instance: dg.DagsterInstance) -> dg.DagsterRun:
    run_id = said.err.partition("\nRun ")[2].partition(":")[0]
    found = instance.get_run_by_id(run_id)
    assert found
    return found


def events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    records = instance.get_records_for_run(run.run_id, of_type=kind).records
    return [record.event_log_entry.get_dagster_event() for record in records]


def test_the_month_stands_in_postgres(apart: Taxi, said: Said, expected: Counts) -> None:
    assert apart.well("sql", "select count(*) from ny_taxi.yellow_cab_data").out == f"{expected.kept}\n"
    reasons = apart.sql("SELECT reason, count(*) FROM ny_taxi.yellow_cab_data_rejected GROUP BY 1 ORDER BY 2")
    assert sum(int(line.rpartition(",")[2]) for line in reasons.splitlines()) == expected.rows - expected.kept


def test_what_is_said_in_a_pipe(said: Said, expected: Counts) -> None:
    assert "fetch yellow 2021-01: " in said.err
    assert f"clean yellow 2021-01: {expected.rows:,} rows in " in said.err
    assert f"load yellow 2021-01 into PostgreSQL: {expected.kept:,} rows in " in said.err
    (row,) = (line.split() for line in said.out.splitlines() if line.startswith("2021-01"))
    counts = [f"{count:,}" for count in (expected.rows, expected.kept, expected.rows - expected.kept)]
    assert row[:5] == ["2021-01", "postgres", *counts]
    assert row[-1] == "ny_taxi.yellow_cab_data"
    assert "NOTICE" not in said.err
    assert "\x1b" not in said.out + said.err
    assert said.out.startswith("month ")


def test_the_run_is_one_like_any_other(run: dg.DagsterRun) -> None:
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.job_name == "yellow_taxi_etl"
    assert run.tags["dagster/partition"] == "2021-01"
    assert run.tags["taxi/started_by"].startswith("taxi run by ")
    assert "taxi/made_up" not in run.tags
    assert run.remote_job_origin
    assert run.remote_job_origin.location_name == "taxi_assets"


def test_each_asset_shows_what_was_done(
    instance: dg.DagsterInstance, run: dg.DagsterRun, apart: Taxi, expected: Counts
) -> None:
    shown: dict[str, dict[str, Any]] = {
        event.asset_key.path[-1]: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in events(instance, run, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key
    }
    assert set(shown) == {"raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table"}
    raw, clean, rejected, table = (
        shown[name] for name in ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")
    )
    assert raw["url"].endswith("yellow_tripdata_2021-01.csv.gz")
    assert len(raw["sha256"]) == 64
    assert Path(raw["path"]).stat().st_size == raw["bytes"]
    rejected_rows = expected.rows - expected.kept
    assert (clean["rows_read"], clean["rows_kept"], clean["rows_rejected"]) == (
        expected.rows,
        expected.kept,
        rejected_rows,
    )
    assert (clean["dagster/partition_row_count"], rejected["dagster/partition_row_count"]) == (
        expected.kept,
        rejected_rows,
    )
    assert len(clean["preview"].records) == 10
    assert clean["plot"].startswith("![Trips by hour of the day](data:image/svg+xml;base64,")
    assert Path(clean["path"]).is_relative_to(apart.home)
    assert table["dagster/partition_row_count"] == expected.kept
    assert "ny_taxi.yellow_cab_data" in table["look"]
    assert not any(values["synthetic"] for values in (raw, clean, rejected, table))


def test_where_to_look_is_a_command_that_works(apart: Taxi, said: Said) -> None:
    out = apart.well("sql", "--csv", "table ny_taxi.yellow_cab_data_2021_01 limit 10").out
    assert len(out.splitlines()) == 11


def test_every_check_of_the_month_was_made(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    made = [e.asset_check_evaluation_data for e in events(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)]
    for asset, names in CHECKS.items():
        for name in names:
            (check,) = (c for c in made if (c.asset_key.to_user_string(), c.check_name) == (asset, name))
            assert check.passed, check.description
            assert check.partition == "2021-01"


def test_a_failed_run_carries_the_clear_error(apart: Taxi, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "yellow").mkdir()
    (tmp_path / "yellow" / "yellow_tripdata_2020-11.csv.gz").write_bytes(b"<html>")
    broken = apart.having(TAXI_SOURCE_URL=tmp_path.as_uri())
    said = broken("run", "yellow", "--months", "2020-11")
    assert said.code == 1
    (found,) = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/partition": "2020-11"}))
    assert found.status is dg.DagsterRunStatus.FAILURE
    (failed,) = events(instance, found, dg.DagsterEventType.STEP_FAILURE)
    assert failed.step_failure_data.user_failure_data
    description = failed.step_failure_data.user_failure_data.description
    assert description
    assert "yellow_tripdata_2020-11.csv.gz" in description
    assert all(line.strip() in said.err for line in description.splitlines())


def test_a_month_that_is_not_published_makes_no_run(apart: Taxi, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    before = instance.get_runs_count()
    empty = apart.having(TAXI_SOURCE_URL=tmp_path.as_uri())
    said = empty("run", "yellow", "--months", "2020-10")
    assert said.code == 1
    assert "yellow 2020-10 is not published yet." in said.err
    assert f"nothing at {tmp_path.as_uri()}/yellow/yellow_tripdata_2020-10.csv.gz" in said.err
    assert "yellow: 0 loaded, 0 loaded already, 0 failed, 1 not published" in said.err
    assert instance.get_runs_count() == before


def test_synthetic_trips_do_not_replace_real_ones(apart: Taxi, said: Said, expected: Counts) -> None:
    refused = apart.having(TAXI_SOURCE_URL="")("run", "yellow", "--months", "2021-01", "--only", "postgres")
    assert refused.code == 1
    assert "stands in postgres from a real file" in refused.err
    assert apart.well("sql", "select count(*) from ny_taxi.yellow_cab_data").out == f"{expected.kept}\n"
