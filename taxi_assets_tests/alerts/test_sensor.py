"""What is told of real runs: read from Dagster's event log, sent to a real HTTP server and a real SMTP server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from taxi_assets.alerts import sensor
from taxi_assets.alerts.events import AlertFactory
from taxi_assets.instance.dagster_private import ReconstructableRepository, execute_run
from taxi_assets.pipeline import LATENESS_CHECK
from taxi_assets.settings import Settings
from taxi_assets_tests.alerts import small_runs
from taxi_assets_tests.receivers import HttpReceiver, http_receiver

UI = "https://dagster.example.org"


@pytest.fixture(autouse=True)
def _as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_runs, "broken_months", set())
    monkeypatch.setattr(small_runs, "failures_left", 0)
    monkeypatch.setattr(small_runs, "check_passes", True)
    monkeypatch.setattr(sensor, "SETTLE_SECONDS", -1.0)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        settings = Settings(taxi_ui_url=f"{UI}/", taxi_alert_webhook_url=f"{found.url}/alerts")
        monkeypatch.setattr(sensor, "settings", lambda: settings)
        yield found


def tick(instance: dg.DagsterInstance, now: float | None = None) -> str:
    """What the daemon does every few seconds; what the tick says."""
    with pytest.MonkeyPatch.context() as patch:
        if now is not None:
            patch.setattr(time, "time", lambda: now)
        context = dg.build_sensor_context(instance, repository_def=small_runs.repository)
        answer = sensor.alerts(context)
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def alerts(receiver: HttpReceiver) -> list[dict[str, Any]]:
    return [body for _, body in receiver.got]


def test_a_failed_run_is_told_of_once_with_its_clear_error(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.broken_months.add("2020-04")
    run_id = small_runs.run(instance, "2020-04").run_id
    assert tick(instance) == "1 alerts sent by webhook."
    assert tick(instance) == "0 alerts sent by webhook."
    (alert,) = alerts(receiver)
    assert alert.pop("since").endswith(" UTC")
    assert alert == {
        "kind": "run_failed",
        "severity": "error",
        "what": "green/raw_taxi failed for 2020-04",
        "assets": ["green/raw_taxi"],
        "months": ["2020-04"],
        "job": "green_taxi_etl",
        "why": {
            "summary": "The file of 2020-04 is no gzip file.",
            "details": {
                "Expected": "a gzip file",
                "Found": "<html>",
                "Where": "http://source/green.csv.gz",
                "Intact": "nothing was written",
                "Next": "ask the source",
            },
        },
        "intact": "nothing was written",
        "next_step": "ask the source",
        "owners": ["team:data-platform", "ada@example.org"],
        "run_id": run_id,
        "link": f"{UI}/runs/{run_id}",
        "count": 1,
        "cause": "run_failed | green/raw_taxi | The file of #-# is no gzip file.",
    }


def test_a_run_that_goes_well_at_once_is_not_told_of(instance: dg.DagsterInstance, receiver: HttpReceiver) -> None:
    assert small_runs.run(instance, "2020-04").success
    assert tick(instance) == "0 alerts sent by webhook."
    assert receiver.got == []


def test_a_retried_step_is_told_of_once(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_runs, "failures_left", 2)
    assert small_runs.run(instance, "2020-04").success
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["kind"] == "retry_needed"
    assert alert["severity"] == "warning"
    assert alert["what"] == "green_taxi_etl went well for 2020-04, but a retry was needed"
    assert alert["why"]["summary"] == "green/raw_taxi was tried 3 times: The source does not answer."
    assert alert["assets"] == ["green/raw_taxi"]
    assert alert["owners"] == small_runs.OWNERS


def test_a_step_that_fails_after_its_retries_is_told_of_once_as_a_failure(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_runs, "failures_left", 3)
    assert not small_runs.run(instance, "2020-04").success
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["kind"] == "run_failed"
    assert alert["why"] == {"summary": "The source does not answer.", "details": {"Found": "a timeout"}}
    assert alert["intact"] == "every month in every store is as it was, or as the steps before left it whole"


def test_a_download_of_several_attempts_is_a_retry(instance: dg.DagsterInstance, receiver: HttpReceiver) -> None:
    assert small_runs.run(instance, "2020-09").success
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["kind"] == "retry_needed"
    assert alert["why"]["summary"] == "the download of green/clean_taxi took 3 attempts"
    assert alert["assets"] == ["green/clean_taxi"]


def dead_run(instance: dg.DagsterInstance, **more: Any) -> dg.DagsterRun:
    """A run whose process died: Dagster marks it failed, and says that it will start it again, as long as it will."""
    job = small_runs.definitions.resolve_job_def("green_taxi_etl")
    tags = {**job.get_tags_for_partition_key("2020-04", None), **more.pop("tags", {})}
    run = instance.create_run_for_job(job, tags=tags, **more)
    instance.report_run_failed(run, "Its process 7 died without a word.")
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found


def again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """What Dagster's daemon does of a run that it starts again, executed here."""
    job = small_runs.definitions.resolve_job_def("green_taxi_etl")
    tags = {**job.get_tags_for_partition_key("2020-04", None), "dagster/retry_number": "1"}
    retry = instance.create_run_for_job(job, tags=tags, parent_run_id=run.run_id, root_run_id=run.run_id)
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": retry.run_id})
    repository = ReconstructableRepository.for_module(small_runs.__name__, "repository")
    execute_run(repository.get_reconstructable_job(job.name), retry, instance)


