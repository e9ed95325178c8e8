"""Months that are not published: no run is made for them, and one that is made all the same fails no check."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import dagster as dg

from taxi_assets.automation.absent import absent_months
from taxi_assets.instance.history import NOT_PUBLISHED_TAG
from taxi_assets.settings import settings
from taxi_assets.sources.source import source_from_settings
from taxi_assets.trips.months import month_name
from taxi_assets_tests.faulty_server import GOOD, Fault
from taxi_assets_tests.published import Waiting, csv_path, parquet_path

CHECK = dg.AssetCheckKey(dg.AssetKey(["yellow", "clean_taxi"]), "rows_accounted_for")


def test_only_what_the_source_does_not_have_is_absent(waiting: Waiting) -> None:
    there, gone, broken = waiting.months
    waiting.publish(there, 3)
    waiting.server.always_fails(csv_path(broken), Fault(status=500))
    found = absent_months(source_from_settings(settings()), "yellow", waiting.months)
    assert list(found) == [gone]
    for path in (csv_path(gone), parquet_path(gone)):
        assert f"{waiting.server.url}{path}" in found[gone].details["Found"]


def test_the_sample_source_is_not_asked_and_has_all_but_the_newest_months(waiting: Waiting) -> None:
    sample = replace(source_from_settings(settings()), synthetic=True)
    months = [date(2021, 1, 1), *waiting.months]
    assert waiting.months[-1] in absent_months(sample, "yellow", months)
    assert date(2021, 1, 1) not in absent_months(sample, "yellow", months)
    assert waiting.server.asked == []


def test_a_run_for_an_absent_month_ends_well_and_fails_no_check(waiting: Waiting) -> None:
    loaded, absent = waiting.months[:2]
    waiting.publish(loaded, 3)
    assert waiting.run(waiting.look()[0][month_name(loaded)]).success
    result = waiting.run(dg.RunRequest(partition_key=month_name(absent)))
    assert result.success
    run = waiting.instance.get_run_by_id(result.run_id)
    assert run
    assert run.tags[NOT_PUBLISHED_TAG] == "true"
    done = {event.step_key for event in result.all_events if event.is_step_success}
    skipped = {event.step_key for event in result.all_events if event.is_step_skipped}
    assert done == {"yellow__raw_taxi"}
    assert {"yellow_clean", "yellow_clean_checks", "yellow__postgres_table"} <= skipped
    # A planned check of a run that succeeded counts as skipped, of one that failed as failed.
    checks = waiting.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)
    assert [(check.run_id == run.run_id, check.status.value) for check in checks] == [
        (True, "PLANNED"),
        (False, "SUCCEEDED"),
    ]
    assert run.status == dg.DagsterRunStatus.SUCCESS
    # And nobody takes the month for loaded.
    key = dg.AssetKey(["yellow", "raw_taxi"])
    assert waiting.instance.get_materialized_partitions(key) == {month_name(loaded)}
    seen = waiting.instance.fetch_observations(key, limit=1).records[0].asset_observation
    assert seen
    assert (seen.partition, seen.description) == (
        month_name(absent),
        f"yellow {month_name(absent)} is not published yet.",
    )
    assert waiting.rows() == {month_name(loaded): 3}
    requests, reason = waiting.look()
    assert not requests
    assert f"{month_name(absent)} is not published" in reason
    waiting.publish(absent, 2)
    assert waiting.run(waiting.look()[0][month_name(absent)]).success
    assert waiting.rows() == {month_name(loaded): 3, month_name(absent): 2}


def test_a_loaded_month_stays_when_its_file_is_gone(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    request = waiting.look()[0][month_name(month)]
    assert waiting.run(request).success
    waiting.server.always_fails(csv_path(month), Fault(status=404))
    assert waiting.run(request).success
    assert waiting.rows() == {month_name(month): 3}


def test_a_file_that_is_gone_when_it_is_fetched_is_not_asked_for_for_ever(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    request = waiting.look()[0][month_name(month)]
    waiting.server.fails(csv_path(month), Fault(status=404))
    assert waiting.run(request).success
    waiting.server.fails(csv_path(month), GOOD)
    requests, reason = waiting.look()
    assert not requests
    assert "it is asked for again when its file changes, or by a person" in reason
    assert waiting.rows() == {}
    waiting.publish(month, 4)
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    assert waiting.rows() == {month_name(month): 4}


def test_a_broken_file_still_fails(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.server.publish(csv_path(month), b"<!DOCTYPE html><html>sorry</html>")
    assert not waiting.run(waiting.look()[0][month_name(month)]).success


def test_a_run_that_repeats_an_absent_one_is_not_marked_when_it_loads(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    request = dg.RunRequest(partition_key=month_name(month), tags={NOT_PUBLISHED_TAG: "true"})
    run = waiting.instance.get_run_by_id(waiting.run(request).run_id)
    assert run
    assert run.tags[NOT_PUBLISHED_TAG] == "false"
