"""Commands that only read, interrupted while they wait: one line, the exit code 130, and nothing left behind."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.taxi_command import LONGEST_SECONDS, Taxi

pytestmark = pytest.mark.e2e


def assert_interrupted(taxi: Taxi, number: int, waits: Callable[[], bool], *words: str) -> None:
    """Interrupts `taxi` when it waits, which it says then."""
    with taxi.start(*words) as process:
        until = time.monotonic() + 20
        while not waits() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=LONGEST_SECONDS)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_long_query(taxi: Taxi, number: int) -> None:
    with connect(taxi.database()) as connection:

        def sleeps() -> bool:
            query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            return bool(connection.execute(query).fetchall())

        assert not sleeps()
        assert_interrupted(taxi, number, sleeps, "sql", "select pg_sleep(600)")
        assert not sleeps()


@pytest.mark.parametrize("words", [("log",), ("verify",), ("verify", "yellow", "--json")])
def test_a_database_that_does_not_answer(taxi: Taxi, words: tuple[str, ...]) -> None:
    def waits() -> bool:
        return bool(taxi.asks("SELECT pid FROM pg_locks WHERE NOT granted"))

    taxi.well("run", "yellow", "--months", "2019-02", "--only", "postgres")
    with closing(connect(taxi.database())) as connection:
        connection.autocommit = False
        connection.execute("GRANT taxi_ledger TO CURRENT_USER")
        connection.execute("LOCK TABLE taxi_assets.load_log IN ACCESS EXCLUSIVE MODE")
        assert_interrupted(taxi, signal.SIGINT, waits, *words)
        assert not waits()


@pytest.mark.parametrize("words", [("doctor",), ("run", "yellow", "--months", "2021-01", "--dry-run")])
def test_a_source_that_does_not_answer(taxi: Taxi, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        taxi = taxi.having(TAXI_SOURCE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert_interrupted(taxi, signal.SIGTERM, lambda: _asked(silent), *words)


def test_a_bigquery_that_does_not_answer(taxi: Taxi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        taxi = taxi.having(BIGQUERY_EMULATOR_HOST=address, STORAGE_EMULATOR_HOST=address)
        assert_interrupted(taxi, signal.SIGINT, lambda: _asked(silent), "bq", "select 1")


_held: list[socket.socket] = []
"""Connections that nobody answers."""


def _asked(server: socket.socket) -> bool:
    try:
        _held.append(server.accept()[0])
    except BlockingIOError:
        return False
    return True