def test_a_run_that_dagster_starts_again_is_told_of_when_the_retry_has_ended(
    instance: dg.DagsterInstance, receiver: HttpReceiver
) -> None:
    run = dead_run(instance)
    assert run.tags["dagster/will_retry"] == "true"
    tick(instance)
    assert receiver.got == []
    again(instance, run)
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["kind"] == "retry_needed"
    assert alert["why"]["summary"] == "the run was started 2 times: Its process 7 died without a word."


def test_a_retry_that_fails_too_is_one_alert(instance: dg.DagsterInstance, receiver: HttpReceiver) -> None:
    run = dead_run(instance)
    tick(instance)
    small_runs.broken_months.add("2020-04")
    again(instance, run)
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["what"] == "green/raw_taxi failed for 2020-04 in 2 attempts"


def test_a_retry_that_never_comes_is_told_of_as_the_failure_it_is(
    instance: dg.DagsterInstance, receiver: HttpReceiver
) -> None:
    run = dead_run(instance)
    tick(instance)
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    tick(instance)
    assert [alert["kind"] for alert in alerts(receiver)] == ["run_failed"]
    dead_run(instance)
    tick(instance, time.time() + sensor.RETRY_SECONDS + 1)
    assert [alert["count"] for alert in alerts(receiver)] == [1]
    tick(instance, time.time() + 2 * sensor.RETRY_SECONDS + 1)
    assert [alert["count"] for alert in alerts(receiver)] == [1, 1]


def test_a_run_without_a_failed_step_names_all_that_it_was_to_make(
    instance: dg.DagsterInstance, receiver: HttpReceiver
) -> None:
    dead_run(instance, tags={"dagster/max_retries": "0"})
    tick(instance)
    (alert,) = alerts(receiver)
    assert alert["what"] == "green_taxi_etl failed for 2020-04"
    assert alert["why"]["summary"] == "Its process 7 died without a word."


@pytest.mark.parametrize(
    ("name", "severity", "what"),
    [
        (
            "rows_accounted_for",
            "error",
            "the check rows_accounted_for of green/clean_taxi failed for 2020-04, and stopped the run",
        ),
        ("vendors_known", "warning", "the check vendors_known of green/clean_taxi failed for 2020-04"),
    ],
)
def test_a_failed_check_is_told_of_once_with_its_severity(
    instance: dg.DagsterInstance,
    receiver: HttpReceiver,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    severity: str,
    what: str,
) -> None:
    small_runs.run_check(instance, name, "2020-04")
    tick(instance)
    assert receiver.got == []
    monkeypatch.setattr(small_runs, "check_passes", False)
    result = small_runs.run_check(instance, name, "2020-04")
    assert result.success == (severity == "warning")
    tick(instance)
    (alert,) = alerts(receiver)
    assert (alert["kind"], alert["severity"], alert["what"]) == ("check_failed", severity, what)
    assert alert["why"] == {"summary": "7 read, 5 kept, 1 rejected", "details": {}}
    assert alert["owners"] == small_runs.OWNERS
    assert alert["link"] == f"{UI}/runs/{result.run_id}"


