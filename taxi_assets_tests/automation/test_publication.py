"""What the sensor asks for when a real source publishes, changes, breaks and heals."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from taxi_assets.automation import run_requests
from taxi_assets.automation.publication import publication_sensor
from taxi_assets.automation.schedules import schedule
from taxi_assets.pipeline import Publication, Schedule
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import OWNER, connect_as
from taxi_assets.trips.months import month_name
from taxi_assets.trips.rules import Rule
from taxi_assets_tests.faulty_server import GOOD, Fault
from taxi_assets_tests.published import Waiting, csv_body, csv_path, parquet_body, parquet_path


def test_nothing_is_published(waiting: Waiting) -> None:
    requests, reason = waiting.look()
    assert not requests
    assert [f"{month_name(month)} is not published" in reason for month in waiting.months] == [True] * 3


def test_a_new_month_is_loaded_and_then_left_alone(waiting: Waiting) -> None:
    month = waiting.months[-2]
    waiting.publish(month, 3)
    requests, _ = waiting.look()
    assert list(requests) == [month_name(month)]
    assert waiting.run(requests[month_name(month)]).success
    assert waiting.rows() == {month_name(month): 3}
    requests, reason = waiting.look()
    assert not requests
    assert f"{month_name(month)} is loaded already" in reason


def test_the_cursor_makes_the_next_question_a_conditional_one(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    first, _ = waiting.look()
    again, _ = waiting.look()
    asked = waiting.server.of(csv_path(month))
    assert [request.method for request in asked] == ["HEAD", "HEAD"]
    assert "If-None-Match" not in asked[0].headers
    assert asked[1].headers["If-None-Match"]
    assert first[month_name(month)].run_key == again[month_name(month)].run_key
    waiting.cursor = "no cursor"
    assert waiting.look()[0].keys() == first.keys()


def test_a_changed_month_replaces_the_old_one(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.publish(month, 3)
    first = waiting.look()[0][month_name(month)]
    assert waiting.run(first).success
    waiting.publish(month, 5)
    second = waiting.look()[0][month_name(month)]
    assert second.run_key != first.run_key
    assert waiting.run(second).success
    assert waiting.rows() == {month_name(month): 5}
    assert not waiting.look()[0]
    # And back: the version was seen before, and is asked for all the same.
    waiting.publish(month, 3)
    third = waiting.look()[0][month_name(month)]
    assert third.run_key not in (first.run_key, second.run_key)


def test_the_other_layout_is_no_change(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.server.publish(parquet_path(month), parquet_body(4))
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    waiting.publish(month, 3)
    requests, reason = waiting.look()
    assert not requests
    assert "is loaded already" in reason
    waiting.server.publish(parquet_path(month), parquet_body(6))
    assert list(waiting.look()[0]) == [month_name(month)]


def test_a_month_that_cannot_be_asked_for_holds_up_no_other(waiting: Waiting) -> None:
    broken, good = waiting.months[:2]
    waiting.server.always_fails(csv_path(broken), Fault(status=500))
    waiting.publish(good, 3)
    assert list(waiting.look()[0]) == [month_name(good)]
    assert waiting.run(waiting.look()[0][month_name(good)]).success
    requests, reason = waiting.look()
    assert not requests
    assert f"{month_name(broken)} could not be asked for" in reason
    assert "500" in reason


def test_a_broken_file_is_asked_for_again_only_when_it_changes(waiting: Waiting) -> None:
    broken, good = waiting.months[:2]
    waiting.server.publish(csv_path(broken), b"<!DOCTYPE html><html>sorry</html>")
    request = waiting.look()[0][month_name(broken)]
    assert not waiting.run(request).success
    waiting.publish(good, 3)
    assert list(waiting.look()[0]) == [month_name(good)]
    assert waiting.run(waiting.look()[0][month_name(good)]).success
    assert "it is asked for again when its file changes, or by a person" in waiting.look()[1]
    assert "or by a person" in waiting.tick()[1]
    waiting.publish(broken, 2)
    assert list(waiting.look()[0]) == [month_name(broken)]


def test_what_may_pass_is_tried_again_a_day_later(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    waiting.server.fails(csv_path(month), GOOD, Fault(status=503))
    first = waiting.look()[0][month_name(month)]
    assert not waiting.run(first).success
    assert "a day after that" in waiting.look()[1]
    monkeypatch.setattr(run_requests, "RETRY_AFTER", timedelta(0))
    second = waiting.look()[0][month_name(month)]
    assert second.run_key != first.run_key
    assert waiting.run(second).success
    assert waiting.rows() == {month_name(month): 3}


def test_a_month_that_is_under_way_is_not_asked_for(waiting: Waiting) -> None:
    month = waiting.months[0]
    waiting.publish(month, 3)
    waiting.instance.create_run_for_job(
        job_def=waiting.job, tags={"dagster/partition": month_name(month)}, status=dg.DagsterRunStatus.STARTING
    )
    requests, reason = waiting.look()
    assert not requests
    assert f"{month_name(month)} has a run that waits or is under way" in reason


def test_synthetic_months_are_never_published(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXI_SOURCE_URL", "")
    settings.cache_clear()
    requests, reason = waiting.look()
    assert not requests
    assert "TAXI_SOURCE_URL" in reason


def test_the_schedule_asks_for_what_is_missing_alone(waiting: Waiting) -> None:
    assert "is not published" in waiting.tick()[1]
    month = waiting.months[-1]
    waiting.publish(month, 3)
    assert waiting.run(waiting.tick()[0][month_name(month)]).success
    waiting.server.publish(csv_path(month), csv_body(5))
    requests, reason = waiting.tick()
    assert not requests
    assert f"{month_name(month)} is loaded already" in reason
    waiting.publish(waiting.months[0], 2)
    assert list(waiting.tick()[0]) == [month_name(waiting.months[0])]


def test_a_month_that_its_store_lost_is_asked_for_again(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.publish(month, 3)
    assert waiting.run(waiting.tick()[0][month_name(month)]).success
    with connect_as(OWNER, waiting.postgres) as connection:
        connection.execute(f"DELETE FROM {waiting.schema}.yellow_cab_data".encode())
    assert list(waiting.look()[0]) == [month_name(month)]
    assert waiting.run(waiting.tick()[0][month_name(month)]).success
    assert waiting.rows() == {month_name(month): 3}


def test_a_month_of_older_rules_waits_for_a_person(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.publish(month, 3)
    assert waiting.run(waiting.tick()[0][month_name(month)]).success
    rule = Rule(column="trip_distance", at_most=0)
    changed = waiting.pipeline.model_copy(update={"reject": [*waiting.pipeline.reject, rule]})
    waiting.schedule = schedule(changed, Schedule(cron="0 5 * * *"))
    waiting.sensor = publication_sensor(changed, Publication())
    for requests, reason in (waiting.tick(), waiting.look()):
        assert not requests
        assert f"{month_name(month)} is loaded by older rules or columns" in reason
        assert "taxi run yellow --months outdated" in reason
    waiting.publish(month, 4)
    assert list(waiting.look()[0]) == [month_name(month)]
