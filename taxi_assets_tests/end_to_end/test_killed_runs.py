"""`kill -9` of `taxi run` at any moment: the old month stays readable, and the next run succeeds by itself."""

from __future__ import annotations

import gzip
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from psycopg import sql

from taxi_assets.local import postgres_files
from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.taxi_command import Taxi
from taxi_assets_tests.trips.made import HEADER, line

pytestmark = pytest.mark.e2e

MONTH = "2021-01"
CSV = f"/yellow/yellow_tripdata_{MONTH}.csv.gz"
SCHEMA = "killed"
TABLE = f"{SCHEMA}.yellow_cab_data"
WAIT_SECONDS = 60
OLD, NEW = 5, 60_000
LOCK = 4711


def packed(rows: int) -> bytes:
    return gzip.compress("\n".join([HEADER, *[line()] * rows, ""]).encode(), compresslevel=1)


def until(holds: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits for a moment of the run."""
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert process.poll() is None, f"the run ended first: {process.communicate()}"
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(scope="module")
def web() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def old(platform: Taxi, web: FaultyServer) -> Taxi:
    """The old month is loaded; the source has the new one."""
    found = platform.having(TAXI_SOURCE_URL=web.url, POSTGRES_SCHEMA=SCHEMA)
    web.publish(CSV, packed(OLD))
    found.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    web.publish(CSV, packed(NEW))
    return found


def rows(taxi: Taxi) -> int:
    return int(taxi.asks(f"SELECT count(*) FROM {TABLE}")[0][0])


def kill(taxi: Taxi, process: subprocess.Popen[str]) -> None:
    assert rows(taxi) == OLD, "readers see the old month while the new one comes in"
    process.kill()
    process.communicate()
    assert rows(taxi) == OLD


def next_run_succeeds(taxi: Taxi) -> None:
    assert rows(taxi) == OLD
    taxi.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert rows(taxi) == NEW
    assert [path.name for path in (taxi.home / "tmp").iterdir()] == [".lock"], "what the killed run left is swept"
    # Months of other tests that were interrupted keep theirs, to go on with.
    assert not list((taxi.home / "raw").rglob(f"*_{MONTH}.*.part*"))


def start(taxi: Taxi) -> subprocess.Popen[str]:
    return taxi.start("run", "yellow", "--months", MONTH, "--only", "postgres")


def test_while_it_fetches(old: Taxi, web: FaultyServer) -> None:
    web.stalled.clear()
    # Before the run, it asks whether the file has changed.
    web.fails(CSV, Fault(), Fault(stall_after=2000))
    with start(old) as process:
        until(web.stalled.is_set, process)
        kill(old, process)
    web.go.set()
    next_run_succeeds(old)


def test_while_it_cleans(old: Taxi) -> None:
    with start(old) as process:
        until(lambda: list((old.home / "tmp").glob("clean-yellow-*/files/*.parquet")), process)
        kill(old, process)
    next_run_succeeds(old)


@contextmanager
def stops_at(taxi: Taxi, event: str, schema: str, table: str) -> Iterator[Callable[[], bool]]:
    """Lets whoever comes to that event wait in the server; yields whether somebody does."""
    name = sql.Identifier(schema, table)
    body = f"BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NEW; END"
    # No user of the platform may add a trigger to the ledger.
    superuser = replace(taxi.database(), user=postgres_files.SUPERUSER)
    with connect(superuser) as owner, connect(taxi.database()) as holder:
        holder.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
        wait = sql.Identifier(SCHEMA, "wait_here")
        owner.execute(sql.SQL("CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS {}").format(wait, body))
        made = f"CREATE TRIGGER wait_here {event} ON {{}} FOR EACH ROW EXECUTE FUNCTION {{}}()"
        owner.execute(sql.SQL(made).format(name, wait))
        waiting = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND NOT granted"
        try:
            yield lambda: taxi.asks(waiting) != [(0,)]
        finally:
            holder.execute(f"SELECT pg_advisory_unlock({LOCK})".encode())
            owner.execute(sql.SQL("DROP FUNCTION {} CASCADE").format(wait))


@pytest.mark.parametrize(
    ("event", "schema", "table"),
    [
        pytest.param("BEFORE INSERT", SCHEMA, "yellow_cab_data", marks=pytest.mark.long),
        pytest.param("BEFORE INSERT", SCHEMA, "yellow_cab_data_rejected", marks=pytest.mark.long),
        ("AFTER INSERT", "taxi_assets", "load_log"),
    ],
    ids=["COPY", "COPY of the rejected rows", "just before the commit"],
)
def test_while_it_loads(old: Taxi, web: FaultyServer, event: str, schema: str, table: str) -> None:
    if table.endswith("_rejected"):
        body = gzip.decompress(packed(NEW)) + f"{line(passenger_count='0')}\n".encode()
        web.publish(CSV, gzip.compress(body, compresslevel=1))
    with stops_at(old, event, schema, table) as somebody_waits, start(old) as process:
        until(somebody_waits, process)
        kill(old, process)
    next_run_succeeds(old)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
)
def test_an_interrupt_cancels_the_run_while_it_loads(old: Taxi, number: signal.Signals) -> None:
    with stops_at(old, "BEFORE INSERT", SCHEMA, "yellow_cab_data") as somebody_waits, start(old) as process:
        until(somebody_waits, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "Interrupted: the run is canceled; every store has the month as it was, or whole."
    assert "Traceback" not in said
    superuser = replace(old.database(), user=postgres_files.SUPERUSER)
    with connect(superuser) as connection:
        (run,) = connection.execute("SELECT run_id, status FROM dagster.runs ORDER BY id DESC LIMIT 1").fetchall()
        assert run[1] == "CANCELED"
        slots = connection.execute("SELECT count(*) FROM dagster.concurrency_slots WHERE run_id = %s", [run[0]])
        assert slots.fetchall() == [(0,)]
    next_run_succeeds(old)
