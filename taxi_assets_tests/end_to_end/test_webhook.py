"""Started from outside, with nobody at the machine: the daemon runs it once, and the owner hears of what went wrong."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.receivers import http_receiver
from taxi_assets_tests.taxi_command import SCRIPT, Taxi
from taxi_assets_tests.trips.made import HEADER, line
from taxi_assets_tests.webhook.webhook_process import webhook

pytestmark = pytest.mark.e2e

LONGEST_SECONDS = 200
UNSTEADY, BROKEN = "2021-01", "2021-02"


@contextmanager
def daemon(taxi: Taxi) -> Iterator[None]:
    """Dagster's daemon, as `taxi dev` starts it."""
    command = [str(SCRIPT.with_name("dagster-daemon")), "run", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    environment = {**taxi.environment(), "DAGSTER_HOME": str(taxi.home / "dagster")}
    with Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=nowhere
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while not done():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.5)


def published(month: str) -> str:
    return f"/yellow/yellow_tripdata_{month}.csv.gz"


@pytest.mark.timeout(2 * LONGEST_SECONDS)
def test_months_asked_for_over_http_are_loaded_once_and_trouble_is_told_of_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    taxi = Taxi(tmp_path_factory.mktemp("outside") / "home", tmp_path_factory.mktemp("elsewhere"))
    with FaultyServer() as source, http_receiver() as receiver:
        body = gzip.compress("\n".join([HEADER, *[line()] * 7, line(passenger_count="0"), ""]).encode())
        source.publish(published(UNSTEADY), body)
        # The webhook asks twice whether the month is there, then the run asks.
        source.fails(published(UNSTEADY), *[Fault(status=503)] * 4)
        source.publish(published(BROKEN), b"<!DOCTYPE html><html><body>Please sign in</body></html>")
        taxi = taxi.having(
            TAXI_SOURCE_URL=source.url,
            TAXI_ALERT_WEBHOOK_URL=f"{receiver.url}/alerts",
            TAXI_UI_URL="https://dagster.example.org",
        )
        # The daemon has not the schema of the webhook, where the run is asked for.
        with webhook(taxi.having(POSTGRES_SCHEMA="asked")) as outside, daemon(taxi):
            ids = {}
            for month in (UNSTEADY, BROKEN):
                request = {"pipeline": "yellow", "month": month, "caller": "a test"}
                for _ in range(2):
                    answer = outside.post("/runs", request, headers={"Idempotency-Key": f"yellow {month}"})
                    ids[month] = answer.json()["run_id"]
            wait_until(lambda: len(receiver.got) >= 2)
            with connect(taxi.database()) as connection:
                # Without the summaries, which may follow meanwhile.
                query = "SELECT run_id, status FROM dagster.runs WHERE pipeline_name = 'yellow_taxi_etl'"
                ended = connection.execute(query).fetchall()
    assert dict(ended) == {ids[UNSTEADY]: "SUCCESS", ids[BROKEN]: "FAILURE"}
    assert taxi.asks("SELECT place, started_by, rows_kept FROM taxi_assets.load_log WHERE store = 'postgres'") == [
        ("asked.yellow_cab_data", "webhook (a test)", 7)
    ]
    alerts = {alert["kind"]: alert for alert in receiver.bodies("/alerts")}
    assert len(receiver.got) == len(alerts) == 2
    assert alerts["retry_needed"]["what"] == f"yellow_taxi_etl went well for {UNSTEADY}, but a retry was needed"
    assert alerts["retry_needed"]["why"]["summary"] == "the download of yellow/raw_taxi took 3 attempts"
    failed = alerts["run_failed"]
    assert failed["what"] == f"yellow/raw_taxi failed for {BROKEN}"
    assert "Please sign in" in failed["why"]["details"]["Found"]
    assert failed["owners"] == ["team:data-platform"]
    assert failed["link"] == f"https://dagster.example.org/runs/{ids[BROKEN]}"
    taxi.well("down")