def test_a_check_that_knows_what_to_do_next_says_it(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.run_check(instance, "vendors_known", "2020-04")
    tick(instance)
    monkeypatch.setattr(small_runs, "check_passes", False)
    monkeypatch.setattr(small_runs, "found", "7 read, 5 kept\n  Next: look at the file")
    small_runs.run_check(instance, "vendors_known", "2020-04")
    tick(instance)
    (alert,) = alerts(receiver)
    assert (alert["why"]["summary"], alert["next_step"]) == ("7 read, 5 kept", "look at the file")


def test_a_late_month_is_told_of_once_a_day(instance: dg.DagsterInstance, receiver: HttpReceiver) -> None:
    now = time.time()
    for hours in (0, 1, 2):
        small_runs.run_check(instance, LATENESS_CHECK, None)
        tick(instance, now + 3600 * hours)
    (alert,) = alerts(receiver)
    assert (alert["kind"], alert["severity"]) == ("month_late", "warning")
    assert alert["what"] == "green: the newest month is late"
    assert alert["why"]["summary"] == "2020-03 is 12 days late."
    tick(instance, now + 25 * 3600)
    assert [alert["count"] for alert in alerts(receiver)] == [1, 2]


def test_the_same_cause_is_gathered_and_summed_up_also_by_another_process(
    instance: dg.DagsterInstance, receiver: HttpReceiver
) -> None:
    now = time.time()
    months = ["2020-04", "2020-05", "2020-06", "2020-07"]
    small_runs.broken_months.update(months)
    for month in months:
        small_runs.run(instance, month)
        tick(instance, now)
    assert [alert["what"] for alert in alerts(receiver)] == ["green/raw_taxi failed for 2020-04"]
    tick(instance, now + 14 * 60)
    assert len(receiver.got) == 1
    tick(instance, now + 15 * 60 + 1)
    summary = alerts(receiver)[1]
    expected = "green/raw_taxi failed for 2020-07 (3 times more, in all for 2020-05, 2020-06, 2020-07)"
    assert (summary["what"], summary["count"]) == (expected, 3)
    tick(instance, now + 45 * 60)
    assert len(receiver.got) == 2


def test_what_was_before_the_last_hour_is_not_told_of_at_the_first_look(
    instance: dg.DagsterInstance, receiver: HttpReceiver
) -> None:
    small_runs.broken_months.add("2020-04")
    small_runs.run(instance, "2020-04")
    tick(instance, time.time() + 2 * sensor.FIRST_LOOK_SECONDS)
    assert receiver.got == []


def test_a_tick_that_is_cut_off_sends_nothing_twice(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.broken_months.add("2020-04")
    small_runs.run(instance, "2020-04")
    small_runs.run(instance, "2020-09")
    failing = AlertFactory.retry_needed

    def lost(*args: Any) -> Any:
        raise OperationalError("SELECT", {}, ConnectionError("the database went away"))

    monkeypatch.setattr(AlertFactory, "retry_needed", lost)
    with pytest.raises(OperationalError):
        tick(instance)
    assert [alert["kind"] for alert in alerts(receiver)] == ["run_failed"]
    monkeypatch.setattr(AlertFactory, "retry_needed", failing)
    tick(instance)
    assert [alert["kind"] for alert in alerts(receiver)] == ["run_failed", "retry_needed"]


def test_a_tick_that_has_no_time_left_leaves_the_rest_to_the_next(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor, "TICK_SECONDS", -1.0)
    small_runs.broken_months.add("2020-04")
    small_runs.run(instance, "2020-04")
    small_runs.run(instance, "2020-09")
    assert tick(instance) == "1 alerts sent by webhook."
    assert tick(instance) == "1 alerts sent by webhook."
    assert tick(instance) == "0 alerts sent by webhook."
    assert [alert["kind"] for alert in alerts(receiver)] == ["run_failed", "retry_needed"]


def test_an_event_that_cannot_be_understood_does_not_silence_the_others(
    instance: dg.DagsterInstance, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.broken_months.add("2020-04")
    small_runs.run(instance, "2020-04")
    small_runs.run(instance, "2020-09")

    def confused(*args: Any) -> Any:
        raise AttributeError("an event of another version of Dagster")

    monkeypatch.setattr(AlertFactory, "run_failed", confused)
    tick(instance)
    assert [alert["kind"] for alert in alerts(receiver)] == ["retry_needed"]


def test_without_a_channel_the_sensor_says_which_settings_there_are(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor, "settings", Settings)
    assert tick(instance) == "No channel is set: TAXI_ALERT_SLACK_URL, TAXI_ALERT_WEBHOOK_URL, TAXI_SMTP_HOST."
