"""Several months without a daemon: side by side, with a summary, and only what is missing the next time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace

import psutil
import pytest

from taxi_assets.local import postgres_files
from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.published import csv_body
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

TABLE = "backfilled.yellow_cab_data"


def path(month: str) -> str:
    return f"/yellow/yellow_tripdata_{month}.csv.gz"


def test_one_month_fails_and_the_others_are_loaded(platform: Taxi) -> None:
    with FaultyServer() as server:
        for month in ("2026-01", "2026-02", "2026-03"):
            server.publish(path(month), csv_body(3))
        server.publish(path("2026-02"), b"<html>")
        taxi = platform.having(TAXI_SOURCE_URL=server.url, POSTGRES_SCHEMA="backfilled", TAXI_SOURCE_ATTEMPTS="1")
        command = ("run", "yellow", "--months", "2026-01:2026-04", "--only", "postgres")
        said = taxi(*command)
        assert said.code == 1
        assert "2 loaded, 0 loaded already, 1 failed, 1 not published" in said.err
        assert "2026-02  failed         The source answered, but not with the file" in said.err
        assert "2026-04  not published  nothing at " in said.err
        assert "yellow 2026-04 is not published yet." in said.err
        assert "3 of 3" in said.err
        assert taxi.stored(TABLE) == {"2026-01": 3, "2026-03": 3}
        loads = taxi.loads()
        server.publish(path("2026-02"), csv_body(4))
        server.publish(path("2026-04"), csv_body(5))
        again = taxi.well(*command)
        assert "2 loaded, 2 loaded already, 0 failed" in again.err
        assert taxi.stored(TABLE) == {"2026-01": 3, "2026-02": 4, "2026-03": 3, "2026-04": 5}
        assert taxi.loads() == loads + 2


@pytest.mark.long
@pytest.mark.parametrize("whom", ["the command", "its group"])
def test_interrupted_it_leaves_the_rest_and_goes_on_the_next_time(platform: Taxi, whom: str) -> None:
    schema = f"interrupted_{whom.split()[-1]}"
    with FaultyServer() as server:
        months = [f"2025-{number:02}" for number in range(1, 7)]
        for month in months:
            server.publish(path(month), csv_body(3))
            server.always_fails(path(month), Fault(stall_after=50))
        taxi = platform.having(TAXI_SOURCE_URL=server.url, POSTGRES_SCHEMA=schema, TAXI_SOURCE_ATTEMPTS="1")
        command = ("run", "yellow", "--months", "2025-01:2025-06", "--only", "postgres")
        with subprocess.Popen(
            [str(SCRIPT), *command],
            cwd=taxi.cwd,
            env=taxi.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            while sum(asked.method == "GET" for asked in server.asked) < 2:
                assert process.poll() is None
                time.sleep(0.1)
            # A terminal interrupts the group; its months stand in sessions of their own.
            (os.kill if whom == "the command" else os.killpg)(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert said.splitlines()[-1] == "Interrupted: 0 loaded, 2 canceled, 4 left; the same command goes on."
        assert "Traceback" not in said
        for month in months:
            server.heals(path(month))
        server.go.set()
        if whom == "the command":
            assert "6 loaded, 0 loaded already, 0 failed" in taxi.well(*command).err


@pytest.mark.long
def test_the_months_end_with_a_command_that_is_killed(platform: Taxi) -> None:
    with FaultyServer() as server:
        for month in ("2025-01", "2025-02"):
            server.publish(path(month), csv_body(3))
            server.always_fails(path(month), Fault(stall_after=50))
        taxi = platform.having(TAXI_SOURCE_URL=server.url, POSTGRES_SCHEMA="killed_parent", TAXI_SOURCE_ATTEMPTS="1")
        with taxi.start("run", "yellow", "--months", "2025-01:2025-02", "--only", "postgres") as process:
            while sum(asked.method == "GET" for asked in server.asked) < 2:
                assert process.poll() is None
                time.sleep(0.1)
            months = psutil.Process(process.pid).children()
            process.kill()
        assert len(months) == 2
        assert psutil.wait_procs(months, timeout=30)[1] == []
        query = "SELECT status FROM dagster.runs ORDER BY id DESC LIMIT 2"
        with connect(replace(taxi.database(), user=postgres_files.SUPERUSER)) as connection:
            assert connection.execute(query).fetchall() == [("CANCELED",)] * 2
        server.go.set()
